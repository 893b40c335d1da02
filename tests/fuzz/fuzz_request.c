/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz-request: a line of the control socket to a request, and its arguments
 * against a table that has each kind of them. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "control/request.h"
#include "fuzz/fuzz.h"

static const struct request_arg table[] = {
  { "string", REQUEST_STRING, false },   { "id", REQUEST_ID, false },
  { "number", REQUEST_NUMBER, false },   { "flag", REQUEST_BOOLEAN, false },
  { "numbers", REQUEST_NUMBERS, false }, { .name = NULL },
};

/* What is wrong is said, whole, in what room there is. */
static void
check_text(const char *why, size_t size, bool fine)
{
  FUZZ_ASSERT(memchr(why, '\0', size) != NULL);
  FUZZ_ASSERT(fine || why[0] != '\0');
}

static void
check_args(const json_t *args)
{
  const json_t *value;
  size_t i;

  FUZZ_ASSERT(!args || json_is_object(args));
  value = json_object_get(args, "number");
  FUZZ_ASSERT(!value || json_integer_value(value) >= 0);
  json_array_foreach(json_object_get(args, "numbers"), i, value)
    FUZZ_ASSERT(json_is_integer(value) && json_integer_value(value) >= 0);
  value = json_object_get(args, "string");
  FUZZ_ASSERT(!value || json_string_value(value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct request request;
  char why[256] = "";
  char *line = malloc(size > 0 ? size : 1); /* nothing beyond is read */

  FUZZ_ASSERT(line != NULL);
  memcpy(line, data, size);
  bool fine = request_parse(line, size, &request, why, sizeof why);
  check_text(why, sizeof why, fine);
  free(line);
  if (fine) {
    const size_t len = strnlen(request.verb, sizeof request.verb);
    FUZZ_ASSERT(len > 0 && len < sizeof request.verb);
    fine = request_check(request.args, table, why, sizeof why);
    check_text(why, sizeof why, fine);
    if (fine)
      check_args(request.args);
  }
  request_clear(&request);
  return 0;
}

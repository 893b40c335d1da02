/* SPDX-License-Identifier: BSD-2-Clause */
/* status.c: vhdkitctl status: the server as a whole, a line for each thing. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/link.h"
#include "ctl/ctl.h"
#include "text.h"

#define LABEL "%-14s"

static uint64_t
number(const struct json *object, const char *key)
{
  return json_int(json_get(object, key));
}

/* "3 connections, 2 address": those that are not 0. */
static void
print_counts(const char *label, const struct json *counts)
{
  const struct json *value;
  const char *key;
  bool some = false;

  printf(LABEL, label);
  for (size_t i = 0; (value = json_member(counts, i, &key)) != NULL; i++) {
    if (json_int(value) == 0)
      continue;
    char *safe = text_safe(key);
    printf("%s%" PRIu64 " %s", some ? ", " : "", json_int(value), safe);
    free(safe);
    some = true;
  }
  puts(some ? "" : "none");
}

static void
print_string(const char *label, const char *text)
{
  char *safe = text_safe(text != NULL ? text : "");

  printf(LABEL "%s\n", label, safe);
  free(safe);
}

static void
print_config(const struct json *config)
{
  const char *path = json_text(json_get(config, "path"));
  const char *text = json_text(json_get(config, "text"));
  char when[TEXT_SIZE];

  if (path == NULL)
    return;
  print_string("config", path);
  printf(LABEL "%s, %s\n", "  read",
         text_time((int64_t)json_float(json_get(config, "read")), when),
         json_yes(json_get(config, "sound")) ? "sound"
                                              : "wrong: the former one counts");
  if (text != NULL)
    print_string("", text);
}

static void
print(const struct json *s)
{
  const struct json *bytes = json_get(s, "bytes");
  const struct json *memory = json_get(s, "memory");
  const struct json *files = json_get(s, "descriptors");
  char a[TEXT_SIZE], b[TEXT_SIZE];

  print_string("version", json_text(json_get(s, "version")));
  printf(LABEL "%" PRIu64 ", which serves: %" PRIu64 "\n", "process",
         number(s, "pid"), number(s, "worker"));
  printf(LABEL "%s, for %s\n", "since",
         text_time((int64_t)json_float(json_get(s, "since")), a),
         text_duration((int64_t)json_float(json_get(s, "uptime")), b));
  printf(LABEL "%" PRIu64 "\n", "exports", number(s, "exports"));
  printf(LABEL "%" PRIu64 " of %" PRIu64 " that have come%s\n", "clients",
         number(s, "clients"), number(s, "came"),
         json_yes(json_get(s, "draining")) ? "; nobody new is let in" : "");
  printf(LABEL "%s read, %s written\n", "data",
         text_size(number(bytes, "read"), a),
         text_size(number(bytes, "written"), b));
  print_counts("refused", json_get(s, "refused"));
  print_counts("errors", json_get(s, "errors"));
  printf(LABEL "%" PRIu64 " of %" PRIu64 ", for %" PRIu64 " more clients\n",
         "descriptors", number(files, "used"), number(files, "limit"),
         number(files, "for-clients"));
  printf(LABEL "%s of %s, %" PRIu64 " wait for some\n", "buffers",
         text_size(number(memory, "used"), a),
         text_size(number(memory, "limit"), b), number(memory, "waiting"));
  print_config(json_get(s, "config"));
}

static int
run(char **args)
{
  (void)args;
  return link_tell(link_ask_once("status", NULL), print);
}

const struct verb ctl_status = {
  .name = "status",
  .summary = "show the server as a whole",
  .arguments = "",
  .options = { link_options },
  .run = run,
};

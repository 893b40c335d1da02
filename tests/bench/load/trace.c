/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace: see trace.h.
 */

#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "trace.h"
#include "wire.h"

#define LONGEST (32u << 20)  /* that servers take in one request */

static int
command_of(char letter)
{
  switch (letter) {
  case 'R':
    return NBD_CMD_READ;
  case 'W':
    return NBD_CMD_WRITE;
  case 'F':
    return NBD_CMD_FLUSH;
  default:
    return -1;
  }
}

static bool
parse_step(const char *line, struct trace_step *step)
{
  uint64_t offset;
  uint32_t length;
  char letter;

  if (sscanf(line, "%*u,%c,%" SCNu64 ",%" SCNu32, &letter, &offset,
             &length) != 3 ||
      command_of(letter) < 0 || length > LONGEST ||
      (length == 0) != (letter == 'F'))
    return false;
  *step = (struct trace_step){
    .command = (uint16_t)command_of(letter),
    .length = length,
    .offset = offset,
  };
  return true;
}

static void
add(struct trace *trace, const struct trace_step *step)
{
  /* As many as there is room for are a power of two. */
  if ((trace->count & (trace->count - 1)) == 0) {
    size_t room = trace->count ? 2 * trace->count : 1;
    trace->steps = realloc(trace->steps, room * sizeof *trace->steps);
    if (!trace->steps)
      fail(FAIL_SYSTEM, "out of memory");
  }
  trace->steps[trace->count++] = *step;
  if (step->length > trace->longest)
    trace->longest = step->length;
}

void
trace_read(struct trace *trace, const char *path)
{
  FILE *file = fopen(path, "re");
  struct trace_step step;
  unsigned number = 0;
  char line[256];

  *trace = (struct trace){0};
  if (!file)
    fail(FAIL_USAGE, "%s: %s", path, strerror(errno));
  while (fgets(line, sizeof line, file)) {
    number++;
    if (line[0] == '#' || line[0] == '\n')
      continue;
    if (!parse_step(line, &step))
      fail(FAIL_USAGE, "%s:%u: expected ms,op,offset,length", path, number);
    add(trace, &step);
  }
  fclose(file);
  if (!trace->count)
    fail(FAIL_USAGE, "%s: holds no request", path);
}

void
trace_free(struct trace *trace)
{
  free(trace->steps);
  trace->steps = NULL;
}

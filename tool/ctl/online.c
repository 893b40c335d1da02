/* SPDX-License-Identifier: BSD-2-Clause */
/* online.c: vhdkitctl's verbs that change the image of an export while clients
 * use it: snapshot, merge, resize, compact. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/link.h"
#include "message.h"
#include "text.h"
#include "vhdkit.h"

static const char *milliseconds;

static const struct option_spec compact_options[] = {
  { .name = "milliseconds", .kind = OPTION_STRING, .value = &milliseconds,
    .argument = "N", .help = "how long clients may be held up [200]" },
  { 0 },
};

static struct json *
order(const char *export)
{
  struct json *args = json_object_new();

  json_put_string(args, "export", export);
  return args;
}

static void
show(const struct json *result)
{
  char size[TEXT_SIZE];

  printf("done; its size: %s; clients were held up for %.3f s\n",
         text_size(json_int(json_get(result, "size")), size),
         json_float(json_get(result, "held")));
}

static int
carry_out(const char *verb, struct json *args)
{
  return link_tell(link_ask_once(verb, args), show);
}

static int
run_snapshot(char **args)
{
  struct json *request = order(args[0]);

  json_put_string(request, "name", args[1]);
  return carry_out("snapshot", request);
}

static int
run_merge(char **args)
{
  struct json *request = order(args[0]);

  json_put_string(request, "name", args[1]);
  return carry_out("merge", request);
}

static int
run_resize(char **args)
{
  uint64_t size;

  if (vhd_parse_size(args[1], &size) < 0)
    return complain_usage("%s: not a size; write for instance 512M, 10G or "
                          "1.5T", args[1]);
  struct json *request = order(args[0]);
  json_put_int(request, "size", size);
  return carry_out("resize", request);
}

static int
run_compact(char **args)
{
  struct json *request = order(args[0]);
  const size_t len = milliseconds != NULL ? strlen(milliseconds) : 0;

  if (milliseconds == NULL)
    return carry_out("compact", request);
  if (len == 0 || len > 9 || strspn(milliseconds, "0123456789") != len) {
    json_free(request);
    return complain_usage("--milliseconds %s: not a number", milliseconds);
  }
  json_put_int(request, "milliseconds", strtoull(milliseconds, NULL, 10));
  return carry_out("compact", request);
}

const struct verb ctl_snapshot = {
  .name = "snapshot",
  .summary = "freeze an export's image, and go on in a child of it",
  .arguments = "EXPORT NAME",
  .min_args = 2,
  .max_args = 2,
  .options = { link_options },
  .run = run_snapshot,
};

const struct verb ctl_merge = {
  .name = "merge",
  .summary = "make one image of all that an export's image stands on",
  .arguments = "EXPORT NAME",
  .min_args = 2,
  .max_args = 2,
  .options = { link_options },
  .run = run_merge,
};

const struct verb ctl_resize = {
  .name = "resize",
  .summary = "make an export larger",
  .arguments = "EXPORT SIZE",
  .min_args = 2,
  .max_args = 2,
  .options = { link_options },
  .run = run_resize,
};

const struct verb ctl_compact = {
  .name = "compact",
  .summary = "make an export's file smaller",
  .arguments = "EXPORT",
  .min_args = 1,
  .max_args = 1,
  .options = { compact_options, link_options },
  .run = run_compact,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: vhdkitctl's verbs that change a disk: its versions, and which of them
 * clients get; and what becomes of a client's child. */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/link.h"
#include "message.h"
#include "text.h"

static const char *from, *text, *at;

static const struct option_spec from_options[] = {
  { .name = "from", .argument = "VERSION", .kind = OPTION_STRING,
    .value = &from, .help = "the one that it is made of [production]" },
  { 0 },
};

static const struct option_spec seen_options[] = {
  { .name = "from", .argument = "VERSION", .kind = OPTION_STRING,
    .value = &from, .help = "only if this one is in production" },
  { 0 },
};

static const struct option_spec text_options[] = {
  { .name = "text", .argument = "TEXT", .kind = OPTION_STRING, .value = &text,
    .help = "what is new in it, a line" },
  { 0 },
};

static const struct option_spec at_options[] = {
  { .name = "at", .argument = "TIME", .kind = OPTION_STRING, .value = &at,
    .help = "not now: YYYY-MM-DD HH:MM, or never" },
  { 0 },
};

/* -1 after a complaint. */
static int
put_version(struct json *request, const char *version)
{
  const size_t n = strlen(version);

  if (n == 0 || n > 9 || strspn(version, "0123456789") != n)
    return complain_usage("%s is no number of a version: `vhdkitctl versions` "
                          "shows them", version), -1;
  json_put_int(request, "version", strtoull(version, NULL, 10));
  return 0;
}

/* The member that an argument becomes. */
static int
put(struct json *request, const char *key, const char *value)
{
  if (value == NULL)
    return 0;
  if (strcmp(key, "version") == 0)
    return put_version(request, value);
  json_put_string(request, key, value);
  return 0;
}

static void
show(const struct json *result, const char *words)
{
  const struct json *version = json_get(result, "version");
  const char *name = json_text(json_get(result, "disk"));
  char *safe = text_safe(name != NULL ? name : "");

  printf("disk '%s': ", safe);
  if (json_has_int(version))
    printf("version %" PRIu64 " ", json_int(version));
  puts(words);
  free(safe);
}

static int
ask(const char *verb, struct json *request, const char *words)
{
  struct json *result = link_ask_once(verb, request);
  int status;

  if (link_told(result, &status))
    return status;
  show(result, words);
  json_free(result);
  return status;
}

/* The arguments are the members of those names, in that order; and some options
 * are, too. */
static int
run(const char *verb, char **args, const char *const *keys, const char *words)
{
  struct json *request = json_object_new();
  int r = put(request, "version", from);

  for (size_t i = 0; r == 0 && args[i] != NULL; i++)
    r = put(request, keys[i], args[i]);
  if (r == 0)
    r = put(request, "text", text);
  if (r < 0) {
    json_free(request);
    return EXIT_USAGE;
  }
  return ask(verb, request, words);
}

static const char *const of_version[] = { "disk", "version", "text" };
static const char *const of_client[] = { "disk", "client" };

/* -------------------------------------------------------------------- verbs */

static int
run_new_version(char **args)
{
  return run("new-version", args, of_version,
             "is being made: its writer gets it as DISK@maintenance");
}

const struct verb ctl_new_version = {
  .name = "new-version",
  .summary = "begin a version, for one who writes to it",
  .arguments = "DISK",
  .min_args = 1,
  .max_args = 1,
  .options = { from_options, text_options, link_options },
  .run = run_new_version,
};

static int
run_test(char **args)
{
  return run("test", args, of_version,
             args[1] != NULL ? "is what those clients get who are to test"
                             : "nothing is tested");
}

const struct verb ctl_test = {
  .name = "test",
  .summary = "give a version to the clients that test",
  .arguments = "DISK [VERSION]",
  .min_args = 1,
  .max_args = 2,
  .options = { link_options },
  .run = run_test,
};

/* Of the local clock.  False: this is no time. */
static bool
parse_time(const char *when, time_t *seconds)
{
  static const char *const forms[] = { "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
                                       "%Y-%m-%d %H:%M:%S",
                                       "%Y-%m-%dT%H:%M:%S" };

  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct tm tm = { .tm_isdst = -1 };
    const char *end = strptime(when, forms[i], &tm);
    if (end != NULL && *end == '\0') {
      *seconds = mktime(&tm);
      return *seconds > 0;
    }
  }
  return false;
}

static int
run_schedule(char **args)
{
  struct json *request = json_object_new();
  const bool never = strcmp(at, "never") == 0;
  time_t when = 0;
  int r = 0;

  json_put_string(request, "disk", args[0]);
  if (!never && !parse_time(at, &when))
    r = (complain_usage("--at: '%s' is no time; examples: 2027-01-31 22:00, "
                        "never", at), -1);
  if (r == 0 && !never)
    r = put_version(request, args[1]);
  if (r < 0) {
    json_free(request);
    return EXIT_USAGE;
  }
  if (!never)
    json_put_int(request, "when", (uint64_t)when);
  return ask("schedule", request,
             never ? "nothing is scheduled" : "will be promoted then");
}

static int
run_promote(char **args)
{
  if (at != NULL)
    return run_schedule(args);
  return run("promote", args, of_version,
             "is what clients get when they boot next");
}

const struct verb ctl_promote = {
  .name = "promote",
  .summary = "give a version to all clients, from their next boot on",
  .arguments = "DISK VERSION",
  .min_args = 2,
  .max_args = 2,
  .options = { at_options, link_options },
  .run = run_promote,
};

static int
run_rollback(char **args)
{
  return run("rollback", args, of_version,
             "is what clients get again when they boot next");
}

const struct verb ctl_rollback = {
  .name = "rollback",
  .summary = "go back to what was in production before",
  .arguments = "DISK",
  .min_args = 1,
  .max_args = 1,
  .options = { seen_options, link_options },
  .run = run_rollback,
};

static int
run_delete(char **args)
{
  return run("delete-version", args, of_version, "is no more");
}

const struct verb ctl_delete_version = {
  .name = "delete-version",
  .summary = "delete a version that nothing depends on",
  .arguments = "DISK VERSION",
  .min_args = 2,
  .max_args = 2,
  .options = { link_options },
  .run = run_delete,
};

static int
run_describe(char **args)
{
  return run("describe", args, of_version, "is described so from now on");
}

const struct verb ctl_describe = {
  .name = "describe",
  .summary = "say what is new in a version",
  .arguments = "DISK VERSION TEXT",
  .min_args = 3,
  .max_args = 3,
  .options = { link_options },
  .run = run_describe,
};

static int
run_apply(char **args)
{
  return run("apply", args, of_client,
             "is what the client had; promote it, or test it");
}

const struct verb ctl_apply = {
  .name = "apply",
  .summary = "make a version of a client's child",
  .arguments = "DISK CLIENT",
  .min_args = 2,
  .max_args = 2,
  .options = { text_options, link_options },
  .run = run_apply,
};

static int
run_discard(char **args)
{
  return run("discard", args, of_client, "the client begins anew");
}

const struct verb ctl_discard = {
  .name = "discard",
  .summary = "throw a client's child away",
  .arguments = "DISK CLIENT",
  .min_args = 2,
  .max_args = 2,
  .options = { link_options },
  .run = run_discard,
};

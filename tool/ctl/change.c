/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: vhdkitctl's verbs that change something and have little to show:
 * disconnect, drain, undrain, reload, stop; and ask, which asks anything. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/link.h"
#include "ctl/ctl.h"
#include "message.h"
#include "text.h"

#define MAX_CLIENTS 4096 /* of a line of the protocol */

/* --------------------------------------------------------------- disconnect */

/* -1: this is no number. */
static int
put_number(struct json *list, const char *text)
{
  const size_t len = strlen(text);

  if (len == 0 || len > 18 || strspn(text, "0123456789") != len)
    return -1;
  json_add_int(list, strtoull(text, NULL, 10));
  return 0;
}

static void
show_disconnected(const struct json *result)
{
  const struct json *ended = json_get(result, "disconnected");

  for (size_t i = 0; i < json_count(ended); i++)
    printf("client %" PRIu64 " is disconnected\n",
           json_int(json_item(ended, i)));
}

/* Those whom there are not. */
static int
complain_of_unknown(const struct json *unknown)
{
  int status = EXIT_DONE;

  for (size_t i = 0; i < json_count(unknown); i++)
    status = complain_as(EXIT_NOT_FOUND, "there is no client %" PRIu64,
                         json_int(json_item(unknown, i)));
  return status;
}

static int
run_disconnect(char **args)
{
  struct json *request = json_object_new(), *list = json_array_new();

  json_put(request, "clients", list);
  for (; *args != NULL; args++) {
    if (put_number(list, *args) < 0) {
      json_free(request);
      return complain_usage("%s is no number of a client: `vhdkitctl clients` "
                            "shows them", *args);
    }
  }
  struct json *result = link_ask_once("disconnect", request);
  struct json *kept = result != NULL ? json_keep(result) : NULL;
  int status = link_tell(result, show_disconnected);
  if (kept != NULL && status == EXIT_DONE)
    status = complain_of_unknown(json_get(kept, "unknown"));
  json_free(kept);
  return status;
}

const struct verb ctl_disconnect = {
  .name = "disconnect",
  .summary = "end connections in order",
  .arguments = "CLIENT...",
  .min_args = 1,
  .max_args = MAX_CLIENTS,
  .options = { link_options },
  .run = run_disconnect,
};

/* -------------------------------------------------------------------- drain */

static bool waits;

static const struct option_spec drain_options[] = {
  { .name = "wait", .kind = OPTION_FLAG, .value = &waits,
    .help = "until the last client has gone" },
  { 0 },
};

static void
show_drained(const struct json *result)
{
  const uint64_t n = json_int(json_get(result, "clients"));

  printf("%s; clients: %" PRIu64 "\n",
         json_yes(json_get(result, "draining")) ? "nobody new is let in"
                                                 : "whoever comes is let in",
         n);
}

static int
run_drain(char **args)
{
  struct json *request = waits ? json_object_new() : NULL;

  (void)args;
  if (request != NULL)
    json_put_bool(request, "wait", true);
  return link_tell(link_ask_once("drain", request), show_drained);
}

const struct verb ctl_drain = {
  .name = "drain",
  .summary = "let nobody new in",
  .arguments = "",
  .options = { drain_options, link_options },
  .run = run_drain,
};

static int
run_undrain(char **args)
{
  (void)args;
  return link_tell(link_ask_once("undrain", NULL), show_drained);
}

const struct verb ctl_undrain = {
  .name = "undrain",
  .summary = "let clients in again",
  .arguments = "",
  .options = { link_options },
  .run = run_undrain,
};

/* ------------------------------------------------------------------- reload */

static const char *
explain(const char *change)
{
  static const struct {
    const char *word, *text;
  } table[] = {
    { "added", "is served from now on" },
    { "removed", "is not served any more" },
    { "image", "has another image from now on, or other rights" },
    { "words", "is described otherwise from now on" },
  };

  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (change != NULL && strcmp(table[i].word, change) == 0)
      return table[i].text;
  return "has changed";
}

static void
show_reloaded(const struct json *result)
{
  const struct json *changes = json_get(result, "changes");
  const char *text = json_text(json_get(result, "text"));

  for (size_t i = 0; i < json_count(changes); i++) {
    const struct json *change = json_item(changes, i);
    const char *name = json_text(json_get(change, "export"));
    const uint64_t n = json_int(json_get(change, "clients"));
    char *safe = text_safe(name != NULL ? name : "");
    printf("export '%s' %s", safe,
           explain(json_text(json_get(change, "change"))));
    if (n > 0)
      printf("; clients who keep the former one: %" PRIu64, n);
    putchar('\n');
    free(safe);
  }
  if (json_count(changes) == 0)
    puts("the exports are the same as before");
  if (text != NULL) {
    char *safe = text_safe(text);
    puts(safe);
    free(safe);
  }
}

static int
run_reload(char **args)
{
  (void)args;
  return link_tell(link_ask_once("reload", NULL), show_reloaded);
}

const struct verb ctl_reload = {
  .name = "reload",
  .summary = "read the configuration file and TLS keys again",
  .arguments = "",
  .options = { link_options },
  .run = run_reload,
};

/* ---------------------------------------------------------------- stop, ask */

static int
run_stop(char **args)
{
  (void)args;
  return link_tell(link_ask_once("stop", NULL), NULL);
}

const struct verb ctl_stop = {
  .name = "stop",
  .summary = "end the server in order",
  .arguments = "",
  .options = { link_options },
  .run = run_stop,
};

static int
run_ask(char **args)
{
  struct json *request = NULL, *result;

  if (args[1] != NULL) {
    request = json_read(args[1], strlen(args[1]));
    if (request == NULL)
      return complain_usage("%s is no JSON object", args[1]);
  }
  result = link_ask_once(args[0], request);
  if (result == NULL)
    return EXIT_FAILED;
  json_print(result);
  return EXIT_DONE;
}

const struct verb ctl_ask = {
  .name = "ask",
  .summary = "ask for any verb of the protocol, with arguments as JSON",
  .arguments = "VERB [ARGS]",
  .min_args = 1,
  .max_args = 2,
  .options = { link_options },
  .run = run_ask,
};

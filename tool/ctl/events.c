/* SPDX-License-Identifier: BSD-2-Clause */
/* events.c: vhdkitctl events: a line for each, as it happens. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/link.h"
#include "ctl/ctl.h"
#include "text.h"

/* Those that stand at the beginning of the line. */
static bool
is_at_front(const char *key)
{
  return strcmp(key, "time") == 0 || strcmp(key, "event") == 0;
}

/* " key=value"; what has no value is left out. */
static void
print_member(const char *key, const struct json *value)
{
  const char *text = json_text(value);
  char *safe_key = text_safe(key), *safe = text_safe(text ? text : "");

  if (text != NULL)
    printf(strpbrk(safe, " =") != NULL ? " %s=\"%s\"" : " %s=%s", safe_key,
           safe);
  else if (json_float(value) != 0)
    printf(" %s=%.15g", safe_key, json_float(value));
  free(safe);
  free(safe_key);
}

static void
print_event(const struct json *event)
{
  const char *what = json_text(json_get(event, "event")), *key;
  const struct json *value;
  char when[TEXT_SIZE];
  char *safe = text_safe(what != NULL ? what : "?");

  printf("%s %-7s",
         text_iso_time((int64_t)json_float(json_get(event, "time")), when),
         safe);
  free(safe);
  for (size_t i = 0; (value = json_member(event, i, &key)) != NULL; i++)
    if (!is_at_front(key))
      print_member(key, value);
  putchar('\n');
  fflush(stdout);
}

static int
run(char **args)
{
  struct link *link = link_open();
  struct json *event;

  (void)args;
  if (link == NULL)
    return EXIT_FAILED;
  if (link_follow(link)) {
    while ((event = link_event(link)) != NULL && !ferror(stdout)) {
      if (link_json()) {
        json_print_line(event, stdout);
      } else {
        print_event(event);
        json_free(event);
      }
    }
  }
  link_close(link);
  return EXIT_FAILED; /* it ends when the server does */
}

const struct verb ctl_events = {
  .name = "events",
  .summary = "tell what happens, as it happens",
  .arguments = "",
  .options = { link_options },
  .run = run,
};

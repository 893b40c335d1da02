/* SPDX-License-Identifier: BSD-2-Clause */
/* clients.c: vhdkitctl clients; and see clients.h. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/clients.h"
#include "ctl/link.h"
#include "ctl/ctl.h"
#include "message.h"
#include "table.h"
#include "text.h"

enum column {
  NUMBER, ADDRESS, IDENTITY, EXPORT, STATE, FOR, READ, WRITTEN, P50, P99,
  IN_FLIGHT, ERRORS, COLUMNS,
};

static const struct table_column sums[COLUMNS] = {
  [NUMBER] = { "CLIENT", true },    [ADDRESS] = { "ADDRESS", false },
  [IDENTITY] = { "IDENTITY", false }, [EXPORT] = { "EXPORT", false },
  [STATE] = { "STATE", false },     [FOR] = { "FOR", true },
  [READ] = { "READ", true },        [WRITTEN] = { "WRITTEN", true },
  [P50] = { "P50", true },          [P99] = { "P99", true },
  [IN_FLIGHT] = { "IN FLIGHT", true }, [ERRORS] = { "ERRORS", true },
};

static const char *
string(const struct json *client, const char *key)
{
  const char *text = json_text(json_get(client, key));

  return text != NULL ? text : "-";
}

static uint64_t
number(const struct json *client, const char *key)
{
  return json_int(json_get(client, key));
}

static char *
microseconds(uint64_t us, char *buf)
{
  if (us == 0)
    snprintf(buf, TEXT_SIZE, "-");
  else if (us < 10000)
    snprintf(buf, TEXT_SIZE, "%" PRIu64 " us", us);
  else
    snprintf(buf, TEXT_SIZE, "%" PRIu64 " ms", us / 1000);
  return buf;
}

static char *
rate(double a_second, char *buf)
{
  char size[TEXT_SIZE];

  snprintf(buf, TEXT_SIZE, "%.40s/s", text_size((uint64_t)a_second, size));
  return buf;
}

static void
add_row(struct table *table, const struct json *c,
        const struct client_rates *rates, int64_t now)
{
  const int64_t since = (int64_t)json_float(json_get(c, "since"));
  char text[COLUMNS][TEXT_SIZE];
  const char *cells[COLUMNS] = {
    [ADDRESS] = string(c, "address"), [IDENTITY] = string(c, "identity"),
    [EXPORT] = string(c, "export"),   [STATE] = string(c, "state"),
  };

  snprintf(text[NUMBER], TEXT_SIZE, "%" PRIu64, number(c, "client"));
  text_duration(now > since ? now - since : 0, text[FOR]);
  if (rates != NULL) {
    rate(rates->read, text[READ]);
    rate(rates->written, text[WRITTEN]);
  } else {
    text_size(number(c, "read"), text[READ]);
    text_size(number(c, "written"), text[WRITTEN]);
  }
  microseconds(number(c, "p50-us"), text[P50]);
  microseconds(number(c, "p99-us"), text[P99]);
  snprintf(text[IN_FLIGHT], TEXT_SIZE, "%" PRIu64, number(c, "requests"));
  snprintf(text[ERRORS], TEXT_SIZE, "%" PRIu64, number(c, "errors"));
  for (int i = 0; i < COLUMNS; i++)
    if (cells[i] == NULL)
      cells[i] = text[i];
  char *address = text_safe(cells[ADDRESS]);
  char *identity = text_safe(cells[IDENTITY]);
  char *export = text_safe(cells[EXPORT]);
  cells[ADDRESS] = address;
  cells[IDENTITY] = identity;
  cells[EXPORT] = export;
  table_row(table, cells);
  free(address);
  free(identity);
  free(export);
}

void
clients_print(const struct json *const *clients, size_t n,
              const struct client_rates *rates)
{
  struct table *table = table_new(sums, COLUMNS);
  const int64_t now = (int64_t)time(NULL);

  for (size_t i = 0; i < n; i++)
    add_row(table, clients[i], rates != NULL ? &rates[i] : NULL, now);
  table_free(table);
}

static void
print_all(const struct json *list)
{
  const size_t n = json_count(list);
  const struct json **rows = calloc(n + 1, sizeof *rows);

  if (rows == NULL)
    abort();
  for (size_t i = 0; i < n; i++)
    rows[i] = json_item(list, i);
  if (n == 0)
    puts("nobody is connected");
  else
    clients_print(rows, n, NULL);
  free(rows);
}

static int
run(char **args)
{
  struct json *result = link_ask_once("clients", NULL);

  (void)args;
  if (result == NULL)
    return EXIT_FAILED;
  const bool complete = json_yes(json_get(result, "complete"));
  if (link_json()) {
    json_print(result);
  } else {
    print_all(json_get(result, "clients"));
    json_free(result);
  }
  if (!complete)
    complain("a part of the server does not answer: clients are missing");
  return complete ? EXIT_DONE : EXIT_FAILED;
}

const struct verb ctl_clients = {
  .name = "clients",
  .summary = "list who is connected",
  .arguments = "",
  .options = { link_options },
  .run = run,
};

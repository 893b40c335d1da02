/* SPDX-License-Identifier: BSD-2-Clause */
/* top.c: vhdkitctl top: the clients again and again, those first who have moved
 * most since the last time. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl/clients.h"
#include "ctl/link.h"
#include "ctl/ctl.h"
#include "message.h"
#include "text.h"

static const char *interval_text = "2", *count_text;

static const struct option_spec options[] = {
  { .name = "interval", .kind = OPTION_STRING, .value = &interval_text,
    .argument = "SECONDS", .help = "between two looks [2]" },
  { .name = "count", .kind = OPTION_STRING, .value = &count_text,
    .argument = "N", .help = "end after so many looks" },
  { 0 },
};

struct row {
  const struct json *client;
  struct client_rates rates;
};

/* ----------------------------------------------------------------- options */

static bool
parse_number(const char *text, double min, double max, double *number)
{
  char *end;

  errno = 0;
  *number = strtod(text, &end);
  return end != text && *end == '\0' && errno == 0 && *number >= min &&
         *number <= max;
}

/* ------------------------------------------------------------------- rates */

/* They are in the order of their numbers. */
static const struct json *
find(const struct json *list, uint64_t number)
{
  size_t low = 0, high = json_count(list);

  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const struct json *client = json_item(list, middle);
    const uint64_t its = json_int(json_get(client, "client"));
    if (its == number)
      return client;
    if (its < number)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* Who was not there before has come from nothing. */
static double
rate(const struct json *now, const struct json *before, const char *key,
     double seconds)
{
  const uint64_t a = json_int(json_get(before, key));
  const uint64_t b = json_int(json_get(now, key));

  return b > a && seconds > 0 ? (double)(b - a) / seconds : 0;
}

static int
compare(const void *a, const void *b)
{
  const struct row *x = a, *y = b;
  const double more = y->rates.read + y->rates.written - x->rates.read -
                      x->rates.written;

  return more > 0 ? 1 : more < 0 ? -1 : 0;
}

static struct row *
make_rows(const struct json *now, const struct json *before, double seconds)
{
  const size_t n = json_count(now);
  struct row *rows = calloc(n + 1, sizeof *rows);

  if (rows == NULL)
    abort();
  for (size_t i = 0; i < n; i++) {
    const struct json *client = json_item(now, i);
    const struct json *former =
      find(before, json_int(json_get(client, "client")));
    rows[i].client = client;
    rows[i].rates.read = rate(client, former, "read", seconds);
    rows[i].rates.written = rate(client, former, "written", seconds);
  }
  qsort(rows, n, sizeof *rows, compare);
  return rows;
}

/* ---------------------------------------------------------------- printing */

/* As many as the terminal has lines for, below the others. */
static size_t
lines_for_clients(size_t n)
{
  struct winsize size;

  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 5)
    return n;
  return n < size.ws_row - 4U ? n : size.ws_row - 4U;
}

static void
print_head(const struct row *rows, size_t n)
{
  double read = 0, written = 0;
  char when[TEXT_SIZE], a[TEXT_SIZE], b[TEXT_SIZE];

  for (size_t i = 0; i < n; i++) {
    read += rows[i].rates.read;
    written += rows[i].rates.written;
  }
  printf("%s  clients: %zu  read: %s/s  written: %s/s\n",
         text_time((int64_t)time(NULL), when), n,
         text_size((uint64_t)read, a), text_size((uint64_t)written, b));
}

static void
print(const struct json *now, const struct json *before, double seconds)
{
  const size_t n = json_count(now);
  const size_t shown = isatty(STDOUT_FILENO) ? lines_for_clients(n) : n;
  struct row *rows = make_rows(now, before, seconds);
  const struct json **clients = calloc(n + 1, sizeof *clients);
  struct client_rates *rates = calloc(n + 1, sizeof *rates);

  if (clients == NULL || rates == NULL)
    abort();
  for (size_t i = 0; i < n; i++) {
    clients[i] = rows[i].client;
    rates[i] = rows[i].rates;
  }
  if (isatty(STDOUT_FILENO))
    fputs("\033[H\033[2J", stdout); /* the first line, and all is wiped */
  print_head(rows, n);
  if (shown > 0)
    clients_print(clients, shown, rates);
  fflush(stdout);
  free(rates);
  free(clients);
  free(rows);
}

static double
now_seconds(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
pause_for(double seconds)
{
  struct timespec left = { .tv_sec = (time_t)seconds };

  left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
  while (nanosleep(&left, &left) < 0 && errno == EINTR) {
  }
}

static int
look(struct link *link, double interval, double count)
{
  struct json *before = NULL, *now;
  double at = 0;

  while (count-- > 0 && !ferror(stdout)) {
    const double then = at;
    now = link_ask(link, "clients", NULL);
    if (now == NULL)
      break;
    at = now_seconds();
    if (link_json())
      json_print_line(json_keep(now), stdout);
    else
      print(json_get(now, "clients"), json_get(before, "clients"),
            before != NULL ? at - then : 0);
    json_free(before);
    before = now;
    if (count > 0)
      pause_for(interval);
  }
  json_free(before);
  return count < 0 ? EXIT_DONE : EXIT_FAILED;
}

static int
run(char **args)
{
  double interval, count = 1e18;

  (void)args;
  if (!parse_number(interval_text, 0.1, 86400, &interval))
    return complain_usage("--interval %s: not a number of seconds from 0.1 to "
                          "86400", interval_text);
  if (count_text != NULL && !parse_number(count_text, 1, 1e9, &count))
    return complain_usage("--count %s: not a number from 1 on", count_text);
  struct link *link = link_open();
  if (link == NULL)
    return EXIT_FAILED;
  int status = look(link, interval, count);
  link_close(link);
  return status;
}

const struct verb ctl_top = {
  .name = "top",
  .summary = "show who is busy, again and again",
  .arguments = "",
  .options = { options, link_options },
  .run = run,
};

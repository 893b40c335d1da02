/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.c: see progress.h.  A bar is drawn at most four times a second, and
 * not at all for work that ends sooner.  Lines of JSON come at the beginning,
 * four times a second, and at the end.
 *
 *   written: 1.5 GiB of 4 GiB (37 %), 512 MiB/s, 5 s left
 *
 * The rate is that of the last seconds: old news counts half with each of
 * RATE_HALF_MS, so that holes that were passed over are soon forgotten. */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "json.h"
#include "progress.h"
#include "text.h"

#define INTERVAL_MS 250
#define RATE_HALF_MS 4000

enum show {
  SHOW_AUTO, /* a bar, on a terminal */
  SHOW_BAR,
  SHOW_JSON,
  SHOW_NONE,
};

static int show = SHOW_AUTO;

static const struct option_choice shows[] = {
  { "auto", SHOW_AUTO },
  { "bar", SHOW_BAR },
  { "json", SHOW_JSON },
  { "none", SHOW_NONE },
  { NULL, 0 },
};

const struct option_spec progress_options[] = {
  { .name = "progress", .kind = OPTION_CHOICE, .value = &show,
    .choices = shows, .argument = "HOW",
    .help = "how far it is, on standard error: auto (default: a bar if that "
            "is a terminal), bar, json (a line a step) or none" },
  { .name = NULL },
};

static struct {
  const char *what; /* NULL: nothing under way, or nothing to be shown */
  uint64_t done, total;
  int64_t begun_ms, shown_ms;
  uint64_t shown_done; /* then */
  double rate;         /* bytes a second; 0 where it is not known */
  bool line;           /* there is one on the terminal */
} progress;

static int64_t
now_ms(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ showing */

static void
measure_rate(int64_t now)
{
  const double ms = (double)(now - progress.shown_ms);

  if (ms <= 0)
    return;
  const double last =
    (double)(progress.done - progress.shown_done) * 1000 / ms;
  /* Of what was known before, so much is still true. */
  const double old =
    progress.rate > 0 ? RATE_HALF_MS / (RATE_HALF_MS + ms) : 0;
  progress.rate = progress.rate * old + last * (1 - old);
}

/* Seconds until it is done, as far as one can tell; -1: one cannot. */
static int64_t
seconds_left(void)
{
  if (progress.total == 0 || progress.rate < 1)
    return -1;
  return (int64_t)((double)(progress.total - progress.done) / progress.rate +
                   0.5);
}

static void
draw(void)
{
  char size[TEXT_SIZE], of[TEXT_SIZE], rate[TEXT_SIZE], left[TEXT_SIZE];

  fprintf(stderr, "\r\033[K%s: %s", progress.what,
          text_size(progress.done, size));
  if (progress.total != 0)
    fprintf(stderr, " of %s (%d %%)", text_size(progress.total, of),
            (int)((double)progress.done * 100 / (double)progress.total));
  if (progress.rate >= 1)
    fprintf(stderr, ", %s/s", text_size((uint64_t)progress.rate, rate));
  if (seconds_left() >= 0)
    fprintf(stderr, ", %s left", text_duration(seconds_left(), left));
  fflush(stderr);
  progress.line = true;
}

static void
print_json(int64_t now, bool ended)
{
  struct json *line = json_object_new();

  json_put_string(line, "progress", progress.what);
  json_put_int(line, "done", progress.done);
  if (progress.total != 0)
    json_put_int(line, "total", progress.total);
  else
    json_put_null(line, "total");
  json_put_int(line, "rate", (uint64_t)progress.rate);
  if (seconds_left() >= 0)
    json_put_int(line, "seconds-left", (uint64_t)seconds_left());
  else
    json_put_null(line, "seconds-left");
  json_put_int(line, "milliseconds", (uint64_t)(now - progress.begun_ms));
  json_put_bool(line, "ended", ended);
  json_print_line(line, stderr);
}

static void
show_state(bool ended)
{
  const int64_t now = now_ms();

  measure_rate(now);
  progress.shown_ms = now;
  progress.shown_done = progress.done;
  if (show == SHOW_JSON)
    print_json(now, ended);
  else if (!ended)
    draw();
}

/* ------------------------------------------------------------------- public */

void
progress_begin(const char *what, uint64_t total)
{
  const bool shown = show == SHOW_AUTO ? isatty(STDERR_FILENO)
                                       : show != SHOW_NONE;

  progress.what = shown ? what : NULL;
  progress.done = progress.shown_done = 0;
  progress.total = total;
  progress.rate = 0;
  progress.begun_ms = progress.shown_ms = now_ms();
  if (progress.what != NULL && show == SHOW_JSON)
    print_json(progress.begun_ms, false);
}

void
progress_update(uint64_t done)
{
  if (progress.what == NULL)
    return;
  progress.done = done;
  if (now_ms() - progress.shown_ms >= INTERVAL_MS)
    show_state(false);
}

void
progress_clear(void)
{
  if (progress.line)
    fputs("\r\033[K", stderr);
  progress.line = false;
}

void
progress_end(void)
{
  progress_clear();
  if (progress.what != NULL)
    show_state(true);
  progress.what = NULL;
}

/* ------------------------------------------------ operations of the library */

static int
report(void *opaque, uint64_t done, uint64_t total)
{
  (void)opaque;
  progress.total = total;
  progress_update(done);
  return interrupt_pending();
}

struct vhd_progress
progress_of(const char *what)
{
  interrupt_catch();
  progress_begin(what, 0);
  return (struct vhd_progress){ .report = report };
}

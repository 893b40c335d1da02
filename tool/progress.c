/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.c: see progress.h.  The line is drawn at most four times a second,
 * and not at all for work that ends sooner. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

#define INTERVAL_MS 250

static struct {
  const char *what; /* NULL: nothing under way, or no terminal */
  uint64_t total;
  int64_t drawn_ms;
  bool shown;
} progress;

static int64_t
now_ms(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
progress_begin(const char *what, uint64_t total)
{
  progress.what = isatty(STDERR_FILENO) ? what : NULL;
  progress.total = total;
  progress.drawn_ms = now_ms();
}

void
progress_update(uint64_t done)
{
  char size[TEXT_SIZE], of[TEXT_SIZE];

  if (progress.what == NULL)
    return;
  int64_t now = now_ms();
  if (now - progress.drawn_ms < INTERVAL_MS)
    return;
  progress.drawn_ms = now;
  progress.shown = true;
  if (progress.total != 0)
    fprintf(stderr, "\r\033[K%s: %s of %s (%d %%)", progress.what,
            text_size(done, size), text_size(progress.total, of),
            (int)((double)done * 100 / (double)progress.total));
  else
    fprintf(stderr, "\r\033[K%s: %s", progress.what, text_size(done, size));
  fflush(stderr);
}

void
progress_clear(void)
{
  if (progress.shown)
    fputs("\r\033[K", stderr);
  progress.shown = false;
}

void
progress_end(void)
{
  progress_clear();
  progress.what = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* usage.c: see usage.h. */
#include "config.h"

#include "inside/usage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

int
source_read(const struct source *source, void *buf, size_t len, uint64_t off)
{
  if (off > source->len || len > source->len - off)
    return -EUCLEAN;
  return len > 0 ? source->read(source->opaque, buf, len, off) : 0;
}

int
usage_refuse(struct usage *usage, const char *mend, const char *fmt, ...)
{
  va_list args;

  va_start(args, fmt);
  vsnprintf(usage->what, sizeof usage->what, fmt, args);
  va_end(args);
  usage->mend = mend;
  return -EUCLEAN;
}

/* ------------------------------------------------------------------ windows */

static int
load(struct usage *u, uint64_t window)
{
  if (u->at == window)
    return 0;
  u->at = NONE;
  memset(u->used, 0, u->window / 8);
  const int r = u->reader->load(u, window, u->used);
  if (r == 0)
    u->at = window;
  return r;
}

/* How many units the window has: the last has fewer. */
static uint32_t
window_units(const struct usage *u, uint64_t window)
{
  const uint64_t left = u->n - window * u->window;

  return left < u->window ? (uint32_t)left : u->window;
}

/* The first from i on that is marked, or is not; end: none. */
static uint32_t
find(const uint8_t *used, uint32_t i, uint32_t end, bool marked)
{
  const uint8_t without = marked ? 0 : 0xff;

  while (i < end && usage_is_marked(used, i) != marked) {
    i++;
    while (i % 8 == 0 && i < end && used[i / 8] == without)
      i += 8;
  }
  return i < end ? i : end;
}

int
usage_next_free(struct usage *u, uint64_t from, uint64_t *off, uint64_t *len)
{
  uint64_t i = from <= u->first ? 0 : (from - u->first) / u->unit;

  while (i < u->n) {
    const uint64_t window = i / u->window;
    const uint32_t end = window_units(u, window);
    int r = load(u, window);
    if (r < 0)
      return r;
    const uint32_t a = find(u->used, (uint32_t)(i % u->window), end, false);
    if (a < end) {
      const uint32_t b = find(u->used, a, end, true);
      *off = u->first + (window * u->window + a) * u->unit;
      *len = (b - a) * u->unit;
      return 1;
    }
    i = (window + 1) * u->window;
  }
  return 0;
}

int
usage_holds(struct usage *u, uint64_t off, uint64_t len)
{
  if (len == 0 || off + len <= u->first)
    return 1;
  const uint64_t last = (off + len - 1 - u->first) / u->unit;
  uint64_t i = off <= u->first ? 0 : (off - u->first) / u->unit;

  for (; i <= last && i < u->n; i++) {
    int r = load(u, i / u->window);
    if (r < 0)
      return r;
    if (!usage_is_marked(u->used, (uint32_t)(i % u->window)))
      return 0;
  }
  return 1;
}

/* ------------------------------------------------------------------ opening */

static int
look_at_all(struct usage *u)
{
  int r = 0;

  for (uint64_t at = 0; r == 0 && at < u->n; at += u->window)
    r = load(u, at / u->window);
  return r == 0 ? u->reader->check(u) : r;
}

int
usage_open(struct usage *u, const struct usage_reader *reader,
           const struct source *source)
{
  *u = (struct usage){ .reader = reader, .source = *source, .at = NONE };
  snprintf(u->what, sizeof u->what, "is damaged");
  u->mend = "have it checked";
  int r = reader->open(u);
  if (r < 0)
    return r;
  if (u->unit == 0 || u->first > source->len ||
      u->n > (source->len - u->first) / u->unit)
    return usage_refuse(u, u->mend, "is larger than its place");
  if (u->window == 0 || u->window % 8 != 0 || u->window > USAGE_WINDOW)
    return usage_refuse(u, u->mend, "has an odd layout");
  u->used = malloc(u->window / 8);
  return u->used == NULL ? -ENOMEM : look_at_all(u);
}

void
usage_close(struct usage *u)
{
  if (u->reader != NULL)
    u->reader->close(u);
  free(u->used);
  *u = (struct usage){ .at = NONE };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* log_cause.c: see log_cause.h.  A table under a lock of its own, which is held
 * over nothing else. */
#include "config.h"

#include "base/log_cause.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

#define CAUSES 256
#define CAUSE_SIZE 128

struct cause {
  char text[CAUSE_SIZE]; /* "": free */
  int64_t until;         /* monotonic seconds */
  uint32_t count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cause table[CAUSES]; /* the last is that of all the others */
static size_t nused;               /* behind them all are free, but the last */

static int64_t
now_sec(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static bool
is_free(const struct cause *cause)
{
  return cause->text[0] == '\0';
}

/* The lock is held.  Frees a cause; what was held back of it goes to *told, to
 * be told without the lock.  Whether there was anything. */
static bool
end_cause(struct cause *cause, struct cause *told)
{
  const bool held = !is_free(cause) && cause->count > LOG_CAUSE_BURST;

  *told = *cause;
  *cause = (struct cause){ .text = "" };
  return held;
}

static void
tell(const struct cause *told)
{
  log_notice("%u more messages about %s were held back",
             told->count - LOG_CAUSE_BURST, told->text);
}

/* Ends the causes from *i on whose time is over, up to the first of which
 * something was held back. */
static bool
end_next(size_t *i, bool all, struct cause *told)
{
  bool held = false;

  pthread_mutex_lock(&lock);
  const int64_t now = now_sec();
  for (; !held && *i < CAUSES; ++*i)
    if (all || table[*i].until <= now)
      held = end_cause(&table[*i], told);
  while (nused > 0 && is_free(&table[nused - 1]))
    nused--;
  pthread_mutex_unlock(&lock);
  return held;
}

void
log_cause_tell(bool all)
{
  struct cause told;
  size_t i = 0;

  while (end_next(&i, all, &told))
    tell(&told);
}

/* The lock is held.  Where a cause stands or may stand: its own place, or one
 * that is free or whose time is over, or that of all the others. */
static struct cause *
find_place(const char *text, int64_t now)
{
  struct cause *place = NULL;

  for (size_t i = 0; i < nused; i++) {
    if (strcmp(table[i].text, text) == 0)
      return &table[i];
    if (!place && (is_free(&table[i]) || table[i].until <= now))
      place = &table[i];
  }
  if (!place && nused < CAUSES - 1)
    place = &table[nused++];
  return place ? place : &table[CAUSES - 1];
}

bool
log_cause_pass(const char *fmt, ...)
{
  struct cause told;
  char text[CAUSE_SIZE];
  bool held = false;
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  pthread_mutex_lock(&lock);
  const int64_t now = now_sec();
  struct cause *cause = find_place(text, now);
  if (is_free(cause) || cause->until <= now) {
    held = end_cause(cause, &told);
    snprintf(cause->text, sizeof cause->text, "%s",
             cause < &table[CAUSES - 1] ? text : "other causes");
    cause->until = now + LOG_CAUSE_SEC;
  }
  const bool pass = cause->count++ < LOG_CAUSE_BURST;
  pthread_mutex_unlock(&lock);
  if (held)
    tell(&told);
  return pass;
}

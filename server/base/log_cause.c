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

/* Its time is over: it is free, and what was held back in *told, to be told
 * without the lock.  Whether there was anything. */
static bool
end_cause(struct cause *cause, struct cause *told)
{
  const bool held = cause->count > LOG_CAUSE_BURST;

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

static int64_t
now_sec(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void
log_cause_tell(bool all)
{
  for (size_t i = 0; i < CAUSES; i++) {
    struct cause told;
    pthread_mutex_lock(&lock);
    const bool held = table[i].text[0] != '\0' &&
                      (all || table[i].until <= now_sec()) &&
                      end_cause(&table[i], &told);
    pthread_mutex_unlock(&lock);
    if (held)
      tell(&told);
  }
}

/* With the lock held. */
static struct cause *
find_cause(const char *text)
{
  struct cause *unused = NULL;

  for (size_t i = 0; i < CAUSES - 1; i++) {
    if (strcmp(table[i].text, text) == 0)
      return &table[i];
    if (!unused && table[i].text[0] == '\0')
      unused = &table[i];
  }
  struct cause *cause = unused ? unused : &table[CAUSES - 1];
  if (cause->text[0] == '\0') {
    snprintf(cause->text, sizeof cause->text, "%s",
             unused ? text : "other causes");
    cause->until = now_sec() + LOG_CAUSE_SEC;
  }
  return cause;
}

bool
log_cause_pass(const char *fmt, ...)
{
  char text[CAUSE_SIZE];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  log_cause_tell(false);
  pthread_mutex_lock(&lock);
  const bool pass = find_cause(text)->count++ < LOG_CAUSE_BURST;
  pthread_mutex_unlock(&lock);
  return pass;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* log.c: messages to standard error; see log.h. */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE 2048

static enum log_level log_max = LOG_LEVEL_NOTICE;

void
log_set_level(enum log_level level)
{
  log_max = level;
}

bool
log_is_verbose(void)
{
  return log_max >= LOG_LEVEL_DEBUG;
}

/* systemd names the device and inode of the journal's stream: standard error
 * is it only if both agree, for it may have been redirected since. */
static bool
stderr_is_journal(void)
{
  const char *stream = getenv("JOURNAL_STREAM");
  unsigned long long dev, ino;
  struct stat st;

  return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
         fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
         st.st_ino == ino;
}

/* Characters that change how a terminal shows what follows: line and paragraph
 * separators, changes of direction. */
static bool
is_layout(const unsigned char *s)
{
  return s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                          (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
}

/* The length of the valid UTF-8 sequence at s, 0 if there is none.  Overlong
 * forms, surrogates, C1 controls and what lies past U+10FFFF are invalid. */
static unsigned
utf8_length(const unsigned char *s)
{
  unsigned n = s[0] < 0xc2   ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
  for (unsigned i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
      (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
      (s[0] == 0xf4 && s[1] >= 0x90) || is_layout(s))
    return 0;
  return n;
}

void
log_sanitize(const char *text, char *buf, unsigned size)
{
  static const char hex[] = "0123456789abcdef";
  unsigned used = 0;

  for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
    unsigned n = *s >= 0x20 && *s < 0x7f ? 1 : utf8_length(s);
    if (used + (n > 0 ? n : 4) >= size)
      break;
    if (n > 0) {
      memcpy(buf + used, s, n);
      used += n;
      s += n;
    } else {
      buf[used++] = '\\';
      buf[used++] = 'x';
      buf[used++] = hex[*s >> 4];
      buf[used++] = hex[*s & 15];
      s++;
    }
  }
  buf[used] = '\0';
}

/* One line at a time, so that what fits when it is looked still does. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static unsigned missing; /* lines that did not fit; under turn */

/* A pipe has room for what one write puts there whole, a socket for more, or
 * they are not ready; a file always is. */
static bool
is_ready(void)
{
  struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

  return poll(&out, 1, 0) == 1 && out.revents & POLLOUT;
}

static void
put(const char *line, size_t len)
{
  ssize_t written = write(STDERR_FILENO, line, len);
  /* Nowhere to report a failure to. */
  (void)written;
}

/* How a line of this level begins. */
static int
begin(enum log_level level, char *line, size_t size)
{
  static const char *const words[] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARNING] = "warning: ",
    [LOG_LEVEL_NOTICE] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
  };

  return stderr_is_journal()
           ? snprintf(line, size, "<%d>", (int)level)
           : snprintf(line, size, "vhdkitd: %s", words[level]);
}

static void
put_missing(void)
{
  char line[128];
  int n = begin(LOG_LEVEL_WARNING, line, sizeof line);

  n += snprintf(line + n, sizeof line - (size_t)n,
                "%u messages are missing here: standard error took no more\n",
                missing);
  missing = 0;
  put(line, (size_t)n);
}

static void
log_write(enum log_level level, const char *text)
{
  char clean[LOG_LINE], line[LOG_LINE + 64];
  int saved = errno; /* callers still want it */

  log_sanitize(text, clean, sizeof clean);
  int n = begin(level, line, sizeof line);
  n += snprintf(line + n, sizeof line - (size_t)n, "%s\n", clean);
  pthread_mutex_lock(&turn);
  if (missing > 0 && is_ready())
    put_missing();
  if (is_ready())
    put(line, (size_t)n);
  else
    missing++;
  pthread_mutex_unlock(&turn);
  errno = saved;
}

static void __attribute__((format(printf, 2, 0)))
log_line(enum log_level level, const char *fmt, va_list ap)
{
  char text[LOG_LINE];

  if (level <= log_max) {
    vsnprintf(text, sizeof text, fmt, ap);
    log_write(level, text);
  }
}

#define DEFINE_LOG(name, level) \
  void name(const char *fmt, ...) \
  { \
    va_list ap; \
    va_start(ap, fmt); \
    log_line(level, fmt, ap); \
    va_end(ap); \
  }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h: the server's messages: one line each, on standard error, in one write,
 * so that lines of several threads do not mix.  Under systemd's journal each
 * line carries its priority.  Whatever a client or a file put into a message
 * leaves as printable text: control characters and broken UTF-8 become \xNN.
 *
 * Nobody waits for who reads them: a line for which there is no room is left
 * out, and how many were is said as soon as there is.
 *
 * Any thread, at any time. */
#ifndef SERVER_BASE_LOG_H
#define SERVER_BASE_LOG_H

#include <stdbool.h>

/* The values are syslog's, as the journal expects them. */
enum log_level {
  LOG_LEVEL_ERROR = 3,
  LOG_LEVEL_WARNING = 4,
  LOG_LEVEL_NOTICE = 5,
  LOG_LEVEL_DEBUG = 7,
};

/* Messages above this level are dropped; the default is NOTICE.  Before the
 * first thread starts. */
void log_set_level(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Only with --verbose. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool log_is_verbose(void);

/* Writes text into buf[size] as log lines show it, always terminated. */
void log_sanitize(const char *text, char *buf, unsigned size);

#endif

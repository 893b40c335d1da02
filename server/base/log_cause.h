/* SPDX-License-Identifier: BSD-2-Clause */
/* log_cause.h: messages that strangers can cause, as often as they like: at
 * most LOG_CAUSE_BURST of one cause in LOG_CAUSE_SEC seconds, while other
 * causes have their say; what was held back is counted, and told when that time
 * is over.  Bounded memory: where there are too many causes at a time, the rest
 * counts as one.  Any thread. */
#ifndef SERVER_BASE_LOG_CAUSE_H
#define SERVER_BASE_LOG_CAUSE_H

#include <stdbool.h>

#define LOG_CAUSE_BURST 3
#define LOG_CAUSE_SEC 10

/* May a message be written?  The cause is a phrase that follows "about":
 * "the image 'a.vhd'".  It says no more than a message would. */
bool log_cause_pass(const char *fmt, ...)
  __attribute__((format(printf, 1, 2)));

/* To be called every now and then: tells what was held back, of the times that
 * are over, or (all) of those that are not, too. */
void log_cause_tell(bool all);

#endif

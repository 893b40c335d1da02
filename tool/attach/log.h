/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h: what daemons have said, in a file of an entry, for the user. */
#ifndef TOOL_ATTACH_LOG_H
#define TOOL_ATTACH_LOG_H

#include <stdbool.h>
#include <sys/types.h>

#include "attach/folder.h"

/* Makes the file; a descriptor to write to, or, with a complaint, -1. */
int log_make(const struct entry *entry, const char *name);
/* Where it ends now. */
off_t log_end(const struct entry *entry, const char *name);
/* Complains of what was said from there on: errors, with warnings those too,
 * with all everything.  Returns how many errors (lines) there were. */
enum log_part { LOG_ERRORS, LOG_WARNINGS, LOG_ALL };
unsigned log_tell(const struct entry *entry, const char *name, off_t from,
                  enum log_part part);

#endif

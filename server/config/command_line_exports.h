/* SPDX-License-Identifier: BSD-2-Clause */
/* command_line_exports.h: what the two files that read vhdkitd's command line
 * share: command_line.c has the options, command_line_exports.c the exports.
 * Nobody else includes it.  The main thread, once, at start-up. */
#ifndef SERVER_CONFIG_COMMAND_LINE_EXPORTS_H
#define SERVER_CONFIG_COMMAND_LINE_EXPORTS_H

#include <stddef.h>

#include "config/command_line.h"

/* What is wrong, for the person who typed it. */
struct complaint {
  char *text;
  size_t size;
};

/* Returns -EINVAL. */
int complain(struct complaint *complaint, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

/* An argument that is no option: NAME=IMAGE, an image or a directory. */
int options_add_export(struct options *opt, const char *value,
                       struct complaint *complaint);

/* All arguments were read: are the exports sound?  Tells each of them what
 * --description and --tls-only say of it. */
int options_check_exports(struct options *opt, struct complaint *complaint);

#endif

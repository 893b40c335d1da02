/* SPDX-License-Identifier: BSD-2-Clause */
/* command_line_exports.h: what the files share that read vhdkitd's command line
 * and configuration file: a word on what is wrong, and the exports.  Nobody
 * outside this room includes it.  The main thread, once, at start-up. */
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

/* Says where that is wrong which was complained of.  Returns -EINVAL. */
int complain_where(struct complaint *complaint, const char *where);

/* An argument that is no option: NAME=IMAGE, an image or a directory. */
int options_add_export(struct options *opt, const char *value,
                       struct complaint *complaint);

/* One that is known by its parts; name: NULL where none was given, and copied.
 * The other strings must outlive the options. */
int options_append_export(struct options *opt,
                          const struct options_export *export,
                          const char *name, struct complaint *complaint);

/* Takes over a string, to live as long as the options; frees it at once where
 * memory is short.  0 or -ENOMEM. */
int options_own(struct options *opt, char *text);
int options_list_append(struct options_list *list, const char *value);

/* All arguments were read: are the exports sound?  Tells each of them what
 * --description and --tls-only say of it. */
int options_check_exports(struct options *opt, struct complaint *complaint);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h: vhdkitd's configuration file: what the command line can say, as
 * vhdkitd.conf(5) describes it, into the same struct options.  Looks at no
 * other file but those that it includes.
 *
 * libconfig parses it, for it knows of each setting in which file and line it
 * stands; what an option's value may be says the table of options (option.h).
 * The main thread, once, at start-up. */
#ifndef SERVER_CONFIG_FILE_H
#define SERVER_CONFIG_FILE_H

#include "config/command_line_exports.h"

/* Adds to opt what the file says.  0, or -EINVAL with a complaint that names
 * file and line. */
int options_read_file(struct options *opt, const char *path,
                      struct complaint *complaint);

#endif

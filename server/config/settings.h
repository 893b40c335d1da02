/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h: what vhdkitd was told, by its command line and the configuration
 * file that this names, and told again since.  While it runs, the exports may
 * change; all else is as at the start.  The main thread. */
#ifndef SERVER_CONFIG_SETTINGS_H
#define SERVER_CONFIG_SETTINGS_H

#include "config/command_line.h"
#include "vhdkit.h"

struct settings {
  int argc;
  char **argv;
  struct options options; /* in force */
  struct options reread;  /* has the strings of exports that were read again */
};

/* argv must outlive it.  As options_parse(). */
enum options_outcome settings_read(struct settings *settings, int argc,
                                   char **argv, char *message, size_t size);

/* Is it what could be served?  Opens nothing. */
int settings_check(const struct settings *settings, struct vhd_error *err);

/* Reads the file again, where there is one, and looks at nothing that it
 * names, for that may lie on a disk that hangs.  *parcel: the exports, for whom
 * serves (parcel.h), the caller's to close; -1: there is nothing to change.
 * 0, with a message where something of it takes a start, which the log tells,
 * too.  -EINVAL with a message where something is wrong, and the former
 * settings are in force. */
int settings_reread(struct settings *settings, int *parcel, char *message,
                    size_t size);

void settings_free(struct settings *settings);

#endif

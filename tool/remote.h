/* SPDX-License-Identifier: BSD-2-Clause */
/* remote.h: disks that lie behind an NBD server, named by a URI instead of a
 * path.  Such a disk is raw.  One thread. */
#ifndef TOOL_REMOTE_H
#define TOOL_REMOTE_H

#include <stdbool.h>

#include "vhdkit.h"

/* Is it the name of such a disk?  Known by its scheme alone: ./nbd:x is a
 * file. */
bool remote_is_uri(const char *name);

/* Where `name` is a URI, connects and fills in the options of who opens it,
 * else leaves them alone.  format_given: what they say of the format was asked
 * for.  0, or -1 after a complaint.  What it opens stays open as long as the
 * program. */
int remote_source(const char *name, bool format_given,
                  struct vhd_open_options *open);

/* The same for who writes to it; NULL after a complaint. */
const struct vhd_disk *remote_target(const char *uri);

/* ---------------------------------------------- remote_nbd.c, remote_none.c */

/* Connects.  NULL after a complaint. */
const struct vhd_disk *remote_connect(const char *uri, bool write);

#endif

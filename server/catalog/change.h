/* SPDX-License-Identifier: BSD-2-Clause */
/* change.h: other exports than before, while clients use them. */
#ifndef SERVER_CATALOG_CHANGE_H
#define SERVER_CATALOG_CHANGE_H

#include <stddef.h>

struct catalog;
struct provision_config;
struct server_export;
struct vhd_error;

/* Who is told of each export that differs; NULL: the log alone. */
struct change_listener {
  /* how: "added", "removed", "image" or "words"; clients: who keep what it
   * meant before. */
  void (*tell)(void *opaque, const char *name, const char *how,
               unsigned clients);
  void *opaque;
};

/* From now on these are the exports that are served under their names, and no
 * others; not for a catalog of a folder.  Touches what differs alone:
 *
 *   a new one          is opened, though nobody asks for it yet
 *   one that is gone   is refused to new clients; who has it keeps it
 *   another image, or  the same, and new clients get the other one; where that
 *   other rights       is the same file, once the former ones have left
 *   what is said of it new clients are told so
 *
 * Waits for no disk.  Each name is there once; the strings need not outlive the
 * call.  0, or -ENOMEM, and all is as before.  One thread at a time. */
int catalog_change(struct catalog *catalog,
                   const struct server_export *exports, size_t n,
                   const struct change_listener *listener,
                   struct vhd_error *err);

/* From now on this is who gets what of disks, but for the folders in which they
 * and children lie.  Who has a child keeps it.  As above. */
int catalog_change_clients(struct catalog *catalog,
                           const struct provision_config *provision,
                           struct vhd_error *err);

#endif

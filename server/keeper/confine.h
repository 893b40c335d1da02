/* SPDX-License-Identifier: BSD-2-Clause */
/* confine.h: what vhdkitd's processes keep of their rights once they are set
 * up, as the options permit.  Locks stand one behind the other: few
 * capabilities, no new privileges, landlock, the system call filter; a kernel
 * that lacks one is no error, but logged.  There is no way out again.
 *
 * In the worker no path stays accessible: helpers open images, folders,
 * journals and keys for it (broker/broker.h).
 *
 * The main thread, before any other thread runs, but for
 * confine_worker_threads(). */
#ifndef SERVER_KEEPER_CONFINE_H
#define SERVER_KEEPER_CONFINE_H

#include <stddef.h>

#include "config/command_line.h"
#include "keeper/landlock.h"
#include "vhdkit.h"

/* Sockets are bound, and the pid file is open.  Children inherit all of it but
 * what they undo at once: that nobody may look into the process, whoever has
 * the same user (PR_SET_DUMPABLE).  There is no landlock, which helpers would
 * inherit: names lead where they like, and who has an image open could not be
 * seen any more. */
int confine_keeper(const struct options *opt, struct vhd_error *err);

int confine_worker(const struct options *opt, struct vhd_error *err);

/* Once the server's threads have begun: what only their beginning needed is
 * given up, too.  Binds all threads. */
void confine_worker_threads(const struct options *opt);

/* A helper must still open files, which landlock would forbid. */
int confine_helper(const struct options *opt, struct vhd_error *err);

struct confine_place {
  const char *path;
  enum landlock_right right;
};

/* A helper that changes whole disks: it knows beforehand where they lie, and
 * there, and where journals are kept, it may do that; elsewhere nothing. */
int confine_disks(const struct options *opt,
                  const struct confine_place *places, size_t n,
                  struct vhd_error *err);
/* One that changes images as a whole: in their folders, in those of --root for
 * reading, and where journals are. */
int confine_changes(const struct options *opt, struct vhd_error *err);
/* One that takes orders for disks: in the folders of disks and of children, in
 * those of --root for reading, and where journals are. */
int confine_orders(const struct options *opt, struct vhd_error *err);

#endif

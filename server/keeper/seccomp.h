/* SPDX-License-Identifier: BSD-2-Clause */
/* seccomp.h: the system call filter (seccomp): what a server of files never
 * does, it can then not be made to do.  Start programs, fork, trace or look
 * into processes, mount, load modules, open or bind network sockets, set the
 * clock...
 *
 * The main thread, before any other thread runs. */
#ifndef SERVER_KEEPER_SECCOMP_H
#define SERVER_KEEPER_SECCOMP_H

#include "vhdkit.h"

/* From here on, for this thread and those it starts, and for the keeper's
 * children: processes may be made, and become another user.  -EOPNOTSUPP: this
 * build or this kernel has no filters. */
int filter_enter_keeper(struct vhd_error *err);

/* The same, but for that: in a child of the keeper's, which is what it will
 * be. */
int filter_enter(struct vhd_error *err);
/* And in one that changes whole disks: it may make symbolic links. */
int filter_enter_disks(struct vhd_error *err);

/* From here on, for this thread and those it starts: nothing is opened, made or
 * changed by its name any more.  After filter_enter(). */
int filter_forbid_opening(struct vhd_error *err);

/* From here on no thread of the process makes a ring of io_uring any more, or
 * changes what one may do.  After filter_enter(); any number of threads may
 * run, and all of them are confined. */
int filter_forbid_rings(struct vhd_error *err);

#endif

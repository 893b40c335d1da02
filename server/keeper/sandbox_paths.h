/* SPDX-License-Identifier: BSD-2-Clause */
/* sandbox_paths.h: which files vhdkitd keeps when it enters the sandbox: worked
 * out from its options.  The main thread, once. */
#ifndef SERVER_KEEPER_SANDBOX_PATHS_H
#define SERVER_KEEPER_SANDBOX_PATHS_H

#include "config/command_line.h"
#include "vhdkit.h"

/* Enters as much of the sandbox as the options permit. */
int confine(const struct options *opt, struct vhd_error *err);

/* In a helper, which must still open files: the filter of system calls. */
int confine_helper(const struct options *opt, struct vhd_error *err);

/* Once the server's threads have begun: what only their beginning needed is
 * given up, too.  The main thread; binds all threads. */
void confine_threads(const struct options *opt);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* landlock.h: Landlock: the process gives up, for good, every file, TCP port
 * and foreign process but what it names before.  Works without privileges, on
 * kernels from 5.13 on; newer kernels confine more.
 *
 * The main thread, before any other thread runs: only those started afterwards
 * are confined with it. */
#ifndef SERVER_KEEPER_LANDLOCK_H
#define SERVER_KEEPER_LANDLOCK_H

#include "vhdkit.h"

/* A ruleset that permits nothing yet: a descriptor, -EOPNOTSUPP where the
 * kernel has no landlock or has it switched off, or -errno. */
int landlock_new(void);

enum landlock_right {
  LANDLOCK_READ,   /* files, and the names in folders */
  LANDLOCK_WRITE,  /* files, too */
  LANDLOCK_CHANGE, /* make files, folders and links, too; rename and remove */
};

/* Permits that to path, and what is below it.  What does not exist is skipped:
 * there is nothing to permit. */
int landlock_allow(int ruleset, const char *path, enum landlock_right right,
                   struct vhd_error *err);

void landlock_close(int ruleset);

/* From here on.  Needs "no new privileges".  Closes the ruleset in any case. */
int landlock_enter(int ruleset, struct vhd_error *err);

#endif

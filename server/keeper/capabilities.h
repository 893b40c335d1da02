/* SPDX-License-Identifier: BSD-2-Clause */
/* capabilities.h: what vhdkitd's processes keep of root's power, where they
 * have any.  The main thread, before any other thread runs. */
#ifndef SERVER_KEEPER_CAPABILITIES_H
#define SERVER_KEEPER_CAPABILITIES_H

#include "vhdkit.h"

enum capabilities {
  CAPABILITIES_KEEPER, /* what the others need, and to become another user */
  CAPABILITIES_WORKER, /* to look at names, and to use an image's disk */
  CAPABILITIES_HELPER, /* to open files, and to see who has them open */
};

/* Gives up all others, for good. */
int capabilities_keep(enum capabilities which, struct vhd_error *err);

#endif

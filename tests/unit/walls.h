/* SPDX-License-Identifier: BSD-2-Clause */
/* walls.h: what a process of vhdkitd's that has been taken over would try, and
 * must fail at.  One table for all of them, tried from inside. */
#ifndef UNIT_WALLS_H
#define UNIT_WALLS_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

enum walls_who {
  WALLS_KEEPER = 1 << 0,
  WALLS_HELPER = 1 << 1,
  WALLS_WORKER = 1 << 2,
  WALLS_DISKS = 1 << 3, /* the helper that changes disks */
};

/* The last two try home/disk.vhd and home/other, which are there. */
struct walls {
  pid_t other;                  /* a process that is not to be disturbed */
  int home;                     /* the folder, opened before; -1: none */
  struct sockaddr_un *listener; /* of datagrams */
};

/* The first thing that can be done and must not, NULL where all is well.
 * Without the filter only what landlock forbids counts. */
const char *walls_gap(const struct walls *walls, enum walls_who who,
                      bool filter);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* look.h: does what is attached answer, and what is inside?  A process of its
 * own looks: one that waits for a server which hangs can be left behind, and
 * what the disk holds makes it stumble, and nobody else. */
#ifndef TOOL_ATTACH_LOOK_H
#define TOOL_ATTACH_LOOK_H

#include "attach/folder.h"
#include "inside/disk.h"

enum look_state {
  LOOK_ANSWERS, /* or there is nothing that could be asked: a socket */
  LOOK_LOST,    /* it has lost its server, and will not find it again */
  LOOK_SILENT,  /* no answer in some seconds */
};

struct look {
  enum look_state state;
  bool known; /* .disk counts */
  struct disk disk;
};

void look_at(const struct attachment *a, struct look *look);

#endif

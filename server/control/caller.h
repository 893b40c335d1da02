/* SPDX-License-Identifier: BSD-2-Clause */
/* caller.h: who speaks at the control socket, as the kernel tells, and what he
 * may.  Whom the socket's mode lets in may look.  Root, the user as whom the
 * server runs, and the members of one group may change something.  A value. */
#ifndef SERVER_CONTROL_CALLER_H
#define SERVER_CONTROL_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/visitor.h"

struct caller {
  struct visitor visitor;
  bool may_change;
};

/* fd: his socket.  admins: that group; (gid_t)-1: none. */
void caller_init(struct caller *caller, int fd, const struct visitor *visitor,
                 gid_t admins);

#define CALLER_NAME_SIZE (VISITOR_NAME_SIZE + VISITOR_IDENTITY_SIZE + 4)

/* "process 4242 (uid:1000)" */
const char *caller_name(const struct caller *caller,
                        char buf[CALLER_NAME_SIZE]);

#endif

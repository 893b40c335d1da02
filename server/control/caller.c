/* SPDX-License-Identifier: BSD-2-Clause */
/* caller.c: see caller.h. */
#include "config.h"

#include "control/caller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The groups that he had when he connected, beside his own; the caller's to
 * free; NULL: none, or they are not to be had. */
static gid_t *
ask_groups(int fd, size_t *n)
{
  gid_t *groups = NULL;
  socklen_t len = 0;

  *n = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 ||
      errno != ERANGE || len == 0)
    return NULL;
  groups = malloc(len);
  if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
    free(groups);
    groups = NULL;
  }
  *n = groups ? len / sizeof *groups : 0;
  return groups;
}

static bool
is_member(int fd, gid_t group)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  size_t n;

  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
      peer.gid == group)
    return true;
  gid_t *groups = ask_groups(fd, &n);
  bool found = false;
  for (size_t i = 0; i < n && !found; i++)
    found = groups[i] == group;
  free(groups);
  return found;
}

void
caller_init(struct caller *caller, int fd, const struct visitor *visitor,
            gid_t admins)
{
  const uid_t uid = visitor->uid;

  caller->visitor = *visitor;
  caller->may_change = uid != (uid_t)-1 &&
                       (uid == 0 || uid == geteuid() ||
                        (admins != (gid_t)-1 && is_member(fd, admins)));
}

const char *
caller_name(const struct caller *caller, char buf[CALLER_NAME_SIZE])
{
  char name[VISITOR_NAME_SIZE], user[VISITOR_IDENTITY_SIZE];
  const char *identity = visitor_identity(&caller->visitor, user, sizeof user);

  visitor_name(&caller->visitor, name, sizeof name);
  snprintf(buf, CALLER_NAME_SIZE, "%s (%s)", name,
           identity ? identity : "unknown user");
  return buf;
}

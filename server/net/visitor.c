/* SPDX-License-Identifier: BSD-2-Clause */
/* visitor.c: see visitor.h. */
#include "config.h"

#include "net/visitor.h"

#include <stdio.h>
#include <string.h>

#include "net/socket.h"

static void
ask_credentials(struct visitor *visitor, int fd)
{
  struct ucred peer;
  socklen_t len = sizeof peer;

  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
    return;
  visitor->uid = peer.uid;
  visitor->pid = peer.pid;
}

void
visitor_init(struct visitor *visitor, int fd, const struct sockaddr *addr,
             socklen_t len)
{
  *visitor = (struct visitor){ .uid = (uid_t)-1 };
  if (!addr || len < sizeof addr->sa_family)
    return;
  /* The name of a Unix socket may be longer; it is of no use here. */
  if (len > sizeof visitor->address)
    len = sizeof addr->sa_family;
  memcpy(&visitor->address, addr, len);
  visitor->len = len;
  if (addr->sa_family == AF_UNIX)
    ask_credentials(visitor, fd);
}

int
visitor_family(const struct visitor *visitor)
{
  return visitor->len > 0 ? visitor->address.any.sa_family : AF_UNSPEC;
}

const char *
visitor_identity(const struct visitor *visitor, char *buf, size_t size)
{
  if (visitor->uid == (uid_t)-1)
    return NULL;
  snprintf(buf, size, "uid:%lu", (unsigned long)visitor->uid);
  return buf;
}

void
visitor_name(const struct visitor *visitor, char *buf, size_t size)
{
  if (visitor->len == 0)
    snprintf(buf, size, "an unknown address");
  else if (visitor_family(visitor) != AF_UNIX)
    socket_address_name(&visitor->address.any, visitor->len, buf, size);
  else if (visitor->pid > 0)
    snprintf(buf, size, "process %ld", (long)visitor->pid);
  else
    snprintf(buf, size, "a process");
}

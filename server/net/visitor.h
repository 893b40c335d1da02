/* SPDX-License-Identifier: BSD-2-Clause */
/* visitor.h: who is at the other end of a socket, as the kernel tells: an
 * address, or the user and the process of a Unix socket's client.  A value,
 * which outlives the socket.  Any thread. */
#ifndef SERVER_NET_VISITOR_H
#define SERVER_NET_VISITOR_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* What visitor_name() and visitor_identity() need at most. */
#define VISITOR_NAME_SIZE 64
#define VISITOR_IDENTITY_SIZE 32

struct visitor {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6; /* no longer one is kept */
  } address;
  socklen_t len; /* of .address; 0: unknown */
  uid_t uid;     /* of a Unix socket's client; (uid_t)-1: unknown */
  pid_t pid;     /* the same; 0: unknown */
};

/* addr: what accept(2) said, or NULL. */
void visitor_init(struct visitor *visitor, int fd, const struct sockaddr *addr,
                  socklen_t len);

/* AF_INET, AF_INET6, AF_UNIX, AF_VSOCK..., AF_UNSPEC where that is unknown. */
int visitor_family(const struct visitor *visitor);

/* Who the kernel vouches for: "uid:1000"; NULL: nobody. */
const char *visitor_identity(const struct visitor *visitor, char *buf,
                             size_t size);

/* As a person writes it: "192.0.2.1:4242", "[2001:db8::1]:4242",
 * "vsock:3:1024", "process 4242". */
void visitor_name(const struct visitor *visitor, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* socket.h: opening the sockets that clients connect to: TCP, Unix, vsock, and
 * those that systemd, inetd or another parent left open.  Nothing is bound but
 * what the caller names.
 *
 * All sockets are non-blocking and close-on-exec.  The main thread, at
 * start-up; socket_unlink() when it ends. */
#ifndef SERVER_NET_SOCKET_H
#define SERVER_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "vhdkit.h"

/* Long enough for "unix:" and a path, or an address and a port. */
#define SOCKET_NAME_SIZE 128

/* A listening socket, or (connected) one that is a client already. */
struct socket {
  int fd;
  bool connected;
  /* Unix sockets that we have bound: where, and which file that made. */
  char *path;
  struct stat made;
};

struct socket_unix_options {
  unsigned mode; /* permissions; ~0U: what the umask leaves */
  uid_t uid;     /* owner; (uid_t) -1: whoever we are */
  gid_t gid;
};

/* Binds every address that host ("" for all) stands for: at most max sockets,
 * how many in *n.  Port "0" lets the kernel choose, the same for all of them.
 * On an error none is left open. */
int socket_listen_tcp(const char *host, const char *port,
                      struct socket *sockets, size_t max, size_t *n,
                      struct vhd_error *err);

/* A socket file that nobody listens on any more is replaced; one that is in
 * use, or is no socket, is an error. */
int socket_listen_unix(const char *path, const struct socket_unix_options *opt,
                       struct socket *socket, struct vhd_error *err);

int socket_listen_vsock(unsigned port, struct socket *socket,
                        struct vhd_error *err);

/* Takes over an open descriptor, which must be a stream socket. */
int socket_inherit(int fd, struct socket *socket, struct vhd_error *err);

/* How many descriptors, from 3 on, systemd has passed to this very process
 * (sd_listen_fds(3)); clears the environment of it. */
int socket_activation(struct vhd_error *err);

/* Sets what every client's socket needs.  Accepted TCP sockets take it over
 * from the listening one; Unix sockets do not. */
void socket_tune(int fd);

/* An address as a person writes it. */
void socket_address_name(const struct sockaddr *address, socklen_t len,
                         char *buf, size_t size);
/* What it is bound to, as a person writes it: "127.0.0.1:10809",
 * "[::1]:10809", "unix:/run/vhd.sock", "vsock:10809". */
void socket_name(int fd, char *buf, size_t size);
/* The same for whom it is connected to. */
void socket_peer_name(int fd, char *buf, size_t size);

/* Removes a Unix socket's file if it is still the one we made.  Any thread,
 * while nobody closes it. */
void socket_unlink(const struct socket *socket);

/* Closes it, and removes a Unix socket's file if it is still the one we
 * made. */
void socket_close(struct socket *socket);

#endif

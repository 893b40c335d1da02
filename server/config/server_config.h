/* SPDX-License-Identifier: BSD-2-Clause */
/* server_config.h: what a server is to serve, and within which limits.  The
 * command line is resolved into it (resolve.h); each room reads what concerns
 * it.  It does not change while a server runs, but the exports that are served
 * under their names may be others than here after a while
 * (catalog/change.h). */
#ifndef SERVER_CONFIG_SERVER_CONFIG_H
#define SERVER_CONFIG_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provision/provision_config.h"
#include "vhdkit.h"

struct stream;

enum server_tls {
  SERVER_TLS_OFF,
  SERVER_TLS_ON,
  SERVER_TLS_REQUIRE,
};

enum server_io {
  SERVER_IO_AUTO,  /* io_uring, or threads where it is refused */
  SERVER_IO_URING, /* io_uring, or an error */
  SERVER_IO_THREADS,
};

/* One image under a name. */
struct server_export {
  const char *name; /* "": the default export */
  const char *path;
  const char *description; /* NULL: none */
  bool tls_only;           /* hidden from and refused to plain clients */
  bool readonly;
  bool raw; /* the file is no VHD but the disk itself */
};

/* Zero stands for the default in every field. */
struct server_limits {
  unsigned connections;             /* in all: 16384 */
  unsigned connections_per_address; /* IP addresses only: no limit */
  unsigned handshake_sec;           /* until transmission begins: 10 */
  unsigned requests;                /* in flight, of a connection: 256 */
  uint64_t bytes;                   /* buffers of a connection: 64 MiB */
  uint64_t bytes_total;             /* buffers of all connections: 512 MiB */
  unsigned grace_msec; /* server_stop(): how long a client may go on with its
                        * handshake, to be told ERR_SHUTDOWN: 500 */
  unsigned stop_sec;   /* server_stop(): how long what is in flight may take
                        * before it is given up: 30 */
};

/* A client's child of a disk, to be made where there is none. */
struct server_child {
  const char *disk, *client;
  const char *version; /* for a new one: a link or a number */
  bool fresh;          /* one that is there already is thrown away */
};

struct server_config {
  /* Served under their names.  Everything pointed to here must outlive the
   * server. */
  const struct server_export *exports;
  size_t nexports;
  /* Or NULL: each NAME.vhd in this folder is served as NAME. */
  const char *directory;
  /* And disks, with a child for each client: .disks is NULL where there are
   * none.  Its rules, and what is said of unknown clients, may be others than
   * here after a while. */
  struct provision_config provision;

  bool readonly;
  unsigned threads; /* loops; 0: one for each CPU the process may use */
  enum server_io io;
  /* How parents are found: see vhd_open().  Flags VHD_OPEN_READONLY and
   * VHD_OPEN_UNLOCKED are the server's own. */
  struct vhd_open_options open;
  struct vhd_open_options open_disks; /* the same for disks and children */
  struct server_limits limits;

  enum server_tls tls;
  /* Makes the TLS stream that follows STARTTLS on fd, which it then owns; NULL
   * (fd untouched) if it cannot.  Any thread.  NULL where tls is OFF. */
  struct stream *(*tls_stream)(void *opaque, int fd);
  void *tls_opaque;

  /* See to it that there is one.  Any thread; may block.  0, or -errno with
   * *err.  May be NULL where there are no disks. */
  int (*make_child)(void *opaque, const struct server_child *child,
                    struct vhd_error *err);
  /* And that there is none any more. */
  int (*remove_child)(void *opaque, const char *disk, const char *client,
                      struct vhd_error *err);
  void *child_opaque;

  /* The last connection has gone (for --fd and inetd).  On a loop's thread;
   * must only post or write to a pipe.  May be NULL. */
  void (*idle)(void *opaque);
  void *idle_opaque;
};

#endif

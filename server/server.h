/* SPDX-License-Identifier: BSD-2-Clause */
/* server.h: the running server: its configuration, its loops, its exports, and
 * how many connections there are.
 *
 * Life, all on the thread that is to listen (the main thread):
 *
 *   server_new()     no thread yet, no image opened: what confines the process
 *                    (user, landlock, seccomp) may come before or after
 *   server_start()   the exports named on the command line are opened, so that
 *                    what is wrong with them shows at start; threads run
 *   server_accept()  for each accepted socket; never blocks
 *   server_stop()    blocks until everything is flushed, closed and joined
 *   server_free()
 *
 * The main thread has its own loop for listeners and signals; connections live
 * on the server's loops, each of which has a thread of its own. */
#ifndef SERVER_H
#define SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/stream.h"
#include "vhdkit.h"

struct exports;
struct io_queue;
struct loop;
struct nbd_policy;
struct peer;
struct peers;

enum server_tls {
  SERVER_TLS_OFF,
  SERVER_TLS_ON,
  SERVER_TLS_REQUIRE,
};

enum server_io {
  SERVER_IO_AUTO,    /* io_uring, or threads where it is refused */
  SERVER_IO_URING,   /* io_uring, or an error */
  SERVER_IO_THREADS,
};

/* One image under a name. */
struct server_export {
  const char *name; /* "": the default export */
  const char *path;
  const char *description; /* NULL: none */
  bool tls_only; /* hidden from and refused to plain clients */
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

struct server_config {
  /* Served under their names.  Everything pointed to here must outlive the
   * server. */
  const struct server_export *exports;
  size_t nexports;
  /* Or NULL: each NAME.vhd in this folder is served as NAME. */
  const char *directory;

  bool readonly;
  unsigned threads; /* loops; 0: one for each CPU the process may use */
  enum server_io io;
  /* How parents are found: see vhd_open().  Flags VHD_OPEN_READONLY and
   * VHD_OPEN_UNLOCKED are the server's own. */
  struct vhd_open_options open;
  struct server_limits limits;

  enum server_tls tls;
  /* Makes the TLS stream that follows STARTTLS on fd, which it then owns; NULL
   * (fd untouched) if it cannot.  Any thread.  NULL where tls is OFF. */
  struct stream *(*tls_stream)(void *opaque, int fd);
  void *tls_opaque;

  /* The last connection has gone (for --fd and inetd).  On a loop's thread;
   * must only post or write to a pipe.  May be NULL. */
  void (*idle)(void *opaque);
  void *idle_opaque;
};

struct server {
  struct server_config config; /* defaults filled in */
  struct exports *exports;
  struct io_queue *folder; /* for looking into .config.directory */
  struct peers *peers; /* connections by address */
  struct nbd_policy *policy;
  struct loop **loops;
  unsigned nloops;
  atomic_uint next_loop;
  atomic_uint nconnections;
  atomic_uint_fast64_t bytes; /* buffers in use, all connections */
  atomic_bool stopping;
  bool abandoned; /* something hangs for ever */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* .nconnections has become 0; .nbegun */
  unsigned nbegun; /* loops that have started, under .lock */
  int uring_error; /* of any of them, under .lock */
};

/* Copies *config (not what it points to). */
int server_new(const struct server_config *config, struct server **server,
               struct vhd_error *err);
int server_start(struct server *server, struct vhd_error *err);

/* Takes a connected socket over: it is served, or closed at once where the
 * limits say so (0 or -errno: -EMFILE, -ENOMEM, -ESHUTDOWN).  peer may be NULL
 * (not known).  Main thread. */
int server_accept(struct server *server, int fd, const struct sockaddr *peer,
                  socklen_t peer_len);

/* Ends the service: options are answered with ERR_SHUTDOWN, commands that were
 * received are finished and answered, whereupon their connection is closed,
 * each image is flushed and closed, the threads are joined.  The caller has
 * stopped listening.  0, or -errno with err filled where an image could not be
 * closed well or where something in flight had to be given up.  Main thread;
 * blocks. */
int server_stop(struct server *server, struct vhd_error *err);

/* For connections: one has gone for good. */
void server_left(struct server *server, struct peer *peer);

/* After server_stop(), or if server_start() has failed.  NULL is fine. */
void server_free(struct server *server);

#endif

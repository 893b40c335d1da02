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
 *   server_change()  where others are to be served than at the start
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

#include "client/host.h"
#include "client/worker.h"
#include "config/server_config.h"
#include "control/events.h"
#include "control/facts.h"
#include "disk/budget.h"
#include "vhdkit.h"

struct catalog;
struct change_listener;
struct nbd_policy;
struct address_limit;
struct visitor;
struct world;

struct server {
  struct server_config config; /* defaults filled in */
  struct catalog *catalog;
  struct address_limit *addresses; /* connections by address */
  struct nbd_policy *policy;
  struct budget budget;
  struct facts facts;
  struct events events;
  struct host host;       /* all that, for the connections */
  struct worker *workers; /* one for each loop */
  unsigned nworkers;
  atomic_uint next_worker;
  atomic_uint nconnections;
  bool abandoned; /* something hangs for ever */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* .nconnections has become 0; .nbegun */
  unsigned nbegun;        /* loops that have started, under .lock */
  int uring_error;        /* of any of them, under .lock */
};

/* Copies *config (not what it points to). */
int server_new(const struct server_config *config, struct server **server,
               struct vhd_error *err);
int server_start(struct server *server, struct vhd_error *err);

/* Takes a connected socket over: it is served, or closed at once where the
 * limits say so, which the log tells (0, or as server_refused()).  Main
 * thread. */
int server_accept(struct server *server, int fd,
                  const struct visitor *visitor);

/* What verbs of the control socket can look at, into *world.  After
 * server_start(). */
void server_show(struct server *server, struct world *world);

/* Serves these exports from now on, and no others: as catalog_change().  0 or
 * -ENOMEM.  Main thread. */
int server_change(struct server *server, const struct server_export *exports,
                  size_t n, const struct change_listener *listener,
                  struct vhd_error *err);

/* And so with who gets what of disks: as catalog_change_clients(). */
int server_change_clients(struct server *server,
                          const struct provision_config *provision,
                          struct vhd_error *err);

/* To be called now and then, for what is due.  Main thread. */
void server_sweep(struct server *server);

/* Somebody was not served because of a limit: -EUSERS, of connections; -EDQUOT,
 * of those of one address; -EMFILE and -ENFILE, of descriptors, the process's
 * and the system's; -ENOMEM; -ESHUTDOWN; -ECONNREFUSED: nobody new
 * is let in. */
void server_refused(struct server *server, int error,
                    const struct visitor *visitor);

/* Ends the service: options are answered with ERR_SHUTDOWN, commands that were
 * received are finished and answered, whereupon their connection is closed,
 * each image is flushed and closed, the threads are joined.  The caller has
 * stopped listening.  0, or -errno with err filled where an image could not be
 * closed well or where something in flight had to be given up.  Main thread;
 * blocks. */
int server_stop(struct server *server, struct vhd_error *err);

/* After server_stop(), or if server_start() has failed.  NULL is fine. */
void server_free(struct server *server);

#endif

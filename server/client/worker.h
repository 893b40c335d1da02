/* SPDX-License-Identifier: BSD-2-Clause */
/* worker.h: what the connections of one loop share.  Of that loop's thread. */
#ifndef SERVER_CLIENT_WORKER_H
#define SERVER_CLIENT_WORKER_H

#include <sys/queue.h>

#include "base/turns.h"

struct buf;
struct connection;
struct fact_tally;
struct host;
struct loop;
struct op;

struct worker {
  struct loop *loop;
  struct host *host;
  struct fact_tally *tally;
  struct buf *input;    /* where receiving begins; see connection/receive.c */
  struct op *spare_ops; /* see command/op.c */
  unsigned nspare_ops;
  TAILQ_HEAD(connections, connection) connections; /* see connection.c */
  struct turns turns; /* of those who negotiate TLS */
};

#endif

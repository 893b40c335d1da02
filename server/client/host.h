/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h: what connections need of the server that they belong to.  The server
 * fills it before there are any; it is constant but for what is atomic. */
#ifndef SERVER_CLIENT_HOST_H
#define SERVER_CLIENT_HOST_H

#include <stdatomic.h>

struct budget;
struct catalog;
struct fact;
struct nbd_policy;
struct peer;
struct server_config;

struct host {
  const struct server_config *config; /* limits, names, how TLS is made */
  const struct nbd_policy *policy;
  struct catalog *catalog;
  struct budget *budget;
  /* Something has happened to a connection.  On any loop's thread. */
  void (*tell)(struct host *host, const struct fact *fact);
  /* A connection has gone for good.  On a loop's thread. */
  void (*left)(struct host *host, struct peer *peer);
  atomic_bool stopping;
  atomic_bool draining;      /* nobody new is let in */
  atomic_uint_fast64_t born; /* connections; the last one's number */
};

#endif

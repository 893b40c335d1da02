/* SPDX-License-Identifier: BSD-2-Clause */
/* server.c: see server.h.  Puts loops, exports and connections together. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server.h"
#include "base/container.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "catalog/change.h"
#include "catalog/start/start.h"
#include "catalog/stop.h"
#include "client/connection/connection.h"
#include "client/command/op.h"
#include "client/connection/receive.h"
#include "control/world.h"
#include "io/engine.h"
#include "nbd/handshake/handshake.h"
#include "net/address_limit.h"
#include "net/stream.h"
#include "net/visitor.h"

#define MAX_LOOPS 256

static void
set_defaults(struct server_config *config)
{
  struct server_limits *limits = &config->limits;

#define DEFAULT(field, value) \
  if (!(field)) \
  (field) = (value)
  DEFAULT(limits->connections, 16384);
  DEFAULT(limits->handshake_sec, 10);
  DEFAULT(limits->requests, 256);
  DEFAULT(limits->bytes, UINT64_C(64) << 20);
  DEFAULT(limits->bytes_total, UINT64_C(512) << 20);
  DEFAULT(limits->grace_msec, 500);
  DEFAULT(limits->stop_sec, 30);
#undef DEFAULT
  if (config->threads == 0) {
    cpu_set_t cpus;
    config->threads = sched_getaffinity(0, sizeof cpus, &cpus) == 0
                        ? (unsigned)CPU_COUNT(&cpus)
                        : 1;
  }
  if (config->threads > MAX_LOOPS)
    config->threads = MAX_LOOPS;
}

static struct nbd_policy *
make_policy(const struct server_config *config)
{
  static const enum nbd_tls tls[] = {
    [SERVER_TLS_OFF] = NBD_TLS_OFF,
    [SERVER_TLS_ON] = NBD_TLS_ON,
    [SERVER_TLS_REQUIRE] = NBD_TLS_REQUIRE,
  };
  struct nbd_policy *policy = malloc(sizeof *policy);

  if (policy)
    *policy = (struct nbd_policy){
      .tls = tls[config->tls],
      .max_option = NBD_DEFAULT_MAX_OPTION,
      .max_options = NBD_DEFAULT_MAX_OPTIONS,
      .max_drain = NBD_DEFAULT_MAX_DRAIN,
    };
  return policy;
}

static void
tell(struct host *host, const struct fact *fact)
{
  facts_note(&CONTAINER_OF(host, struct server, host)->facts, fact);
}

/* A connection has gone for good. */
static void
left(struct host *host, struct peer *peer)
{
  struct server *server = CONTAINER_OF(host, struct server, host);

  descriptors_drop_client();
  address_limit_leave(server->addresses, peer);
  if (atomic_fetch_sub(&server->nconnections, 1) > 1)
    return;
  if (server->config.idle)
    server->config.idle(server->config.idle_opaque);
  pthread_mutex_lock(&server->lock);
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->lock);
}

static void
fill_host(struct server *server)
{
  server->host = (struct host){
    .config = &server->config,
    .policy = server->policy,
    .catalog = server->catalog,
    .budget = &server->budget,
    .tell = tell,
    .left = left,
  };
}

int
server_new(const struct server_config *config, struct server **out,
           struct vhd_error *err)
{
  struct server *server = calloc(1, sizeof *server);
  pthread_condattr_t attr;

  if (!server)
    return fail_system(err, ENOMEM, "cannot start");
  server->config = *config;
  set_defaults(&server->config);
  pthread_mutex_init(&server->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&server->changed, &attr);
  pthread_condattr_destroy(&attr);
  budget_init(&server->budget, server->config.limits.bytes_total,
              server->config.limits.bytes);
  server->policy = make_policy(&server->config);
  server->addresses =
    address_limit_new(server->config.limits.connections_per_address);
  events_init(&server->events);
  server->workers = calloc(server->config.threads, sizeof *server->workers);
  int r = 0;
  if (!server->policy || !server->addresses || !server->workers ||
      !facts_init(&server->facts, server->config.threads))
    r = fail_system(err, ENOMEM, "cannot start");
  else
    r = catalog_new(&server->config, &server->catalog, err);
  if (r < 0) {
    server_free(server);
    return r;
  }
  fill_host(server);
  *out = server;
  return 0;
}

/* ------------------------------------------------------------------- start */

/* On the loop's thread, to which its ring will belong. */
static void
begin_loop(struct loop *loop)
{
  struct worker *worker = loop->owner;
  struct server *server = CONTAINER_OF(worker->host, struct server, host);
  int r = 0;

  if (server->config.io != SERVER_IO_THREADS)
    r = uring_attach(loop);
  pthread_mutex_lock(&server->lock);
  server->nbegun++;
  if (r < 0)
    server->uring_error = r;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->lock);
}

static void
end_loop(struct loop *loop)
{
  struct worker *worker = loop->owner;

  uring_detach(loop);
  turns_clear(&worker->turns);
  op_clear_spare(loop->owner);
  receive_clear_input(loop->owner);
}

/* Waits until all loops have tried io_uring. */
static int
check_engine(struct server *server, struct vhd_error *err)
{
  pthread_mutex_lock(&server->lock);
  while (server->nbegun < server->nworkers)
    pthread_cond_wait(&server->changed, &server->lock);
  const int r = server->uring_error;
  pthread_mutex_unlock(&server->lock);
  if (r < 0 && server->config.io == SERVER_IO_URING)
    return fail_system(err, -r, "io_uring is not to be had");
  if (r < 0)
    log_debug("io_uring is not to be had (%s): using threads", strerror(-r));
  return 0;
}

static void
stop_loops(struct server *server)
{
  for (unsigned i = 0; i < server->nworkers; i++)
    loop_stop(server->workers[i].loop, end_loop);
  for (unsigned i = 0; i < server->nworkers; i++) {
    loop_join(server->workers[i].loop);
    loop_free(server->workers[i].loop);
  }
  server->nworkers = 0;
}

static int
start_worker(struct server *server, unsigned i)
{
  struct worker *worker = &server->workers[i];

  *worker = (struct worker){
    .host = &server->host,
    .tally = &server->facts.tallies[i],
  };
  TAILQ_INIT(&worker->connections);
  worker->loop = loop_new(worker, i);
  if (worker->loop)
    turns_init(&worker->turns, worker->loop);
  const int r = worker->loop ? loop_start(worker->loop, begin_loop) : -errno;
  if (r < 0)
    loop_free(worker->loop);
  return r;
}

static int
fail_start(int r, struct vhd_error *err)
{
  const char *limit = descriptors_explain(r);

  return fail_system(err, -r, "cannot start a thread%s%s", limit ? "; " : "",
                     limit ? limit : "");
}

static int
start_workers(struct server *server, struct vhd_error *err)
{
  int r = io_reserve_start();

  while (r == 0 && server->nworkers < server->config.threads) {
    r = start_worker(server, server->nworkers);
    server->nworkers += r == 0;
  }
  r = r < 0 ? fail_start(r, err) : check_engine(server, err);
  if (r < 0)
    stop_loops(server);
  return r;
}

int
server_start(struct server *server, struct vhd_error *err)
{
  struct vhd_error of_stop;
  int r = catalog_start(server->catalog, err);

  if (r < 0)
    return r;
  r = start_workers(server, err);
  if (r < 0)
    server->abandoned = catalog_stop(server->catalog,
                                     server->config.limits.stop_sec,
                                     &of_stop) == -ETIMEDOUT;
  return r;
}

/* ------------------------------------------------------------- connections */

struct arrival {
  struct task task;
  struct worker *worker;
  struct stream *stream;
  struct visitor visitor;
  struct peer *peer;
};

static void
on_arrival(struct task *task)
{
  struct arrival arrival = *(struct arrival *)task;

  free(task);
  connection_new(arrival.worker, arrival.stream, &arrival.visitor,
                 arrival.peer);
}

/* One limit after the other; those that were passed are given back. */
static int
admit(struct server *server, const struct visitor *visitor, struct peer **peer)
{
  if (atomic_load(&server->host.stopping))
    return -ESHUTDOWN;
  if (atomic_load(&server->host.draining))
    return -ECONNREFUSED;
  if (atomic_fetch_add(&server->nconnections, 1) >=
      server->config.limits.connections) {
    atomic_fetch_sub(&server->nconnections, 1);
    return -EUSERS;
  }
  int r = descriptors_take_client() ? 0 : -EMFILE;
  if (r < 0) {
    atomic_fetch_sub(&server->nconnections, 1);
    return r;
  }
  r = address_limit_enter(server->addresses, visitor, peer);
  if (r < 0) {
    descriptors_drop_client();
    atomic_fetch_sub(&server->nconnections, 1);
  }
  return r;
}

static enum fact_limit
limit_of(int error)
{
  switch (error) {
  case -EUSERS:
    return FACT_LIMIT_CONNECTIONS;
  case -EDQUOT:
    return FACT_LIMIT_ADDRESS;
  case -EMFILE:
    return FACT_LIMIT_PROCESS_FILES;
  case -ENFILE:
    return FACT_LIMIT_SYSTEM_FILES;
  case -ESHUTDOWN:
    return FACT_LIMIT_STOPPING;
  case -ECONNREFUSED:
    return FACT_LIMIT_DRAINING;
  default:
    return FACT_LIMIT_MEMORY;
  }
}

void
server_refused(struct server *server, int error, const struct visitor *visitor)
{
  const struct fact fact = {
    .kind = FACT_REFUSED,
    .visitor = visitor,
    .limit = limit_of(error),
  };

  facts_note(&server->facts, &fact);
}

int
server_accept(struct server *server, int fd, const struct visitor *visitor)
{
  struct peer *peer;
  int r = admit(server, visitor, &peer);

  if (r < 0) {
    close(fd);
    server_refused(server, r, visitor);
    return r;
  }
  struct arrival *arrival = malloc(sizeof *arrival);
  struct stream *stream = stream_plain_new(fd);
  if (!arrival || !stream) {
    free(arrival);
    if (stream)
      stream_free(stream);
    else
      close(fd);
    left(&server->host, peer);
    server_refused(server, -ENOMEM, visitor);
    return -ENOMEM;
  }
  const unsigned i =
    atomic_fetch_add(&server->next_worker, 1) % server->nworkers;
  *arrival = (struct arrival){
    .task.run = on_arrival,
    .worker = &server->workers[i],
    .stream = stream,
    .visitor = *visitor,
    .peer = peer,
  };
  loop_post(arrival->worker->loop, &arrival->task);
  return 0;
}

/* -------------------------------------------------------------------- stop */

struct sweep {
  struct task task;
  struct worker *worker;
  void (*visit)(struct worker *worker);
};

static void
on_sweep(struct task *task)
{
  struct sweep *sweep = (struct sweep *)task;

  sweep->visit(sweep->worker);
  free(sweep);
}

static void
visit_all(struct server *server, void (*visit)(struct worker *worker))
{
  for (unsigned i = 0; i < server->nworkers; i++) {
    struct sweep *sweep = malloc(sizeof *sweep);
    if (!sweep)
      continue; /* the next sweep, or the end, will do it */
    sweep->task.run = on_sweep;
    sweep->worker = &server->workers[i];
    sweep->visit = visit;
    loop_post(sweep->worker->loop, &sweep->task);
  }
}

/* Whether all connections have gone in time. */
static bool
wait_gone(struct server *server, uint64_t msec)
{
  struct timespec until;
  int r = 0;

  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)(msec / 1000);
  until.tv_nsec += (long)(msec % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&server->lock);
  while (atomic_load(&server->nconnections) > 0 && r == 0)
    r = pthread_cond_timedwait(&server->changed, &server->lock, &until);
  pthread_mutex_unlock(&server->lock);
  return atomic_load(&server->nconnections) == 0;
}

void
server_show(struct server *server, struct world *world)
{
  server->events.loop = world->loop;
  server->facts.events = &server->events;
  world->host = &server->host;
  world->facts = &server->facts;
  world->workers = server->workers;
  world->nworkers = server->nworkers;
}

int
server_change(struct server *server, const struct server_export *exports,
              size_t n, const struct change_listener *listener,
              struct vhd_error *err)
{
  return catalog_change(server->catalog, exports, n, listener, err);
}

int
server_change_clients(struct server *server,
                      const struct provision_config *provision,
                      struct vhd_error *err)
{
  return catalog_change_clients(server->catalog, provision, err);
}

void
server_sweep(struct server *server)
{
  catalog_sweep(server->catalog);
}

int
server_stop(struct server *server, struct vhd_error *err)
{
  const struct server_limits *limits = &server->config.limits;

  atomic_store(&server->host.stopping, true);
  visit_all(server, connections_shut_down);
  if (!wait_gone(server, limits->grace_msec)) {
    visit_all(server, connections_hurry);
    if (!wait_gone(server, limits->stop_sec * UINT64_C(1000))) {
      server->abandoned = true;
      return fail_system(err, ETIMEDOUT,
                         "what was in flight could not be finished");
    }
  }
  stop_loops(server);
  facts_log(&server->facts);
  const int r = catalog_stop(server->catalog, limits->stop_sec, err);
  server->abandoned = r == -ETIMEDOUT;
  return r;
}

void
server_free(struct server *server)
{
  /* Where something hangs that still uses all this, the process's end frees
   * it. */
  if (!server || server->abandoned)
    return;
  catalog_free(server->catalog);
  address_limit_free(server->addresses);
  free(server->policy);
  free(server->workers);
  budget_destroy(&server->budget);
  facts_destroy(&server->facts);
  pthread_cond_destroy(&server->changed);
  pthread_mutex_destroy(&server->lock);
  free(server);
}

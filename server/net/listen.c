/* SPDX-License-Identifier: BSD-2-Clause */
/* listen.c: listening and accepting; see listen.h.
 *
 * One thread accepts for all loops: it does nothing else, so that it keeps up
 * with any storm of clients, and who comes is dealt out evenly whichever socket
 * they come by.
 *
 * Where no descriptor is to be had, clients would wait in the kernel's queues
 * and never learn why.  So one is kept for them: it is given up, the client
 * accepted and closed, and the descriptor taken again.  Where even that fails
 * (another thread was quicker), or memory is short, the listening sockets,
 * which stay readable, rest for a moment: a loop that asks again at once spins.
 */
#include "config.h"

#include "net/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "net/socket.h"
#include "net/visitor.h"

/* Accepted in one go before the loop looks for signals again. */
#define ACCEPT_BATCH 64
#define REST_MSEC 100
#define MAX_ADDRESSES 64 /* that one host name may stand for */

struct listener {
  struct socket socket;
  struct event *event; /* NULL: not started */
  struct listen_set *set;
};

struct listen_set {
  struct listener *listeners;
  size_t n;
  struct event *rest; /* ends the pause after descriptors have run out */
  int spare;          /* a descriptor to turn clients away with; -1: gone */
  const char *told;   /* what the log says that it does */
  listen_accepted *accepted;
  listen_refused *refused;
  void *opaque;
};

/* ----------------------------------------------------------------- opening */

static int
add_sockets(struct listen_set *set, struct socket *sockets, size_t n,
            struct vhd_error *err)
{
  struct listener *listeners =
    reallocarray(set->listeners, set->n + n, sizeof *listeners);
  if (!listeners) {
    for (size_t i = 0; i < n; i++)
      socket_close(&sockets[i]);
    return fail_system(err, ENOMEM, "cannot listen");
  }
  set->listeners = listeners;
  for (size_t i = 0; i < n; i++) {
    listeners[set->n++] =
      (struct listener){ .socket = sockets[i], .set = set };
  }
  return 0;
}

static int
open_tcp(struct listen_set *set, const char *host, const char *port,
         struct vhd_error *err)
{
  struct socket sockets[MAX_ADDRESSES];
  size_t n;
  int r = socket_listen_tcp(host, port, sockets, MAX_ADDRESSES, &n, err);
  return r < 0 ? r : add_sockets(set, sockets, n, err);
}

static int
open_inherited(struct listen_set *set, int fd, struct vhd_error *err)
{
  struct socket sock;
  int r = socket_inherit(fd, &sock, err);
  return r < 0 ? r : add_sockets(set, &sock, 1, err);
}

/* What systemd and --fd hand over. */
static int
open_all_inherited(struct listen_set *set, const struct options *opt,
                   struct vhd_error *err)
{
  int n = socket_activation(err);
  int r = n < 0 ? n : 0;

  for (int fd = 3; r == 0 && fd < 3 + n; fd++)
    r = open_inherited(set, fd, err);
  /* A unit file may name with --fd what systemd passes anyway. */
  if (r == 0 && opt->fd >= 0 && !(opt->fd >= 3 && opt->fd < 3 + n))
    r = open_inherited(set, opt->fd, err);
  if (r == 0 && listen_connected(set) > 0 &&
      (opt->nlisten > 0 || opt->unix_paths.n > 0 ||
       opt->vsock_port != OPTIONS_NO_VSOCK || listen_listening(set) > 0)) {
    r = fail_argument(err, "the inherited socket is a connected client, which "
                           "is served alone: leave out --listen, --unix and "
                           "--vsock");
  }
  return r;
}

/* Loopback: both families, or the one that the system has. */
static int
open_default(struct listen_set *set, struct vhd_error *err)
{
  int r = open_tcp(set, "127.0.0.1", OPTIONS_DEFAULT_PORT, err);
  if (r < 0 && r != -EADDRNOTAVAIL && r != -EAFNOSUPPORT)
    return r;
  struct vhd_error second;
  int r6 = open_tcp(set, "::1", OPTIONS_DEFAULT_PORT, &second);
  if (r6 < 0 && set->n > 0 && (r6 == -EADDRNOTAVAIL || r6 == -EAFNOSUPPORT)) {
    log_debug("%s", second.message);
    return 0;
  }
  if (r6 < 0 && err)
    *err = second;
  return r6;
}

static int
open_all(struct listen_set *set, const struct options *opt, uid_t uid,
         gid_t gid, struct vhd_error *err)
{
  const struct socket_unix_options unix_options = { opt->unix_mode, uid, gid };
  struct socket sock;

  int r = open_all_inherited(set, opt, err);
  for (size_t i = 0; r == 0 && i < opt->nlisten; i++)
    r = open_tcp(set, opt->listen[i].host, opt->listen[i].port, err);
  for (size_t i = 0; r == 0 && i < opt->unix_paths.n; i++) {
    r =
      socket_listen_unix(opt->unix_paths.items[i], &unix_options, &sock, err);
    if (r == 0)
      r = add_sockets(set, &sock, 1, err);
  }
  if (r == 0 && opt->vsock_port != OPTIONS_NO_VSOCK) {
    r = socket_listen_vsock(opt->vsock_port, &sock, err);
    if (r == 0)
      r = add_sockets(set, &sock, 1, err);
  }
  if (r == 0 && set->n == 0)
    r = open_default(set, err);
  return r;
}

static int
make_set(const char *told, struct listen_set **set, struct vhd_error *err)
{
  *set = calloc(1, sizeof **set);
  if (!*set)
    return fail_system(err, ENOMEM, "cannot listen");
  (*set)->spare = -1;
  (*set)->told = told;
  return 0;
}

static int
keep_opened(int r, struct listen_set **set)
{
  if (r < 0) {
    listen_free(*set);
    *set = NULL;
  }
  return r;
}

int
listen_open(const struct options *opt, uid_t uid, gid_t gid,
            struct listen_set **set, struct vhd_error *err)
{
  int r = make_set("listening", set, err);

  return r < 0 ? r : keep_opened(open_all(*set, opt, uid, gid, err), set);
}

#define CONTROL_MODE 0600
#define CONTROL_MODE_ADMINS 0660

int
listen_open_control(const struct options *opt, uid_t uid, gid_t gid,
                    gid_t admins, struct listen_set **set,
                    struct vhd_error *err)
{
  const bool has_admins = admins != (gid_t)-1;
  const struct socket_unix_options unix_options = {
    .mode = opt->control_mode != OPTIONS_NO_MODE ? opt->control_mode
            : has_admins                         ? CONTROL_MODE_ADMINS
                                                 : CONTROL_MODE,
    .uid = uid,
    .gid = has_admins ? admins : gid,
  };
  struct socket sock;
  int r = make_set("taking commands", set, err);

  if (r < 0 || !opt->control)
    return r;
  r = socket_listen_unix(opt->control, &unix_options, &sock, err);
  if (r == 0)
    r = add_sockets(*set, &sock, 1, err);
  return keep_opened(r, set);
}

int
listen_open_metrics(const struct options *opt, struct listen_set **set,
                    struct vhd_error *err)
{
  int r = make_set("telling metrics", set, err);

  if (r < 0 || opt->metrics.port[0] == '\0')
    return r;
  return keep_opened(open_tcp(*set, opt->metrics.host, opt->metrics.port, err),
                     set);
}

size_t
listen_connected(const struct listen_set *set)
{
  size_t n = 0;
  for (size_t i = 0; i < set->n; i++)
    n += set->listeners[i].socket.connected;
  return n;
}

size_t
listen_listening(const struct listen_set *set)
{
  return set->n - listen_connected(set);
}

void
listen_close_connected(struct listen_set *set)
{
  for (size_t i = 0; i < set->n; i++) {
    if (set->listeners[i].socket.connected) {
      socket_close(&set->listeners[i].socket);
      set->listeners[i].socket.connected = true;
    }
  }
}

void
listen_disown(struct listen_set *set)
{
  for (size_t i = 0; i < set->n; i++) {
    free(set->listeners[i].socket.path);
    set->listeners[i].socket.path = NULL;
  }
}

/* --------------------------------------------------------------- accepting */

static int
accept_visitor(int fd, struct visitor *visitor)
{
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  int client =
    accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

  if (client >= 0)
    visitor_init(visitor, client, (struct sockaddr *)&peer, len);
  return client;
}

/* A file of its own, so that the system has one more when it is closed. */
static void
take_spare(struct listen_set *set)
{
  if (set->spare < 0)
    set->spare = eventfd(0, EFD_CLOEXEC);
}

/* Turns one client away; false: nothing can be done for now. */
static bool
refuse_one(struct listen_set *set, int fd, int sys)
{
  if (set->spare < 0 || (sys != EMFILE && sys != ENFILE))
    return false;
  close(set->spare);
  set->spare = -1;
  struct visitor visitor;
  int client = accept_visitor(fd, &visitor);
  if (client >= 0)
    close(client);
  take_spare(set);
  if (client >= 0)
    set->refused(set->opaque, -sys, &visitor);
  return client >= 0;
}

static void
rest(struct listen_set *set, int sys)
{
  static const struct timeval pause = { .tv_usec = REST_MSEC * 1000 };

  if (log_cause_pass("connections that cannot be accepted"))
    log_warning("cannot accept connections for now: %s", strerror(sys));
  for (size_t i = 0; i < set->n; i++)
    if (set->listeners[i].event)
      event_del(set->listeners[i].event);
  event_add(set->rest, &pause);
}

static void
rested(evutil_socket_t fd, short what, void *opaque)
{
  struct listen_set *set = opaque;

  (void)fd;
  (void)what;
  take_spare(set);
  for (size_t i = 0; i < set->n; i++)
    if (set->listeners[i].event)
      event_add(set->listeners[i].event, NULL);
}

/* What accept(2) reports of a client that has gone again, of its network or of
 * a firewall: the next one is not to blame. */
static bool
is_clients_fault(int sys)
{
  static const int faults[] = {
    ECONNABORTED, EPROTO,       EPERM,       ETIMEDOUT,  ENETDOWN, ENETUNREACH,
    EHOSTDOWN,    EHOSTUNREACH, ENOPROTOOPT, EOPNOTSUPP, ENONET,
  };

  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (faults[i] == sys)
      return true;
  return false;
}

/* Whether there may be more. */
static bool
accept_one(struct listen_set *set, int fd)
{
  struct visitor visitor;
  int client = accept_visitor(fd, &visitor);
  int sys = errno;

  if (client >= 0) {
    if (visitor_family(&visitor) == AF_UNIX)
      socket_tune(client);
    set->accepted(set->opaque, client, &visitor);
    return true;
  }
  if (sys == EAGAIN || sys == EINTR)
    return false;
  if (is_clients_fault(sys) || refuse_one(set, fd, sys))
    return true;
  rest(set, sys);
  return false;
}

static void
acceptable(evutil_socket_t fd, short what, void *opaque)
{
  struct listen_set *set = ((struct listener *)opaque)->set;

  (void)what;
  for (int i = 0; i < ACCEPT_BATCH && accept_one(set, fd); i++) {
  }
}

static int
start_one(struct listener *listener, struct event_base *base,
          struct vhd_error *err)
{
  char name[SOCKET_NAME_SIZE];

  listener->event = event_new(base, listener->socket.fd, EV_READ | EV_PERSIST,
                              acceptable, listener);
  if (!listener->event || event_add(listener->event, NULL) < 0)
    return fail_system(err, ENOMEM, "cannot listen");
  socket_name(listener->socket.fd, name, sizeof name);
  log_notice("%s on %s", listener->set->told, name);
  return 0;
}

int
listen_start(struct listen_set *set, struct event_base *base,
             listen_accepted *accepted, listen_refused *refused, void *opaque,
             struct vhd_error *err)
{
  set->accepted = accepted;
  set->refused = refused;
  take_spare(set);
  set->opaque = opaque;
  set->rest = evtimer_new(base, rested, set);
  if (!set->rest)
    return fail_system(err, ENOMEM, "cannot listen");
  for (size_t i = 0; i < set->n; i++) {
    struct socket *sock = &set->listeners[i].socket;
    if (!sock->connected) {
      int r = start_one(&set->listeners[i], base, err);
      if (r < 0)
        return r;
    } else {
      int fd = sock->fd;
      sock->fd = -1;
      struct sockaddr_storage peer;
      struct visitor visitor;
      socklen_t len = sizeof peer;
      bool known = getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
      visitor_init(&visitor, fd, known ? (struct sockaddr *)&peer : NULL, len);
      accepted(opaque, fd, &visitor);
    }
  }
  return 0;
}

void
listen_unlink(const struct listen_set *set)
{
  for (size_t i = 0; i < set->n; i++)
    socket_unlink(&set->listeners[i].socket);
}

void
listen_stop(struct listen_set *set)
{
  for (size_t i = 0; i < set->n; i++) {
    if (set->listeners[i].event) {
      event_free(set->listeners[i].event);
      set->listeners[i].event = NULL;
    }
    socket_close(&set->listeners[i].socket);
  }
  if (set->rest) {
    event_free(set->rest);
    set->rest = NULL;
  }
  if (set->spare >= 0) {
    close(set->spare);
    set->spare = -1;
  }
}

void
listen_free(struct listen_set *set)
{
  if (set) {
    listen_stop(set);
    free(set->listeners);
    free(set);
  }
}

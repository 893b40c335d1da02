/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vhdkitd: start-up and orderly shutdown.
 *
 * Start-up goes from rights to none: sockets, keys and the pid file are opened
 * with the rights that we were started with; then the process gives them up
 * (user.h, sandbox.h); only then are images opened, which strangers may have
 * written, and threads started, which are confined because their creator is.
 *
 * This thread accepts connections and waits for signals; everything else
 * happens on the server's loops.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "fail.h"
#include "listen.h"
#include "log.h"
#include "notify.h"
#include "options.h"
#include "server.h"
#include "user.h"
#ifdef HAVE_TLS
#include "tls_context.h"
#include "tls_stream.h"
#endif

enum {
  EXIT_USAGE = 2,
};

/* Descriptors that are not clients: images, journals, loops. */
#define OTHER_DESCRIPTORS 256

struct daemon {
  struct options options;
  struct user user;
  struct listen_set *listen;
  struct tls_context *tls;
  struct server *server;
  struct server_export *exports;
  bool serving; /* server_start() has succeeded */
  struct event_base *base;
  struct event *events[4]; /* SIGTERM, SIGINT, SIGHUP, idle */
  int idle_fd;             /* becomes readable when the last client leaves */
  int notify_fd;
  int pid_fd; /* of the pid file */
};

/* ----------------------------------------------------------------- settings */

/* As many descriptors as we may have: each client is one.  Returns for how many
 * clients they last. */
static unsigned
raise_descriptors(void)
{
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
    return 0;
  }
  if (limit.rlim_cur < limit.rlim_max) {
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
      limit = raised;
    }
  }
  rlim_t n = limit.rlim_cur > 2 * OTHER_DESCRIPTORS
               ? limit.rlim_cur - OTHER_DESCRIPTORS
               : limit.rlim_cur / 2 + 1;
  return n < 1000000 ? (unsigned) n : 1000000;
}

#ifdef HAVE_TLS
static struct stream *
make_tls_stream(void *opaque, int fd)
{
  return tls_stream_new(opaque, fd);
}
#endif

static void
on_last_gone(void *opaque)
{
  const struct daemon *d = opaque;
  eventfd_write(d->idle_fd, 1);
}

static bool
is_directory(const char *path)
{
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
configure_exports(struct daemon *d, struct server_config *config,
                  struct vhd_error *err)
{
  const struct options *opt = &d->options;

  if (opt->nexports == 1 && opt->exports[0].name == NULL &&
      is_directory(opt->exports[0].path)) {
    config->directory = opt->exports[0].path;
    return 0;
  }
  d->exports = calloc(opt->nexports, sizeof *d->exports);
  if (d->exports == NULL) {
    return fail_system(err, ENOMEM, "cannot start");
  }
  for (size_t i = 0; i < opt->nexports; i++) {
    const struct options_export *from = &opt->exports[i];
    if (from->name != NULL && is_directory(from->path)) {
      return fail_argument(err, "%s is a directory: its images have their own "
                                "names; give it alone, without %s=",
                           from->path, from->name);
    }
    d->exports[i] = (struct server_export){
      .name = from->name != NULL ? from->name : "",
      .path = from->path,
      .readonly = opt->readonly,
    };
  }
  config->exports = d->exports;
  config->nexports = opt->nexports;
  return 0;
}

static void
configure_limits(struct daemon *d, unsigned clients,
                 struct server_limits *limits)
{
  const struct options *opt = &d->options;

  limits->connections = opt->max_connections;
  if (clients != 0 && opt->max_connections > clients) {
    log_warning("--max-connections %u: descriptors last for %u; raise the "
                "limit (ulimit -n, LimitNOFILE=)",
                opt->max_connections, clients);
  }
  if (opt->max_connections == 0) {
    limits->connections = clients;
  }
  limits->connections_per_address = opt->max_connections_per_address;
  limits->handshake_sec = opt->handshake_timeout;
}

static int
make_server(struct daemon *d, unsigned clients, struct vhd_error *err)
{
  static const enum server_io io[] = {
    [OPTIONS_IO_AUTO] = SERVER_IO_AUTO,
    [OPTIONS_IO_URING] = SERVER_IO_URING,
    [OPTIONS_IO_THREADS] = SERVER_IO_THREADS,
  };
  static const enum server_tls tls[] = {
    [OPTIONS_TLS_OFF] = SERVER_TLS_OFF,
    [OPTIONS_TLS_ON] = SERVER_TLS_ON,
    [OPTIONS_TLS_REQUIRE] = SERVER_TLS_REQUIRE,
  };
  const struct options *opt = &d->options;
  struct server_config config = {
    .readonly = opt->readonly,
    .threads = opt->threads,
    .io = io[opt->io],
    .open = {.roots = opt->roots.items, .nroots = opt->roots.n},
    .tls = tls[opt->tls],
    .tls_opaque = d->tls,
    .idle_opaque = d,
  };
#ifdef HAVE_TLS
  config.tls_stream = d->tls != NULL ? make_tls_stream : NULL;
#endif
  if (opt->size == OPTIONS_SIZE_CHS) {
    config.open.flags |= VHD_OPEN_SIZE_CHS;
  }
  if (listen_connected(d->listen) > 0) {
    config.idle = on_last_gone;
  }
  configure_limits(d, clients, &config.limits);
  int r = configure_exports(d, &config, err);
  return r < 0 ? r : server_new(&config, &d->server, err);
}

/* ------------------------------------------------------------------- events */

static void
on_stop(evutil_socket_t signal, short what, void *opaque)
{
  struct daemon *d = opaque;
  (void) signal;
  (void) what;
  event_base_loopbreak(d->base);
}

static void
on_hangup(evutil_socket_t signal, short what, void *opaque)
{
  (void) signal;
  (void) what;
  (void) opaque;
#ifdef HAVE_TLS
  struct daemon *d = opaque;
  if (d->tls != NULL) {
    tls_context_reload(d->tls);
  }
#endif
}

static void
on_accepted(void *opaque, int fd, const struct sockaddr *peer,
            socklen_t peer_len)
{
  struct daemon *d = opaque;
  static struct log_limit limit;

  int r = server_accept(d->server, fd, peer, peer_len);
  if (r < 0 && log_limit_pass(&limit)) {
    log_warning("refused a connection: %s",
                r == -EMFILE ? "there are as many as are allowed"
                             : strerror(-r));
  }
}

static int
make_events(struct daemon *d, struct vhd_error *err)
{
  const struct {
    int fd;
    short what;
    event_callback_fn run;
  } table[] = {
    {SIGTERM, EV_SIGNAL | EV_PERSIST, on_stop},
    {SIGINT, EV_SIGNAL | EV_PERSIST, on_stop},
    {SIGHUP, EV_SIGNAL | EV_PERSIST, on_hangup},
    {d->idle_fd, EV_READ, on_stop},
  };

  d->base = event_base_new();
  if (d->base == NULL) {
    return fail_system(err, ENOMEM, "cannot make an event loop");
  }
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    d->events[i] =
      event_new(d->base, table[i].fd, table[i].what, table[i].run, d);
    if (d->events[i] == NULL || event_add(d->events[i], NULL) < 0) {
      return fail_system(err, ENOMEM, "cannot wait for signals");
    }
  }
  return 0;
}

/* ----------------------------------------------------------------- start-up */

/* Started by inetd, standard error is the client: nothing of ours belongs
 * there. */
static void
spare_client(int fd)
{
  struct stat client, out;
  int null;

  if (fd >= 0 && fd != STDERR_FILENO && fstat(fd, &client) == 0 &&
      S_ISSOCK(client.st_mode) && fstat(STDERR_FILENO, &out) == 0 &&
      client.st_dev == out.st_dev && client.st_ino == out.st_ino &&
      (null = open("/dev/null", O_WRONLY)) >= 0) {
    dup2(null, STDERR_FILENO);
    close(null);
  }
}

static int
open_pid_file(struct daemon *d, struct vhd_error *err)
{
  const char *path = d->options.pid_file;

  if (path == NULL) {
    return 0;
  }
  d->pid_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  return d->pid_fd < 0 ? fail_system(err, errno, "cannot write %s", path) : 0;
}

static void
write_pid_file(const struct daemon *d)
{
  if (d->pid_fd >= 0 &&
      (ftruncate(d->pid_fd, 0) < 0 ||
       dprintf(d->pid_fd, "%ld\n", (long) getpid()) < 0)) {
    log_warning("cannot write %s: %s", d->options.pid_file, strerror(errno));
  }
}

static int
load_tls(struct daemon *d, struct vhd_error *err)
{
#ifdef HAVE_TLS
  const struct options *opt = &d->options;
  const struct tls_config config = {
    .certificates = opt->tls_certificates,
    .verify_peer = opt->tls_verify_peer,
    .psk = opt->tls_psk,
  };
  if (opt->tls != OPTIONS_TLS_OFF) {
    return tls_context_new(&config, &d->tls, err);
  }
#endif
  (void) d;
  (void) err;
  return 0;
}

/* What needs the rights that we were started with. */
static int
start_privileged(struct daemon *d, struct vhd_error *err)
{
  int r = user_find(d->options.user, d->options.group, &d->user, err);
  if (r == 0) {
    r = listen_open(&d->options, d->user.uid, d->user.gid, &d->listen, err);
  }
  if (r == 0) {
    r = load_tls(d, err);
  }
  if (r == 0) {
    r = open_pid_file(d, err);
  }
  return r;
}

static int
start(struct daemon *d, struct vhd_error *err)
{
  unsigned clients = raise_descriptors();

  signal(SIGPIPE, SIG_IGN);
  spare_client(d->options.fd);
  d->notify_fd = notify_open();
  d->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int r = start_privileged(d, err);
  if (r == 0) {
    r = user_become(&d->user, err);
  }
  if (r == 0) {
    r = confine(&d->options, d->listen, err);
  }
  if (r == 0) {
    r = make_server(d, clients, err);
  }
  if (r == 0) {
    r = server_start(d->server, err);
    d->serving = r == 0;
  }
  if (r == 0) {
    r = make_events(d, err);
  }
  if (r == 0) {
    r = listen_start(d->listen, d->base, on_accepted, d, err);
  }
  if (r == 0) {
    write_pid_file(d);
    notify_send(d->notify_fd, "READY=1\n");
  }
  return r;
}

/* ------------------------------------------------------------------ the end */

/* Whatever start() has come to.  After the listeners are closed, and before
 * the server is waited for, signals get their deadly meaning back. */
static int
stop(struct daemon *d, struct vhd_error *err)
{
  notify_send(d->notify_fd, "STOPPING=1\n");
  if (d->listen != NULL) {
    listen_stop(d->listen);
  }
  for (size_t i = 0; i < sizeof d->events / sizeof *d->events; i++) {
    if (d->events[i] != NULL) {
      event_free(d->events[i]);
    }
  }
  int r = d->serving ? server_stop(d->server, err) : 0;
  server_free(d->server);
  if (d->pid_fd >= 0) {
    unlink(d->options.pid_file);
    close(d->pid_fd);
  }
  if (d->base != NULL) {
    event_base_free(d->base);
  }
  listen_free(d->listen);
#ifdef HAVE_TLS
  tls_context_free(d->tls);
#endif
  free(d->exports);
  close(d->idle_fd);
  if (d->notify_fd >= 0) {
    close(d->notify_fd);
  }
  return r;
}

static int
run(struct daemon *d)
{
  struct vhd_error err;
  int status = EXIT_SUCCESS;

  if (start(d, &err) == 0) {
    event_base_dispatch(d->base);
  } else {
    log_error("%s", err.message);
    status = EXIT_FAILURE;
  }
  if (stop(d, &err) < 0) {
    log_error("%s", err.message);
    status = EXIT_FAILURE;
  }
  return status;
}

int
main(int argc, char **argv)
{
  struct daemon d = {.idle_fd = -1, .notify_fd = -1, .pid_fd = -1};
  char message[1024];
  int status = EXIT_SUCCESS;

  switch (options_parse(&d.options, argc, argv, message, sizeof message)) {
  case OPTIONS_WRONG:
    log_error("%s", message);
    status = EXIT_USAGE;
    break;
  case OPTIONS_DONE:
    break;
  case OPTIONS_RUN:
    if (d.options.verbose) {
      log_set_level(LOG_LEVEL_DEBUG);
    }
    status = run(&d);
    break;
  }
  options_free(&d.options);
  return status;
}

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
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "config/command_line.h"
#include "config/resolve.h"
#include "keeper/early_stop.h"
#include "keeper/holder_probe.h"
#include "keeper/notify.h"
#include "keeper/pid_file.h"
#include "keeper/sandbox_paths.h"
#include "keeper/user.h"
#include "net/listen.h"
#include "server.h"
#ifdef HAVE_TLS
#include "keeper/key_file.h"
#include "net/tls/context.h"
#include "net/tls/stream.h"
#endif

enum {
  EXIT_USAGE = 2,
};

struct daemon {
  struct options options;
  struct user user;
  struct listen_set *listen;
  struct tls_context *tls;
  struct server *server;
  struct server_config config;
  struct witness witness;
  bool serving; /* server_start() has succeeded */
  struct event_base *base;
  struct event *events[5]; /* SIGTERM, SIGINT, SIGHUP, idle, time */
  int idle_fd;             /* becomes readable when the last client leaves */
  int notify_fd;
  struct pid_file pid_file;
  struct early_stop early;
};

/* ---------------------------------------------------- what the server calls */

#ifdef HAVE_TLS
static struct stream *
make_tls_stream(void *opaque, int fd)
{
  return tls_stream_new(opaque, fd);
}

/* For systemctl status. */
static void
tell_trouble(void *opaque, const char *trouble)
{
  const struct daemon *d = opaque;
  char text[1024], state[1100];

  log_sanitize(trouble, text, sizeof text);
  snprintf(state, sizeof state, "STATUS=%s%s\n", text,
           text[0] != '\0' ? " (the former keys stay in use)" : "");
  notify_send(d->notify_fd, state);
}
#endif

static void
on_last_gone(void *opaque)
{
  const struct daemon *d = opaque;
  eventfd_write(d->idle_fd, 1);
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
on_time(evutil_socket_t fd, short what, void *opaque)
{
  (void) fd;
  (void) what;
  (void) opaque;
  log_cause_tell(false);
}

static void
on_accepted(void *opaque, int fd, const struct visitor *visitor)
{
  struct daemon *d = opaque;

  server_accept(d->server, fd, visitor);
}

static void
on_refused(void *opaque, int error, const struct visitor *visitor)
{
  struct daemon *d = opaque;

  server_refused(d->server, error, visitor);
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
    {-1, EV_PERSIST, on_time},
  };
  const struct timeval interval = {.tv_sec = LOG_CAUSE_SEC};

  d->base = event_base_new();
  if (d->base == NULL) {
    return fail_system(err, ENOMEM, "cannot make an event loop");
  }
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    d->events[i] =
      event_new(d->base, table[i].fd, table[i].what, table[i].run, d);
    if (d->events[i] == NULL ||
        event_add(d->events[i], table[i].fd < 0 ? &interval : NULL) < 0) {
      return fail_system(err, ENOMEM, "cannot wait for signals");
    }
  }
  return 0;
}

/* ----------------------------------------------------------------- start-up */

/* What others would find of us if a signal ended the start. */
static void
tidy(void *opaque)
{
  const struct daemon *d = opaque;

  listen_unlink(d->listen);
  pid_file_remove(&d->pid_file);
}

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
load_tls(struct daemon *d, struct vhd_error *err)
{
#ifdef HAVE_TLS
  const struct options *opt = &d->options;
  const struct tls_config config = {
    .certificates = opt->tls_certificates,
    .verify_peer = opt->tls_verify_peer,
    .psk = opt->tls_psk,
    .read = key_file_read,
    .tell = tell_trouble,
    .tell_opaque = d,
  };
  if (opt->tls != OPTIONS_TLS_OFF) {
    return tls_context_new(&config, &d->tls, err);
  }
#endif
  (void) d;
  (void) err;
  return 0;
}

static int
watch_tls(struct daemon *d, struct vhd_error *err)
{
#ifdef HAVE_TLS
  if (d->tls != NULL) {
    return tls_context_start(d->tls, err);
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
    r = pid_file_open(&d->pid_file, d->options.pid_file, err);
  }
  return r;
}

/* The server, its rights given up before it touches an image. */
static int
start_confined(struct daemon *d, struct vhd_error *err)
{
  int r = user_become(&d->user, err);
  if (r == 0) {
    r = configure(&d->options, &d->config, err);
  }
  if (r < 0) {
    return r;
  }
#ifdef HAVE_TLS
  d->config.tls_stream = d->tls != NULL ? make_tls_stream : NULL;
  d->config.tls_opaque = d->tls;
#endif
  d->config.idle = listen_connected(d->listen) > 0 ? on_last_gone : NULL;
  d->config.idle_opaque = d;
  witness_start(&d->witness, &d->config);
  r = confine(&d->options, d->listen, err);
  if (r == 0) {
    d->early = (struct early_stop){.tidy = tidy, .opaque = d};
    early_stop_begin(&d->early);
    r = server_new(&d->config, &d->server, err);
  }
  if (r == 0) {
    r = server_start(d->server, err);
    d->serving = r == 0;
    if (r == 0) {
      confine_threads(&d->options);
    }
    if (r < 0 && err->code == VHD_BUSY) {
      server_free(d->server);
      d->server = NULL;
      witness_ask(&d->witness, err);
    }
  }
  witness_end(&d->witness);
  return r;
}

static int
start(struct daemon *d, struct vhd_error *err)
{
  signal(SIGPIPE, SIG_IGN);
  /* Keys are not loaded again while they are being loaded, nor at the end; but
   * that is nothing to die of. */
  signal(SIGHUP, SIG_IGN);
  spare_client(d->options.fd);
  d->notify_fd = notify_open();
  d->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int r = start_privileged(d, err);
  if (r == 0) {
    r = start_confined(d, err);
  }
  if (r == 0) {
    r = watch_tls(d, err);
  }
  if (r == 0) {
    r = make_events(d, err);
  }
  early_stop_end(&d->early);
  if (r == 0) {
    descriptors_settle();
    r = listen_start(d->listen, d->base, on_accepted, on_refused, d, err);
  }
  if (r == 0) {
    pid_file_write(&d->pid_file);
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
  log_cause_tell(true);
  server_free(d->server);
  pid_file_remove(&d->pid_file);
  pid_file_close(&d->pid_file);
  if (d->base != NULL) {
    event_base_free(d->base);
  }
  listen_free(d->listen);
#ifdef HAVE_TLS
  tls_context_free(d->tls);
#endif
  configure_free(&d->config);
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

/* A standard file that is not there must not become an image, into which
 * messages would then go. */
static void
fill_standard_files(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
      _exit(EXIT_FAILURE);
    }
  }
}

int
main(int argc, char **argv)
{
  struct daemon d = {.idle_fd = -1, .notify_fd = -1, .pid_file.fd = -1};
  char message[1024];
  int status = EXIT_SUCCESS;

  fill_standard_files();
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* service.c: the worker's life; see service.h. */
#include "config.h"

#include "service.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "base/thread.h"
#include "base/loop.h"
#include "config/command_line.h"
#include "config/parcel.h"
#include "config/resolve.h"
#include "catalog/change.h"
#include "control/reloads.h"
#include "control/disks/schedule.h"
#include "control/metrics/scrape.h"
#include "control/socket/reception.h"
#include "control/world.h"
#include "hands.h"
#include "keeper/broker/broker.h"
#include "keeper/broker/orders.h"
#include "keeper/keeper.h"
#include "keeper/confine.h"
#include "keeper/user.h"
#include "net/listen.h"
#include "online/online.h"
#include "server.h"
#ifdef HAVE_TLS
#include "net/tls/context.h"
#include "net/tls/stream.h"
#endif

/* How long orders to disks may take that were given before the end. */
#define ORDERS_SEC 10

struct service {
  const struct service_setup *setup;
  const struct keeper_ties *ties;
  struct tls_context *tls;
  struct server *server;
  struct server_config config;
  bool serving;            /* server_start() has succeeded */
  struct loop *loop;       /* this thread's */
  struct event_base *base; /* its */
  struct world world;
  struct reception *reception;
  struct scrape *scrape;
  struct schedule *schedule;
  struct event *events[3]; /* the keeper, idle, time */
  int idle_fd;             /* becomes readable when the last client leaves */
};

/* ---------------------------------------------------- what the server calls */

#ifdef HAVE_TLS
static struct stream *
make_tls_stream(void *opaque, int fd)
{
  return tls_stream_new(opaque, fd);
}

/* On the thread of the keys. */
static void
tell_trouble(void *opaque, const char *trouble, bool former)
{
  const struct service *s = opaque;
  char text[1024] = "";

  if (trouble[0] != '\0')
    snprintf(text, sizeof text, "%s (%s)", trouble,
             former ? "the former keys stay in use" : "nobody gets in by TLS");
  keeper_tell(s->ties, text);
}

static void
tell_revokes(void *opaque)
{
  const struct service *s = opaque;
  keeper_say(s->ties, KEEPER_REVOKES);
}
#endif

static void
on_last_gone(void *opaque)
{
  const struct service *s = opaque;
  eventfd_write(s->idle_fd, 1);
}

/* ------------------------------------------------------------------- events */

/* By what the keeper has read, which is as sound as at the start. */
static int
change_exports(struct service *s, int parcel, struct vhd_error *err)
{
  const struct change_listener listener = { reloads_differs, &s->world };
  struct options options;
  int r = parcel_unpack(parcel, &options);
  struct server_export *exports = r < 0 ? NULL : resolve_exports(&options);

  broker_renew();
  orders_renew();
  if (!exports)
    r =
      fail_system(err, r < 0 ? -r : ENOMEM, "the exports are those of before");
  else
    r = server_change(s->server, exports, options.nexports, &listener, err);
  if (r == 0)
    r = server_change_clients(s->server, &options.provision, err);
  free(exports);
  options_free(&options);
  return r;
}

static void
reload_keys(struct service *s)
{
#ifdef HAVE_TLS
  if (s->tls)
    tls_context_reload(s->tls);
#else
  (void)s;
#endif
}

static void
reload(struct service *s, const struct keeper_heard *heard)
{
  const struct keeper_reading *reading = &heard->reading;
  struct vhd_error err;
  int r = 0;

  reload_keys(s);
  if (reading->fd >= 0)
    r = change_exports(s, reading->fd, &err);
  else if (reading->fd == -EMFILE)
    r = fail_system(&err, EMFILE, "the exports are those of before");
  if (r < 0)
    log_error("%s", err.message);
  reloads_done(&s->world, heard->asked, reading->wrong || r < 0,
               r < 0 ? err.message : reading->text);
}

static void
on_word(evutil_socket_t fd, short what, void *opaque)
{
  struct service *s = opaque;
  struct keeper_heard heard;

  (void)fd;
  (void)what;
  switch (keeper_hear(s->ties, &heard)) {
  case KEEPER_STOP:
    event_base_loopbreak(s->base);
    break;
  case KEEPER_RELOAD:
    reload(s, &heard);
    return;
  }
  if (heard.reading.fd >= 0)
    close(heard.reading.fd);
}

static void
on_idle(evutil_socket_t fd, short what, void *opaque)
{
  struct service *s = opaque;
  (void)fd;
  (void)what;
  event_base_loopbreak(s->base);
}

static void
on_time(evutil_socket_t fd, short what, void *opaque)
{
  struct service *s = opaque;

  (void)fd;
  (void)what;
  log_cause_tell(false);
  server_sweep(s->server);
}

static void
on_accepted(void *opaque, int fd, const struct visitor *visitor)
{
  struct service *s = opaque;

  server_accept(s->server, fd, visitor);
}

static void
on_refused(void *opaque, int error, const struct visitor *visitor)
{
  struct service *s = opaque;

  server_refused(s->server, error, visitor);
}

static void
on_command(void *opaque, int fd, const struct visitor *visitor)
{
  struct service *s = opaque;

  reception_accept(s->reception, fd, visitor);
}

static void
on_scraper(void *opaque, int fd, const struct visitor *visitor)
{
  struct service *s = opaque;

  scrape_accept(s->scrape, fd, visitor);
}

/* These are turned away, too, where there are no descriptors. */
static void
on_other_refused(void *opaque, int error, const struct visitor *visitor)
{
  (void)opaque;
  (void)error;
  (void)visitor;
}

static int
make_events(struct service *s, struct vhd_error *err)
{
  const struct {
    int fd;
    short what;
    event_callback_fn run;
  } table[] = {
    { s->ties->control, EV_READ | EV_PERSIST, on_word },
    { s->idle_fd, EV_READ, on_idle },
    { -1, EV_PERSIST, on_time },
  };
  const struct timeval interval = { .tv_sec = LOG_CAUSE_SEC };

  s->loop = loop_new(s, 0);
  if (!s->loop)
    return fail_system(err, errno, "cannot make an event loop");
  s->base = s->loop->base;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    s->events[i] =
      event_new(s->base, table[i].fd, table[i].what, table[i].run, s);
    if (!s->events[i] ||
        event_add(s->events[i], table[i].fd < 0 ? &interval : NULL) < 0)
      return fail_system(err, ENOMEM, "cannot wait for the keeper");
  }
  return 0;
}

/* ----------------------------------------------------------------- start-up */

static int
load_tls(struct service *s, struct vhd_error *err)
{
#ifdef HAVE_TLS
  const struct options *opt = s->setup->options;
  const struct tls_config config = {
    .certificates = opt->tls_certificates,
    .verify_peer = opt->tls_verify_peer,
    .psk = opt->tls_psk,
    .read = keeper_read,
    .look = keeper_look,
    .continues = s->ties->replaces,
    .revokes = s->ties->revokes,
    .tell = tell_trouble,
    .tell_revokes = tell_revokes,
    .tell_opaque = s,
  };
  if (opt->tls != OPTIONS_TLS_OFF)
    return tls_context_new(&config, &s->tls, err);
#endif
  (void)s;
  (void)err;
  return 0;
}

static int
watch_tls(struct service *s, struct vhd_error *err)
{
#ifdef HAVE_TLS
  if (s->tls)
    return tls_context_start(s->tls, err);
#endif
  (void)s;
  (void)err;
  return 0;
}

static int
give_up_rights(struct service *s, struct vhd_error *err)
{
  int r = user_become(s->setup->user, err);

  keeper_tie(s->ties);
  if (r == 0)
    r = resolve_config(s->setup->options, &s->config, err);
  if (r == 0)
    r = confine_worker(s->setup->options, err);
  return r;
}

static void
fill_config(struct service *s)
{
  s->config.make_child = hands_make_child;
  s->config.remove_child = hands_remove_child;
#ifdef HAVE_TLS
  s->config.tls_stream = s->tls ? make_tls_stream : NULL;
  s->config.tls_opaque = s->tls;
#endif
  s->config.idle = listen_connected(s->setup->listen) > 0 ? on_last_gone
                                                          : NULL;
  s->config.idle_opaque = s;
}

static int
start_server(struct service *s, struct vhd_error *err)
{
  int r = server_new(&s->config, &s->server, err);

  if (r == 0) {
    r = server_start(s->server, err);
    s->serving = r == 0;
  }
  if (s->serving)
    confine_worker_threads(s->setup->options);
  return r;
}

static void
ask_reload(void *opaque)
{
  const struct service *s = opaque;
  keeper_say(s->ties, KEEPER_ASK_RELOAD);
}

static void
ask_stop(void *opaque)
{
  const struct service *s = opaque;
  keeper_say(s->ties, KEEPER_ASK_STOP);
}

static void
fill_world(struct service *s)
{
  s->world = (struct world){
    .loop = s->loop,
    .keeper = s->ties->keeper,
    .hands = &hands_of_images,
    .disks = &hands_of_disks,
    .since_ns = clock_ns(),
    .file = { .path = s->setup->options->config, .read_ns = clock_ns() },
  };
  s->world.ask_reload = ask_reload;
  s->world.ask_stop = ask_stop;
  s->world.opaque = s;
  reloads_init(&s->world.reloads);
  server_show(s->server, &s->world);
}

/* Before anybody can see that we listen: who sees it may stop us. */
static int
listen_to_all(struct service *s, struct vhd_error *err)
{
  int r;

  keeper_say(s->ties, KEEPER_READY);
  descriptors_settle();
  r = listen_start(s->setup->control, s->base, on_command, on_other_refused, s,
                   err);
  if (r == 0)
    r = listen_start(s->setup->metrics, s->base, on_scraper, on_other_refused,
                     s, err);
  return r < 0 ? r
               : listen_start(s->setup->listen, s->base, on_accepted,
                              on_refused, s, err);
}

static int
start(struct service *s, struct vhd_error *err)
{
  s->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int r = broker_begin(s->ties->asks, err);
  if (r == 0)
    r = load_tls(s, err);
  if (r == 0)
    r = give_up_rights(s, err);
  if (r == 0) {
    fill_config(s);
    r = start_server(s, err);
  }
  if (r == 0)
    r = watch_tls(s, err);
  if (r == 0)
    r = make_events(s, err);
  if (r == 0) {
    fill_world(s);
    r = reception_new(&s->world, s->setup->admins, &s->reception, err);
    if (r == 0)
      r = schedule_new(&s->world, &s->schedule, err);
    if (r == 0)
      r = scrape_new(&s->world, &s->scrape, err);
  }
  return r == 0 ? listen_to_all(s, err) : r;
}

/* ------------------------------------------------------------------ the end */

/* Whatever start() has come to. */
static int
stop(struct service *s, struct vhd_error *err)
{
  listen_stop(s->setup->listen);
  listen_stop(s->setup->control);
  listen_stop(s->setup->metrics);
  if (s->reception)
    reloads_end(&s->world);
  reception_close(s->reception);
  scrape_free(s->scrape);
  schedule_stop(s->schedule);
  for (size_t i = 0; i < sizeof s->events / sizeof *s->events; i++)
    if (s->events[i])
      event_free(s->events[i]);
  int r = s->serving ? server_stop(s->server, err) : 0;
  const bool idle = threads_wait(ORDERS_SEC);
  log_cause_tell(true);
  if (s->base)
    event_base_loop(s->base, EVLOOP_NONBLOCK); /* what loops have posted */
  if (!idle) /* a disk hangs; what its orders use goes with the process */
    return r;
  server_free(s->server);
  schedule_free(s->schedule);
  reception_free(s->reception);
  loop_free(s->loop);
  listen_free(s->setup->listen);
  listen_free(s->setup->control);
  listen_free(s->setup->metrics);
#ifdef HAVE_TLS
  tls_context_free(s->tls);
#endif
  resolve_config_free(&s->config);
  orders_end();
  broker_end();
  close(s->idle_fd);
  return r;
}

int
serve(const struct service_setup *setup, const struct keeper_ties *ties)
{
  struct service s = { .setup = setup, .ties = ties };
  struct vhd_error err;
  int status = EXIT_SUCCESS;

  if (start(&s, &err) == 0) {
    event_base_dispatch(s.base);
  } else {
    log_error("%s", err.message);
    status = EXIT_FAILURE;
  }
  if (stop(&s, &err) < 0) {
    log_error("%s", err.message);
    status = EXIT_FAILURE;
  }
  return status;
}

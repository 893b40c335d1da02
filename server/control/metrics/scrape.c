/* SPDX-License-Identifier: BSD-2-Clause */
/* scrape.c: see scrape.h. */
#include "config.h"

#include "control/metrics/scrape.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "base/loop.h"
#include "control/metrics/metrics.h"
#include "control/world.h"
#include "net/visitor.h"

struct visit {
  TAILQ_ENTRY(visit) link;
  struct scrape *scrape;
  struct bufferevent *bev;
  struct event *end; /* it has taken too long */
  bool answered;
};

struct scrape {
  const struct world *world;
  TAILQ_HEAD(, visit) visits;
  unsigned n;
};

static void
visit_free(struct visit *v)
{
  TAILQ_REMOVE(&v->scrape->visits, v, link);
  v->scrape->n--;
  descriptors_drop_image(1);
  if (v->end)
    event_free(v->end);
  bufferevent_free(v->bev);
  free(v);
}

/* ------------------------------------------------------------------ answers */

static void
put_head(struct evbuffer *out, const char *status, const char *type,
         size_t length)
{
  evbuffer_add_printf(out,
                      "HTTP/1.1 %s\r\n"
                      "Content-Type: %s\r\n"
                      "Content-Length: %zu\r\n"
                      "Connection: close\r\n"
                      "\r\n",
                      status, type, length);
}

static void
refuse(struct evbuffer *out, const char *status)
{
  put_head(out, status, "text/plain", strlen(status) + 1);
  evbuffer_add_printf(out, "%s\n", status);
}

static void
put_metrics(struct evbuffer *out, const struct world *world, bool head_only)
{
  size_t len;
  char *text = metrics_text(world, &len);

  if (!text) {
    refuse(out, "503 Service Unavailable");
    return;
  }
  put_head(out, "200 OK", METRICS_TYPE, len);
  if (!head_only)
    evbuffer_add(out, text, len);
  free(text);
}

/* "METHOD TARGET HTTP/1.x"; what follows "?" is not looked at. */
static void
answer(struct evbuffer *out, const struct world *world, char *line)
{
  char *rest, *method = strtok_r(line, " ", &rest);
  char *target = strtok_r(NULL, " ", &rest);
  const char *version = strtok_r(NULL, " ", &rest);

  if (!version || strncmp(version, "HTTP/1.", 7) != 0) {
    refuse(out, "400 Bad Request");
    return;
  }
  target[strcspn(target, "?")] = '\0';
  const bool head_only = strcmp(method, "HEAD") == 0;
  if (!head_only && strcmp(method, "GET") != 0)
    refuse(out, "405 Method Not Allowed");
  else if (strcmp(target, "/metrics") != 0)
    refuse(out, "404 Not Found");
  else
    put_metrics(out, world, head_only);
}

/* ------------------------------------------------------------------- events */

/* All of the request is there when its head ends in an empty line. */
static bool
is_whole(struct evbuffer *in)
{
  return evbuffer_search(in, "\r\n\r\n", 4, NULL).pos >= 0 ||
         evbuffer_search(in, "\n\n", 2, NULL).pos >= 0;
}

static void
on_read(struct bufferevent *bev, void *opaque)
{
  struct visit *v = opaque;
  struct evbuffer *in = bufferevent_get_input(bev);
  struct evbuffer *out = bufferevent_get_output(bev);

  if (v->answered) {
    evbuffer_drain(in, evbuffer_get_length(in));
    return;
  }
  if (is_whole(in)) {
    char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
    if (line)
      answer(out, v->scrape->world, line);
    free(line);
  } else if (evbuffer_get_length(in) >= SCRAPE_REQUEST) {
    refuse(out, "431 Request Header Fields Too Large");
  } else {
    return;
  }
  v->answered = true;
}

/* All that was to be sent has been. */
static void
on_written(struct bufferevent *bev, void *opaque)
{
  struct visit *v = opaque;

  (void)bev;
  if (v->answered)
    visit_free(v);
}

static void
on_event(struct bufferevent *bev, short what, void *opaque)
{
  struct visit *v = opaque;

  (void)bev;
  /* Who says no more may still want to hear. */
  if (what & BEV_EVENT_ERROR || !v->answered)
    visit_free(v);
}

static void
on_end(evutil_socket_t fd, short what, void *opaque)
{
  (void)fd;
  (void)what;
  visit_free(opaque);
}

/* --------------------------------------------------------------------- life */

static void
visit_begin(struct scrape *scrape, int fd)
{
  const struct timeval patience = { .tv_sec = SCRAPE_SEC };
  struct event_base *base = scrape->world->loop->base;
  struct visit *v = calloc(1, sizeof *v);
  struct bufferevent *bev =
    v ? bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;

  if (!bev) {
    free(v);
    close(fd);
    return;
  }
  v->scrape = scrape;
  v->bev = bev;
  v->end = evtimer_new(base, on_end, v);
  TAILQ_INSERT_TAIL(&scrape->visits, v, link);
  scrape->n++;
  descriptors_take_image(1);
  bufferevent_setcb(bev, on_read, on_written, on_event, v);
  bufferevent_setwatermark(bev, EV_READ, 0, SCRAPE_REQUEST);
  if (!v->end || event_add(v->end, &patience) < 0 ||
      bufferevent_enable(bev, EV_READ | EV_WRITE) < 0)
    visit_free(v);
}

void
scrape_accept(struct scrape *scrape, int fd, const struct visitor *visitor)
{
  char name[VISITOR_NAME_SIZE];

  if (scrape->n < SCRAPE_MAX) {
    visit_begin(scrape, fd);
    return;
  }
  close(fd);
  if (log_cause_pass("connections for the metrics that were refused")) {
    visitor_name(visitor, name, sizeof name);
    log_warning("metrics: refused %s: %u others are there", name, scrape->n);
  }
}

int
scrape_new(const struct world *world, struct scrape **out,
           struct vhd_error *err)
{
  struct scrape *scrape = calloc(1, sizeof *scrape);

  if (!scrape)
    return fail_system(err, ENOMEM, "cannot tell metrics");
  scrape->world = world;
  TAILQ_INIT(&scrape->visits);
  *out = scrape;
  return 0;
}

void
scrape_free(struct scrape *scrape)
{
  struct visit *v;

  if (!scrape)
    return;
  while ((v = TAILQ_FIRST(&scrape->visits)) != NULL)
    visit_free(v);
  free(scrape);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* session.c: see session.h. */
#include "config.h"

#include "control/socket/session.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "control/say.h"
#include "control/socket/table.h"
#include "control/world.h"

/* Lines that one may have looked at before others have their turn. */
#define TURN_LINES 16
#define PROTOCOL 1

static void
kick(struct session *s)
{
  if (s->kicked)
    return;
  s->kicked = true;
  loop_post(s->world->loop, &s->kick);
}

static size_t
waiting(const struct session *s)
{
  return s->bev ? evbuffer_get_length(bufferevent_get_output(s->bev)) : 0;
}

/* ------------------------------------------------------------------ output */

static void
put(struct sink *sink, json_t *line)
{
  struct session *s = CONTAINER_OF(sink, struct session, sink);
  char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER |
                                  JSON_REAL_PRECISION(15));

  if (s->bev && text) {
    struct evbuffer *out = bufferevent_get_output(s->bev);
    if (evbuffer_get_length(out) == 0)
      s->moved_ns = clock_ns();
    evbuffer_add(out, text, strlen(text));
    evbuffer_add(out, "\n", 1);
  } else if (s->bev) {
    s->broken = true; /* an answer is missing: he must not wait for it */
    kick(s);
  }
  free(text);
}

static size_t
room(struct sink *sink)
{
  const struct session *s = CONTAINER_OF(sink, struct session, sink);
  const size_t n = waiting(s);

  return s->bev && n < SESSION_OUTPUT ? SESSION_OUTPUT - n : 0;
}

static struct question *
find(struct sink *sink, const json_t *id)
{
  const struct session *s = CONTAINER_OF(sink, struct session, sink);
  struct question *q;

  TAILQ_FOREACH(q, &s->questions, link)
    if (q->id && json_equal(q->id, id))
      break;
  return q;
}

static void
done(struct sink *sink, struct question *q)
{
  struct session *s = CONTAINER_OF(sink, struct session, sink);

  TAILQ_REMOVE(&s->questions, q, link);
  s->nquestions--;
  s->moved_ns = clock_ns();
  kick(s);
}

static void
complain(struct session *s, json_t *id, enum question_error class,
         const char *text)
{
  json_t *line = question_error_line(id, class, text);

  put(&s->sink, line);
  json_decref(line);
}

/* ------------------------------------------------------------------- input */

/* Strangers can cause it as often as they like. */
static void
audit_denied(const struct session *s, const char *verb)
{
  char who[CALLER_NAME_SIZE];

  if (log_cause_pass("commands of those who may only look"))
    log_warning("control: %s: %s: denied", caller_name(&s->caller, who), verb);
}

static void
ask(struct session *s, struct request *request,
    const struct control_verb *verb)
{
  struct question *q =
    question_new(&s->sink, s->world, &s->caller, verb, request);

  if (!q) {
    complain(s, request->id, QUESTION_FAILED, "out of memory");
    return;
  }
  TAILQ_INSERT_TAIL(&s->questions, q, link);
  s->nquestions++;
  verb->begin(q);
}

static void
take_line(struct session *s, const char *line, size_t len)
{
  struct request request;
  char why[256];
  bool fine = request_parse(line, len, &request, why, sizeof why);
  const struct control_verb *verb = fine ? verb_find(request.verb) : NULL;

  if (!fine)
    complain(s, request.id, QUESTION_USAGE, why);
  else if (!verb)
    complain(s, request.id, QUESTION_USAGE, "there is no such verb");
  else if (verb->changes && !s->caller.may_change) {
    audit_denied(s, verb->name);
    complain(s, request.id, QUESTION_DENIED,
             "you may look, but not change anything: that is for root, the "
             "user of the server and the group of control-admins");
  } else if (!request_check(request.args, verb->args, why, sizeof why))
    complain(s, request.id, QUESTION_USAGE, why);
  else
    ask(s, &request, verb);
  request_clear(&request);
}

static bool
may_take(const struct session *s)
{
  return s->bev && !s->closing && s->nquestions < SESSION_QUESTIONS &&
         waiting(s) < SESSION_OUTPUT;
}

/* He cannot be told where his next line begins. */
static void
refuse_long(struct session *s)
{
  complain(s, NULL, QUESTION_USAGE, "the line is too long");
  s->closing = true;
}

static void
take_lines(struct session *s)
{
  size_t len;
  unsigned n = 0;

  for (; may_take(s) && n < TURN_LINES; n++) {
    struct evbuffer *in = bufferevent_get_input(s->bev);
    char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
    if (!line || len > REQUEST_MAX_LINE) {
      if (line || evbuffer_get_length(in) > REQUEST_MAX_LINE)
        refuse_long(s);
      free(line);
      break;
    }
    take_line(s, line, len);
    free(line);
  }
  if (n == TURN_LINES)
    kick(s);
}

/* -------------------------------------------------------------------- ends */

static void
cancel_all(struct session *s)
{
  struct question *q, *next;

  for (q = TAILQ_FIRST(&s->questions); q; q = next) {
    next = TAILQ_NEXT(q, link); /* this one may be freed, no other one */
    question_cancel(q);
  }
}

void
session_end(struct session *s)
{
  struct question *q;

  if (!s->bev)
    return;
  cancel_all(s);
  while ((q = TAILQ_FIRST(&s->questions)) != NULL) {
    TAILQ_REMOVE(&s->questions, q, link);
    q->sink = NULL;
  }
  s->nquestions = 0;
  bufferevent_free(s->bev);
  s->bev = NULL;
  kick(s);
}

static bool
is_over(const struct session *s)
{
  return (s->at_end || s->closing) && s->nquestions == 0 && waiting(s) == 0;
}

/* Everything that there is to do. */
static void
advance(struct session *s)
{
  take_lines(s);
  if (s->at_end)
    cancel_all(s);
  if (!s->bev)
    return;
  if (s->broken || (is_over(s) && !s->kicked))
    session_end(s);
  else if (may_take(s) && !s->at_end)
    bufferevent_enable(s->bev, EV_READ);
  else
    bufferevent_disable(s->bev, EV_READ);
}

static void
on_kick(struct task *task)
{
  struct session *s = CONTAINER_OF(task, struct session, kick);

  s->kicked = false;
  if (s->bev)
    advance(s);
  if (s->bev || s->kicked)
    return;
  if (s->gone)
    s->gone(s);
  free(s);
}

static void
on_readable(struct bufferevent *bev, void *opaque)
{
  struct session *s = opaque;

  (void)bev;
  s->moved_ns = clock_ns();
  advance(s);
}

/* What waits has been taken, but for a part. */
static void
on_written(struct bufferevent *bev, void *opaque)
{
  struct session *s = opaque;

  (void)bev;
  s->moved_ns = clock_ns();
  kick(s);
}

static void
on_event(struct bufferevent *bev, short what, void *opaque)
{
  struct session *s = opaque;

  (void)bev;
  if (what & BEV_EVENT_ERROR) {
    session_end(s);
  } else if (what & BEV_EVENT_EOF) {
    s->at_end = true;
    advance(s);
  }
}

void
session_check(struct session *s, uint64_t now_ns)
{
  const bool takes_nothing = waiting(s) > 0;
  const uint64_t limit = takes_nothing ? SESSION_STUCK_SEC : SESSION_IDLE_SEC;

  if (s->bev && (takes_nothing || s->nquestions == 0) &&
      now_ns - s->moved_ns > limit * 1000000000)
    session_end(s);
}

/* ------------------------------------------------------------------- birth */

static void
greet(struct session *s)
{
  json_t *line = json_object();

  say_string(line, "server", "vhdkitd");
  say_string(line, "version", vhd_version());
  say_number(line, "protocol", PROTOCOL);
  say_bool(line, "may-change", s->caller.may_change);
  put(&s->sink, line);
  json_decref(line);
}

struct session *
session_new(int fd, const struct caller *caller, struct world *world)
{
  struct session *s = calloc(1, sizeof *s);

  if (s)
    s->bev =
      bufferevent_socket_new(world->loop->base, fd, BEV_OPT_CLOSE_ON_FREE);
  if (!s || !s->bev) {
    free(s);
    close(fd);
    return NULL;
  }
  s->sink =
    (struct sink){ .put = put, .room = room, .find = find, .done = done };
  s->world = world;
  s->caller = *caller;
  s->moved_ns = clock_ns();
  s->kick.run = on_kick;
  TAILQ_INIT(&s->questions);
  bufferevent_setcb(s->bev, on_readable, on_written, on_event, s);
  bufferevent_setwatermark(s->bev, EV_READ, 0, REQUEST_MAX_LINE + 1);
  bufferevent_setwatermark(s->bev, EV_WRITE, SESSION_OUTPUT / 2, 0);
  bufferevent_enable(s->bev, EV_READ | EV_WRITE);
  greet(s);
  return s;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* reception.c: see reception.h. */
#include "config.h"

#include "control/socket/reception.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "control/caller.h"
#include "control/socket/session.h"
#include "control/world.h"
#include "net/visitor.h"

static const struct timeval check_interval = { .tv_sec = 5 };

struct reception {
  struct world *world;
  gid_t admins;
  TAILQ_HEAD(, session) sessions;
  unsigned n, nlooking;
  struct event *check;
};

static void
on_check(evutil_socket_t fd, short what, void *opaque)
{
  struct reception *reception = opaque;
  const uint64_t now = clock_ns();
  struct session *s;

  (void)fd;
  (void)what;
  TAILQ_FOREACH(s, &reception->sessions, link)
    session_check(s, now);
}

static void
on_gone(struct session *s)
{
  struct reception *reception = s->owner;

  TAILQ_REMOVE(&reception->sessions, s, link);
  reception->n--;
  reception->nlooking -= !s->caller.may_change;
  descriptors_drop_image(1);
}

/* He is told why, as far as there is room for it at once. */
static void
refuse(int fd, const struct caller *caller)
{
  static const char line[] =
    "{\"error\":{\"class\":\"in-use\",\"text\":\"too many are connected to "
    "the control socket; try again later\"}}\n";
  const ssize_t n =
    send(fd, line, sizeof line - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  char who[CALLER_NAME_SIZE];

  (void)n;
  close(fd);
  if (log_cause_pass("connections to the control socket that were refused"))
    log_warning("control: refused %s: too many are connected",
                caller_name(caller, who));
}

void
reception_accept(struct reception *reception, int fd,
                 const struct visitor *visitor)
{
  struct caller caller;

  caller_init(&caller, fd, visitor, reception->admins);
  if (reception->n >= RECEPTION_ALL ||
      (!caller.may_change && reception->nlooking >= RECEPTION_LOOKING)) {
    refuse(fd, &caller);
    return;
  }
  struct session *s = session_new(fd, &caller, reception->world);
  if (!s)
    return;
  s->gone = on_gone;
  s->owner = reception;
  TAILQ_INSERT_TAIL(&reception->sessions, s, link);
  reception->n++;
  reception->nlooking += !caller.may_change;
  descriptors_take_image(1);
}

int
reception_new(struct world *world, gid_t admins, struct reception **out,
              struct vhd_error *err)
{
  struct reception *reception = calloc(1, sizeof *reception);

  if (reception) {
    reception->check =
      event_new(world->loop->base, -1, EV_PERSIST, on_check, reception);
    TAILQ_INIT(&reception->sessions);
  }
  if (!reception || !reception->check ||
      event_add(reception->check, &check_interval) < 0) {
    reception_free(reception);
    return fail_system(err, ENOMEM, "cannot take commands");
  }
  reception->world = world;
  reception->admins = admins;
  *out = reception;
  return 0;
}

void
reception_close(struct reception *reception)
{
  struct session *s;

  if (!reception)
    return;
  TAILQ_FOREACH(s, &reception->sessions, link)
    session_end(s);
}

void
reception_free(struct reception *reception)
{
  if (!reception)
    return;
  if (reception->check)
    event_free(reception->check);
  free(reception);
}

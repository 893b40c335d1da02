/* SPDX-License-Identifier: BSD-2-Clause */
/* turns.c: see turns.h.  A timer of no time runs in the next turn of the loop,
 * when libevent has run what the sockets have brought. */
#include "config.h"

#include <event2/event.h>

#include "base/turns.h"
#include "base/clock.h"
#include "base/loop.h"

/* Others have so many times as long as a piece took. */
#define REST 4
/* But a piece that was itself kept waiting, by other processes, does not count
 * as long. */
#define MAX_REST_NS UINT64_C(200000000)

static void
come_again(struct turns *turns, uint64_t ns)
{
  const struct timeval in = {
    .tv_sec = (time_t)(ns / 1000000000),
    .tv_usec = (suseconds_t)(ns % 1000000000 / 1000),
  };

  evtimer_add(&turns->next, &in);
}

static void
run_first(struct turns *turns, struct turn *turn, uint64_t began)
{
  turns_leave(turns, turn);
  turn->run(turn);
  loop_settle(turns->loop);

  const uint64_t now = clock_ns(), rest = REST * (now - began);
  turns->rest_ns = now + (rest < MAX_REST_NS ? rest : MAX_REST_NS);
  turns->served = false;
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
  struct turns *turns = arg;
  struct turn *turn = TAILQ_FIRST(&turns->queue);
  const uint64_t now = clock_ns();

  (void)fd;
  (void)what;
  if (!turn)
    return;
  if (turns->served && now < turns->rest_ns) {
    come_again(turns, turns->rest_ns - now);
    return;
  }
  run_first(turns, turn, now);
  if (!TAILQ_EMPTY(&turns->queue))
    come_again(turns, 0);
}

void
turns_init(struct turns *turns, struct loop *loop)
{
  *turns = (struct turns){ .loop = loop };
  TAILQ_INIT(&turns->queue);
  evtimer_assign(&turns->next, loop->base, on_next, turns);
}

void
turns_clear(struct turns *turns)
{
  event_del(&turns->next);
}

void
turns_wait(struct turns *turns, struct turn *turn)
{
  turn->waits = true;
  TAILQ_INSERT_TAIL(&turns->queue, turn, link);
  if (!evtimer_pending(&turns->next, NULL))
    come_again(turns, 0);
}

void
turns_leave(struct turns *turns, struct turn *turn)
{
  if (!turn->waits)
    return;
  turn->waits = false;
  TAILQ_REMOVE(&turns->queue, turn, link);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* gather.c: see gather.h. */
#include "config.h"

#include "control/gather.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/container.h"
#include "client/worker.h"
#include "control/world.h"

static const struct timeval patience = { .tv_sec = 2 };

static void
end(struct gather *g)
{
  for (unsigned i = 0; i < g->nparts; i++) {
    if (g->clear_part)
      g->clear_part(g->part[i].found, g->part[i].n);
    free(g->part[i].found);
  }
  free(g->part);
  if (g->timer)
    event_free(g->timer);
  g->free(g);
}

static void
tell(struct gather *g)
{
  if (g->over)
    return;
  g->over = true;
  evtimer_del(g->timer);
  g->told(g);
}

static void
on_back(struct task *task)
{
  struct gather_part *part = CONTAINER_OF(task, struct gather_part, task);
  struct gather *g = part->gather;

  part->back = true;
  if (++g->nback < g->nparts)
    return;
  tell(g);
  end(g);
}

static void
on_late(evutil_socket_t fd, short what, void *opaque)
{
  (void)fd;
  (void)what;
  tell(opaque);
}

static void
on_loop(struct task *task)
{
  struct gather_part *part = CONTAINER_OF(task, struct gather_part, task);

  part->gather->look(part);
  part->task.run = on_back;
  loop_post(part->gather->back, &part->task);
}

int
gather_begin(struct gather *g, struct world *world)
{
  g->back = world->loop;
  g->nparts = world->nworkers;
  g->nback = 0;
  g->over = false;
  g->part = calloc(g->nparts, sizeof *g->part);
  g->timer = evtimer_new(world->loop->base, on_late, g);
  if (!g->part || !g->timer) {
    free(g->part);
    if (g->timer)
      event_free(g->timer);
    return -ENOMEM;
  }
  evtimer_add(g->timer, &patience);
  for (unsigned i = 0; i < g->nparts; i++) {
    struct gather_part *part = &g->part[i];
    *part = (struct gather_part){
      .task.run = on_loop,
      .gather = g,
      .worker = &world->workers[i],
    };
    loop_post(part->worker->loop, &part->task);
  }
  return 0;
}

bool
gather_is_whole(const struct gather *g)
{
  return g->nback == g->nparts;
}

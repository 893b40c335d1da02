/* SPDX-License-Identifier: BSD-2-Clause */
/* test-loop: tasks that post themselves anew, as a request does that steps back
 * again and again, do not keep a loop from its descriptors. */
#include "config.h"

#include <event2/event.h>
#include <unistd.h>

#include "base/loop.h"
#include "unit/unit.h"

/* More are taken for ever. */
#define ROUNDS_MOST 1000000

struct run {
  struct loop *loop;
  struct task task;
  struct event *readable;
  int pipe[2];
  unsigned rounds;
  unsigned rounds_after; /* end was called for */
  unsigned settled;
  bool heard;            /* the descriptor had its turn */
};

static struct run run;

static void
go_on(struct task *task)
{
  run.rounds++;
  if (!run.heard && run.rounds < ROUNDS_MOST)
    loop_post(run.loop, task);
  else
    loop_stop(run.loop, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
  char c;

  (void)what;
  (void)arg;
  assert_int_equal(read(fd, &c, 1), 1);
  run.heard = true;
  loop_settle(run.loop);
}

static void
on_settled(struct loop *loop)
{
  (void)loop;
  run.settled++;
}

static void
begin(struct loop *loop)
{
  run.readable = event_new(loop->base, run.pipe[0], EV_READ, on_readable, NULL);
  assert_non_null(run.readable);
  assert_int_equal(event_add(run.readable, NULL), 0);
  run.task.run = go_on;
  loop_post(loop, &run.task);
  loop_settle(loop);
}

static void
test_turns(void **state)
{
  (void)state;
  run.loop = loop_new(NULL, 0);
  assert_non_null(run.loop);
  assert_int_equal(pipe(run.pipe), 0);
  assert_int_equal(write(run.pipe[1], "x", 1), 1);
  run.loop->settled = on_settled;
  assert_int_equal(loop_start(run.loop, begin), 0);
  loop_join(run.loop);
  assert_true(run.heard);
  assert_true(run.settled > 0);
  event_free(run.readable);
  loop_free(run.loop);
  close(run.pipe[0]);
  close(run.pipe[1]);
}

/* A loop that ends has no other turn: all that was posted is run. */
static void
count_down(struct task *task)
{
  if (run.rounds_after-- > 1)
    loop_post(run.loop, task);
}

static void
end(struct loop *loop)
{
  run.task.run = count_down;
  loop_post(loop, &run.task);
}

static void
test_end(void **state)
{
  (void)state;
  run = (struct run){ .rounds_after = 1000 };
  run.loop = loop_new(NULL, 0);
  assert_non_null(run.loop);
  assert_int_equal(loop_start(run.loop, NULL), 0);
  loop_stop(run.loop, end);
  loop_join(run.loop);
  assert_int_equal(run.rounds_after, 0);
  loop_free(run.loop);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_turns),
    cmocka_unit_test(test_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

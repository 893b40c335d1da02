/* SPDX-License-Identifier: BSD-2-Clause */
/* test-gate: who closes the gate of an image has it to himself, whatever the
 * users on their loops are at; and a user that does not end keeps nobody out
 * for longer than was said. */
#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/container.h"
#include "disk/gate.h"
#include "unit/unit.h"

#define LOOPS 3
#define USERS 24
#define CLOSINGS 300
#define LONG_MSEC 60000

/* A client: it has something to do all the time, some of it at once, some of it
 * in two parts. */
struct user {
  struct gate_user gate;
  struct loop *loop;
  struct task task, second, leave;
  bool idle; /* held, and stopped asking */
  bool stuck; /* its operation is not ended */
  bool leaving, joined;
  unsigned long done; /* operations, by its loop */
};

static struct {
  struct gate gate;
  struct loop *loop[LOOPS];
  struct user user[USERS];
  unsigned long image; /* no atomic: changed behind a closed gate alone */
  unsigned long seen[USERS];
  atomic_uint gone;
  atomic_bool stop;
} world;

static void
look_at_image(struct user *user)
{
  unsigned long *seen = &world.seen[user - world.user];

  assert_true(world.image >= *seen);
  assert_int_equal(world.image % 2, 0); /* odd while it is changed */
  *seen = world.image;
}

static void
begin_next(struct user *user)
{
  if (user->gate.held || user->stuck) {
    user->idle = true;
    return;
  }
  user->idle = false;
  look_at_image(user);
  if (user->done % 3 == 0) { /* within one call of its loop */
    user->done++;
    loop_post(user->loop, &user->task);
    return;
  }
  gate_begin(&user->gate);
  loop_post(user->loop, &user->second);
}

static void
on_task(struct task *task)
{
  begin_next(CONTAINER_OF(task, struct user, task));
}

static void
on_second(struct task *task)
{
  struct user *user = CONTAINER_OF(task, struct user, second);

  look_at_image(user);
  user->done++;
  gate_end(&user->gate);
  if (atomic_load(&world.stop))
    user->idle = true;
  else
    begin_next(user);
}

static void
try_to_leave(struct user *user)
{
  if (user->gate.inside > 0 || !user->idle) {
    loop_post(user->loop, &user->leave);
    return;
  }
  user->leaving = true;
  if (gate_leave(&user->gate)) {
    user->leaving = false;
    user->joined = false;
    atomic_fetch_add(&world.gone, 1);
  }
}

static void
on_leave(struct task *task)
{
  struct user *user = CONTAINER_OF(task, struct user, leave);

  user->stuck = true;
  try_to_leave(user);
}

static void
on_turned(struct gate_user *gate)
{
  struct user *user = CONTAINER_OF(gate, struct user, gate);

  if (user->leaving)
    try_to_leave(user);
  else if (user->idle && !gate->held && !atomic_load(&world.stop))
    begin_next(user);
}

static void
on_join(struct task *task)
{
  struct user *user = CONTAINER_OF(task, struct user, task);

  gate_join(&world.gate, &user->gate, user->loop, on_turned);
  user->joined = true;
  user->task.run = on_task;
  begin_next(user);
}

static void
start_loops(void)
{
  memset(&world, 0, sizeof world);
  gate_init(&world.gate);
  for (unsigned i = 0; i < LOOPS; i++) {
    world.loop[i] = loop_new(NULL, i);
    assert_non_null(world.loop[i]);
    assert_int_equal(loop_start(world.loop[i], NULL), 0);
  }
}

static void
start_user(unsigned i, void (*run)(struct task *))
{
  struct user *user = &world.user[i];

  user->loop = world.loop[i % LOOPS];
  user->task.run = run;
  user->second.run = on_second;
  user->leave.run = on_leave;
  loop_post(user->loop, &user->task);
}

static void
end_user(unsigned i)
{
  loop_post(world.user[i].loop, &world.user[i].leave);
}

static void
end_loops(unsigned users)
{
  for (unsigned waits = 0; atomic_load(&world.gone) < users; waits++) {
    assert_true(waits < 30000);
    usleep(1000);
  }
  for (unsigned i = 0; i < LOOPS; i++) {
    loop_stop(world.loop[i], NULL);
    loop_join(world.loop[i]);
    loop_free(world.loop[i]);
  }
  gate_destroy(&world.gate);
}

static void
change_image(void)
{
  world.image++;
  if (world.image % 16 == 1)
    usleep(500);
  world.image++;
}

static void *
enter_and_exit(void *arg)
{
  while (!atomic_load(&world.stop)) {
    assert_true(gate_enter(&world.gate));
    assert_int_equal(world.image % 2, 0);
    gate_exit(&world.gate);
    usleep(50);
  }
  return arg;
}

/* Users come and go while the gate is closed and opened. */
static void
test_alone(void **state)
{
  pthread_t thread;

  (void)state;
  start_loops();
  assert_int_equal(pthread_create(&thread, NULL, enter_and_exit, NULL), 0);
  for (unsigned i = 0; i < CLOSINGS; i++) {
    if (i < USERS)
      start_user(i, on_join);
    if (i >= CLOSINGS - USERS / 2)
      end_user(i - (CLOSINGS - USERS / 2));
    assert_int_equal(gate_close(&world.gate, LONG_MSEC), 0);
    change_image();
    if (i == USERS)
      assert_int_equal(gate_close(&world.gate, LONG_MSEC), -EBUSY);
    gate_open(&world.gate);
    if (i % 8 == 0)
      usleep(1000);
  }
  for (unsigned i = USERS / 2; i < USERS; i++)
    end_user(i);
  atomic_store(&world.stop, true);
  pthread_join(thread, NULL);
  end_loops(USERS);
  for (unsigned i = 0; i < USERS; i++)
    assert_true(world.user[i].done > 0);
}

static void
begin_without_end(struct task *task)
{
  struct user *user = CONTAINER_OF(task, struct user, task);

  gate_join(&world.gate, &user->gate, user->loop, on_turned);
  gate_begin(&user->gate);
  user->idle = user->stuck = true;
  atomic_fetch_add(&world.gone, 1);
}

static void
end_at_last(struct task *task)
{
  struct user *user = CONTAINER_OF(task, struct user, second);

  gate_end(&user->gate);
}

static void
wait_for_gone(unsigned n)
{
  while (atomic_load(&world.gone) < n)
    usleep(1000);
  atomic_store(&world.gone, 0);
}

/* One that hangs: the others go on after the time that was said. */
static void
test_too_late(void **state)
{
  struct user *hangs = &world.user[0];

  (void)state;
  start_loops();
  start_user(0, begin_without_end);
  wait_for_gone(1);
  start_user(1, on_join);
  assert_int_equal(gate_close(&world.gate, 20), -ETIMEDOUT);
  assert_true(gate_enter(&world.gate)); /* it is open */
  assert_int_equal(gate_close(&world.gate, 20), -ETIMEDOUT);
  gate_exit(&world.gate);
  /* What is inside may end while the gate waits for it. */
  hangs->second.run = end_at_last;
  loop_post(hangs->loop, &hangs->second);
  assert_int_equal(gate_close(&world.gate, LONG_MSEC), 0);
  change_image();
  /* Who comes meanwhile is held; who leaves, leaves. */
  start_user(2, on_join);
  end_user(0);
  wait_for_gone(1);
  gate_open(&world.gate);
  end_user(1);
  end_user(2);
  end_loops(2);
  assert_true(world.user[1].done > 0);
}

/* There is no image any more: all are told, those too who come after. */
static void
test_broken(void **state)
{
  (void)state;
  start_loops();
  start_user(0, on_join);
  assert_int_equal(gate_close(&world.gate, LONG_MSEC), 0);
  gate_break(&world.gate);
  start_user(1, on_join);
  assert_false(gate_enter(&world.gate));
  assert_int_equal(gate_close(&world.gate, LONG_MSEC), -EBUSY);
  end_user(0);
  end_user(1);
  end_loops(2);
  for (unsigned i = 0; i < 2; i++)
    assert_true(world.user[i].gate.held && world.user[i].gate.broken);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_alone),
    cmocka_unit_test(test_too_late),
    cmocka_unit_test(test_broken),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

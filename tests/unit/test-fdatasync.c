/* SPDX-License-Identifier: BSD-2-Clause */
/* test-fdatasync: several syncs of one file at once, over an fdatasync() of our
 * own that ends when the test says so, and tells of a failure as the kernel
 * does: once for each description of the file. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "store/syncs.h"
#include "unit/unit.h"

#define THREADS 12
#define FDS 64

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool in[FDS];        /* a call is under way upon this descriptor */
  bool twice;          /* two were, upon one */
  bool may_end[FDS];
  bool failed;         /* something was lost */
  bool told[FDS];
  unsigned n;          /* calls under way */
  unsigned begun;      /* calls so far */
} calls = {
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .changed = PTHREAD_COND_INITIALIZER,
};

int
fdatasync(int fd)
{
  assert_in_range(fd, 0, FDS - 1);
  pthread_mutex_lock(&calls.lock);
  calls.twice |= calls.in[fd];
  calls.in[fd] = true;
  calls.n++;
  calls.begun++;
  pthread_cond_broadcast(&calls.changed);
  while (!calls.may_end[fd])
    pthread_cond_wait(&calls.changed, &calls.lock);
  const bool tell = calls.failed && !calls.told[fd];
  calls.told[fd] |= tell;
  calls.in[fd] = false;
  calls.n--;
  pthread_cond_broadcast(&calls.changed);
  pthread_mutex_unlock(&calls.lock);
  errno = EIO;
  return tell ? -1 : 0;
}

/* Waits until so many calls are under way; which of them is the lowest. */
static int
wait_for_calls(unsigned n)
{
  int fd = 0;

  pthread_mutex_lock(&calls.lock);
  while (calls.n != n)
    pthread_cond_wait(&calls.changed, &calls.lock);
  while (fd < FDS && !calls.in[fd])
    fd++;
  pthread_mutex_unlock(&calls.lock);
  return fd;
}

/* Lets calls upon this descriptor end, or upon all (-1), from now on. */
static void
let_end(int fd, bool failed)
{
  pthread_mutex_lock(&calls.lock);
  calls.failed |= failed;
  for (int i = 0; i < FDS; i++)
    calls.may_end[i] |= fd < 0 || fd == i;
  pthread_cond_broadcast(&calls.changed);
  pthread_mutex_unlock(&calls.lock);
}

struct thread {
  pthread_t id;
  struct syncs *s;
  int result;
};

static void *
run(void *arg)
{
  struct thread *t = arg;

  t->result = syncs_run(t->s);
  return NULL;
}

static void
start(struct thread *t, unsigned n, struct syncs *s)
{
  for (unsigned i = 0; i < n; i++) {
    t[i] = (struct thread){ .s = s, .result = 1 };
    assert_int_equal(pthread_create(&t[i].id, NULL, run, &t[i]), 0);
  }
}

static void
join(struct thread *t, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    pthread_join(t[i].id, NULL);
}

static void
wait_for_waiters(struct syncs *s, unsigned n)
{
  pthread_mutex_lock(&s->lock);
  while (s->waiting != n) {
    pthread_mutex_unlock(&s->lock);
    usleep(1000);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
}

/* A file that has had a sync for which another had to wait. */
static void
begin(struct syncs *s, bool several)
{
  struct thread first, more[2];
  int fd = open(".", O_TMPFILE | O_RDWR, 0600);

  memset(calls.in, 0, sizeof calls.in);
  memset(calls.may_end, 0, sizeof calls.may_end);
  memset(calls.told, 0, sizeof calls.told);
  calls.failed = calls.twice = false;
  assert_in_range(fd, 0, FDS - 1);
  syncs_init(s, fd);
  if (several)
    syncs_allow_several(s, NULL);
  start(&first, 1, s);
  assert_int_equal(wait_for_calls(1), fd);
  start(more, 2, s);
  wait_for_waiters(s, 2);
  let_end(fd, false);
  join(&first, 1);
  join(more, 2);
  calls.may_end[fd] = false;
}

static void
end(struct syncs *s)
{
  int fd = s->fd[0];

  syncs_destroy(s);
  close(fd);
  assert_false(calls.twice);
}

static void
test_at_once(void **state)
{
  (void)state;
  struct thread t[THREADS];
  struct syncs s;

  begin(&s, true);
  start(t, THREADS, &s);
  wait_for_calls(SYNCS_MAX);
  let_end(-1, false);
  join(t, THREADS);
  for (unsigned i = 0; i < THREADS; i++)
    assert_int_equal(t[i].result, 0);
  end(&s);
}

/* Those who wait for a description share a sync. */
static void
test_one_by_one(void **state)
{
  (void)state;
  struct thread t[THREADS];
  struct syncs s;

  begin(&s, false);
  start(t, 1, &s);
  assert_int_equal(wait_for_calls(1), s.fd[0]);
  calls.begun = 0;
  start(t + 1, THREADS - 1, &s);
  wait_for_waiters(&s, THREADS - 1);
  let_end(-1, false);
  join(t, THREADS);
  assert_int_equal(calls.begun, 1);
  end(&s);
}

/* Who was under way when something was lost is told, and so is who comes
 * later, though each description tells it only once. */
static void
test_all_are_told(void **state)
{
  (void)state;
  struct thread t[SYNCS_MAX], later;
  struct syncs s;

  begin(&s, true);
  start(t, SYNCS_MAX, &s);
  wait_for_calls(SYNCS_MAX);
  let_end(-1, true);
  join(t, SYNCS_MAX);
  for (unsigned i = 0; i < SYNCS_MAX; i++)
    assert_int_equal(t[i].result, -EIO);
  start(&later, 1, &s);
  join(&later, 1);
  assert_int_equal(later.result, -EIO);
  end(&s);
}

/* What else is told of it has the file's own description for itself. */
static void
test_own(void **state)
{
  (void)state;
  struct thread t[THREADS];
  struct syncs s;

  begin(&s, true);
  syncs_begin_own(&s);
  start(t, THREADS, &s);
  wait_for_calls(SYNCS_MAX - 1);
  assert_false(calls.in[s.fd[0]]);
  let_end(-1, false);
  assert_int_equal(syncs_end_own(&s, -ENOSPC), -ENOSPC);
  join(t, THREADS);
  start(t, 1, &s);
  join(t, 1);
  assert_int_equal(t[0].result, -ENOSPC);
  end(&s);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_at_once),
    cmocka_unit_test(test_one_by_one),
    cmocka_unit_test(test_all_are_told),
    cmocka_unit_test(test_own),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

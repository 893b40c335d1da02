/* SPDX-License-Identifier: BSD-2-Clause */
/* test-thread.c: threads that nobody joins, and the wait for them. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "unit/unit.h"

#define THREADS 8

static pthread_mutex_t closed = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint begun, ended;

static void
pass(void *opaque)
{
  char name[16] = "";

  pthread_getname_np(pthread_self(), name, sizeof name);
  assert_string_equal(name, opaque);
  atomic_fetch_add(&begun, 1);
  pthread_mutex_lock(&closed);
  pthread_mutex_unlock(&closed);
  atomic_fetch_add(&ended, 1);
}

static void
test_wait(void **state)
{
  static char name[] = "fifteen letters";

  (void)state;
  assert_true(threads_wait(0));
  pthread_mutex_lock(&closed);
  for (unsigned i = 0; i < THREADS; i++)
    assert_int_equal(thread_start(name, pass, name), 0);
  assert_false(threads_wait(0));
  pthread_mutex_unlock(&closed);
  assert_true(threads_wait(60));
  assert_int_equal(atomic_load(&begun), THREADS);
  assert_int_equal(atomic_load(&ended), THREADS);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_wait),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-log-cause: how messages are held back, and at what price. */
#include "config.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_cause.h"
#include "unit/unit.h"

static unsigned locks;

/* In the place of the C library's: counts. */
int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
  static int (*real)(pthread_mutex_t *);

  if (!real)
    real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
  locks++;
  return real(mutex);
}

/* Standard error goes to a file of the test's folder. */
static int
setup(void **state)
{
  const int fd = open("log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

  (void)state;
  return fd < 0 || dup2(fd, STDERR_FILENO) < 0 ? -1 : 0;
}

static const char *
logged(void)
{
  static char text[65536];
  const int fd = open("log", O_RDONLY);
  const ssize_t n = read(fd, text, sizeof text - 1);

  close(fd);
  assert_true(n >= 0);
  text[n] = '\0';
  return text;
}

static void
each_cause_has_its_say(void **state)
{
  (void)state;
  for (int i = 0; i < 10; i++) {
    assert_int_equal(log_cause_pass("the image '%s'", "a"),
                     i < LOG_CAUSE_BURST);
    assert_int_equal(log_cause_pass("the image '%s'", "b"),
                     i < LOG_CAUSE_BURST);
  }
  assert_false(log_cause_pass("the image 'a'"));
  log_cause_tell(false);
  assert_string_equal(logged(), "");
  log_cause_tell(true);
  assert_non_null(strstr(logged(), "8 more messages about the image 'a' were "
                                   "held back\n"));
  assert_non_null(strstr(logged(), "7 more messages about the image 'b'"));
}

/* What strangers can call as often as they like is cheap. */
static void
one_lock_for_a_message(void **state)
{
  (void)state;
  locks = 0;
  log_cause_pass("cheap");
  assert_int_equal(locks, 1);
  locks = 0;
  log_cause_tell(false);
  assert_int_equal(locks, 1);
}

static void
memory_is_bounded(void **state)
{
  unsigned passed = 0;

  (void)state;
  for (int i = 0; i < 1000; i++)
    passed += log_cause_pass("the stranger %d", i);
  assert_true(passed < 300);
  log_cause_tell(true);
  assert_non_null(strstr(logged(), "more messages about other causes"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(each_cause_has_its_say, setup),
    cmocka_unit_test_setup(one_lock_for_a_message, setup),
    cmocka_unit_test_setup(memory_is_bounded, setup),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

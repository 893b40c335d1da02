/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who comes again in time goes on, who does not boots.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog/source/sessions.h"

#define SEC UINT64_C(1000000000)
#define BEGIN (1000 * SEC)
#define LINGER (300 * SEC)

static bool
is_over(const struct sessions *sessions, const char *name, uint64_t sec)
{
  return sessions_is_over(sessions, name, BEGIN + sec * SEC, LINGER);
}

static void
note(struct sessions *sessions, const char *name, uint64_t sec)
{
  sessions_note(sessions, name, false, BEGIN + sec * SEC, LINGER);
}

/* He may have been connected when the server died. */
static void
after_a_start_nobody_boots_for_a_while(void **state)
{
  struct sessions *sessions = sessions_new(BEGIN);

  (void)state;
  assert_false(is_over(sessions, "a", 0));
  assert_false(is_over(sessions, "a", 299));
  assert_true(is_over(sessions, "a", 300));
  sessions_free(sessions);
}

static void
who_was_away_boots(void **state)
{
  struct sessions *sessions = sessions_new(BEGIN);

  (void)state;
  note(sessions, "a", 100);
  note(sessions, "b", 350);
  assert_false(is_over(sessions, "a", 399));
  assert_true(is_over(sessions, "a", 400));
  assert_true(is_over(sessions, "c", 400));
  assert_false(is_over(sessions, "b", 400));
  assert_true(is_over(sessions, "b", 650));
  /* He left once more. */
  note(sessions, "a", 500);
  assert_false(is_over(sessions, "a", 799));
  assert_true(is_over(sessions, "a", 800));
  sessions_free(sessions);
}

static void
without_a_linger_time_each_session_is_over(void **state)
{
  struct sessions *sessions = sessions_new(BEGIN);

  (void)state;
  assert_true(sessions_is_over(sessions, "a", BEGIN, 0));
  sessions_note(sessions, "a", false, BEGIN, 0);
  assert_true(sessions_is_over(sessions, "a", BEGIN, 0));
  sessions_free(sessions);
}

/* Those who left long ago are forgotten, and it makes no difference. */
static void
many_come_and_go(void **state)
{
  struct sessions *sessions = sessions_new(BEGIN);
  char name[32];

  (void)state;
  for (unsigned i = 0; i < 2000; i++) {
    snprintf(name, sizeof name, "pc%u", i % 1000);
    note(sessions, name, i);
    assert_false(is_over(sessions, name, i));
  }
  for (unsigned i = 1000; i < 2000; i++) {
    snprintf(name, sizeof name, "pc%u", i % 1000);
    assert_int_equal(is_over(sessions, name, 2000), i <= 1700);
  }
  sessions_free(sessions);
}

/* What is to go is told of once, when its time has come; and not of who came
 * again meanwhile. */
static void
what_is_to_go_is_told(void **state)
{
  struct sessions *sessions = sessions_new(BEGIN);

  (void)state;
  sessions_note(sessions, "a", true, BEGIN, LINGER);
  sessions_note(sessions, "b", false, BEGIN, LINGER);
  sessions_note(sessions, "c", true, BEGIN + 10 * SEC, LINGER);
  assert_null(sessions_take_gone(sessions, BEGIN + 299 * SEC, LINGER));
  /* The others are forgotten, and these are not. */
  sessions_note(sessions, "d", false, BEGIN + 900 * SEC, LINGER);
  char *a = sessions_take_gone(sessions, BEGIN + 900 * SEC, LINGER);
  char *c = sessions_take_gone(sessions, BEGIN + 900 * SEC, LINGER);
  assert_string_equal(a, "a");
  assert_string_equal(c, "c");
  free(a);
  free(c);
  assert_null(sessions_take_gone(sessions, BEGIN + 9000 * SEC, LINGER));
  sessions_note(sessions, "e", true, BEGIN + 9000 * SEC, LINGER);
  sessions_free(sessions);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(after_a_start_nobody_boots_for_a_while),
    cmocka_unit_test(who_was_away_boots),
    cmocka_unit_test(without_a_linger_time_each_session_is_over),
    cmocka_unit_test(many_come_and_go),
    cmocka_unit_test(what_is_to_go_is_told),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

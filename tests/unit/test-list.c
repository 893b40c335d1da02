/* SPDX-License-Identifier: BSD-2-Clause */
/* test-list: the list of exports while the configuration changes. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "catalog/change.h"
#include "catalog/entry.h"
#include "catalog/list.h"
#include "config/server_config.h"
#include "unit/unit.h"

#define N 20000 /* to list them takes a while */
#define ASKERS 4000
#define UNANSWERED 1
#define SECRET "a-secret"

static struct server_export exports[N];
static char names[N][8];
static char buf[EXPORT_LIST_ROOM];

static void
fill_exports(void)
{
  for (size_t i = 0; i < N; i++) {
    snprintf(names[i], sizeof names[i], "e%05zu", i);
    exports[i] = (struct server_export){ .name = names[i], .path = "none" };
  }
  exports[0].name = SECRET;
}

static void
nothing(struct task *task)
{
  (void)task;
}

static void
pause_a_little(void)
{
  nanosleep(&(struct timespec){ .tv_nsec = 10000 }, NULL);
}

/* By somebody without TLS. */
static void
ask(struct export_list *list, struct catalog *catalog, struct loop *loop)
{
  static const struct asker stranger = { .tls = false };

  *list = (struct export_list){ .loop = loop, .error = UNANSWERED };
  list->done.run = nothing;
  list->asker = stranger;
  export_list_begin(list, catalog);
}

/* The loop does not run: what is posted to it stays there. */
static bool
is_answered(struct catalog *catalog, const struct export_list *list)
{
  pthread_mutex_lock(&catalog->live.lock);
  const int error = list->error;
  pthread_mutex_unlock(&catalog->live.lock);
  assert_true(error == UNANSWERED || error == 0);
  return error == 0;
}

static void
wait_for(struct catalog *catalog, const struct export_list *list)
{
  while (!is_answered(catalog, list))
    pause_a_little();
}

static bool
shows_secret(struct catalog *catalog, struct export_list *list)
{
  const ssize_t n = export_list_next(list, catalog, buf, sizeof buf);

  assert_true(n > 0);
  export_list_clear(list);
  return memmem(buf, (size_t)n, SECRET, strlen(SECRET)) != NULL;
}

/* Also while the list that is of it is being made for somebody else. */
static void
who_asks_after_a_change_is_told_of_it(void **state)
{
  const struct server_config config = { .exports = exports, .nexports = N };
  struct export_list *lists = calloc(ASKERS, sizeof *lists);
  struct loop *loop = loop_new(NULL, 0);
  struct catalog *catalog;
  struct vhd_error err;
  size_t n = 0;

  (void)state;
  fill_exports();
  assert_non_null(lists);
  assert_non_null(loop);
  assert_int_equal(catalog_new(&config, &catalog, &err), 0);
  ask(&lists[n], catalog, loop);
  wait_for(catalog, &lists[n]);
  assert_true(shows_secret(catalog, &lists[n++]));
  exports[0].tls_only = true;
  assert_int_equal(catalog_change(catalog, exports, N, NULL, &err), 0);
  struct export_list *first = &lists[n++];
  ask(first, catalog, loop);
  while (n < ASKERS && !is_answered(catalog, first)) {
    ask(&lists[n], catalog, loop);
    if (is_answered(catalog, &lists[n]))
      assert_false(shows_secret(catalog, &lists[n]));
    n++;
    pause_a_little();
  }
  for (size_t i = 1; i < n; i++)
    wait_for(catalog, &lists[i]);
  assert_false(shows_secret(catalog, &lists[n - 1]));
  for (bool idle = false; !idle; pause_a_little()) {
    pthread_mutex_lock(&catalog->live.lock);
    idle = list_cache_is_idle(catalog->lists);
    pthread_mutex_unlock(&catalog->live.lock);
  }
  catalog_free(catalog);
  loop_free(loop);
  free(lists);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_asks_after_a_change_is_told_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-progress: long work says how far it is, never goes back, and ends where
 * it is told to, leaving nothing of a new file. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define FOLDER "new"
#define PATH FOLDER "/disk.vhd"
#define NEVER 1000000U

struct watch {
  unsigned calls;
  unsigned end;   /* the call that cancels */
  int value;      /* how */
  uint64_t done, total;
};

static int
watch(void *opaque, uint64_t done, uint64_t total)
{
  struct watch *w = opaque;

  if (w->calls == 0)
    assert_int_equal(done, 0);
  assert_true(done >= w->done && total >= w->total);
  assert_true(total == 0 || done <= total);
  w->done = done;
  w->total = total;
  return w->calls++ == w->end ? w->value : 0;
}

static unsigned
files(void)
{
  DIR *dir = opendir(FOLDER);
  unsigned n = 0;

  assert_non_null(dir);
  while (readdir(dir))
    n++;
  closedir(dir);
  return n - 2;
}

static int
create(enum vhd_type type, struct watch *w, struct vhd_error *err)
{
  const struct vhd_create_options opt = {
    .type = type,
    .size = 300 << 20,
    .block_size = type == VHD_FIXED ? 0 : 32 << 20,
    .flags = VHD_CREATE_FULL,
    .progress = { .report = watch, .opaque = w },
  };

  return vhd_create(PATH, &opt, err);
}

static int
check(struct watch *w, struct vhd_error *err)
{
  const struct vhd_check_options opt = {
    .progress = { .report = watch, .opaque = w },
  };
  struct vhd_check_result result;

  return vhd_check(PATH, &opt, NULL, NULL, &result, err);
}

static void
must_be_canceled(const struct watch *w, int r, const struct vhd_error *err)
{
  assert_int_equal(r, w->value < 0 ? w->value : -ECANCELED);
  assert_int_equal(err->code, VHD_CANCELED);
  assert_int_equal(err->sys, -r);
  assert_int_equal(w->calls, w->end + 1);
}

/* Lets it run once, then ends it at each of its calls. */
static void
try_all(enum vhd_type type, bool checks)
{
  struct watch full = { .end = NEVER };
  struct vhd_error err = { .code = VHD_OK };

  unlink(PATH);
  assert_int_equal(create(type, &full, &err), 0);
  if (checks) {
    full = (struct watch){ .end = NEVER };
    assert_int_equal(check(&full, &err), 0);
  }
  /* 300 MiB, in steps of 64 at most. */
  assert_true(full.calls > 5);
  assert_true(full.total >= 300 << 20);
  assert_int_equal(full.done, full.total);

  for (unsigned end = 0; end < full.calls; end++) {
    struct watch w = { .end = end, .value = end % 2 ? 7 : -EINTR };
    if (checks) {
      must_be_canceled(&w, check(&w, &err), &err);
      continue;
    }
    unlink(PATH);
    must_be_canceled(&w, create(type, &w, &err), &err);
    assert_int_equal(files(), 0);
  }
}

static void
test_create(void **state)
{
  (void)state;
  try_all(VHD_FIXED, false);
  try_all(VHD_DYNAMIC, false);
}

static void
test_check(void **state)
{
  (void)state;
  try_all(VHD_DYNAMIC, true);
}

static int
set_up(void **state)
{
  (void)state;
  return mkdir(FOLDER, 0777);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_create),
    cmocka_unit_test(test_check),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}

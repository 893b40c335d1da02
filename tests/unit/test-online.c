/* SPDX-License-Identifier: BSD-2-Clause */
/* test-online: an image is changed under a user of its gate: it goes well, it
 * fails, and there is no image afterwards. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "catalog/entry.h"
#include "catalog/start/start.h"
#include "catalog/stop.h"
#include "config/server_config.h"
#include "online/online.h"
#include "unit/unit.h"

#define DISK "disk.vhd"
#define SIZE (UINT64_C(8) << 20)

static struct {
  struct server_export exports[1];
  struct server_config config;
  struct catalog *catalog;
  struct loop *loop;
  struct gate_user user;
  struct export *export;
  struct online_result result;
  struct vhd_error err;
  unsigned turns; /* by the loop, read when that has ended */
  int told;
} world;

static int
grow(void *opaque, enum online_step step, const char *path,
     const struct online_order *order, struct vhd_error *err)
{
  (void)opaque;
  return step == ONLINE_STEP_LOOK ? 0
                                  : vhd_resize(path, order->size, NULL, err);
}

static int
refuse(void *opaque, enum online_step step, const char *path,
     const struct online_order *order, struct vhd_error *err)
{
  (void)opaque;
  (void)order;
  *err = (struct vhd_error){ .code = VHD_SYSTEM, .sys = EIO };
  strcpy(err->message, path);
  return step == ONLINE_STEP_LOOK ? 0 : -EIO;
}

/* Whoever changes it has lost it. */
static int
lose(void *opaque, enum online_step step, const char *path,
     const struct online_order *order, struct vhd_error *err)
{
  if (step != ONLINE_STEP_LOOK)
    unlink(path);
  return refuse(opaque, step, path, order, err);
}

static void
on_turned(struct gate_user *user)
{
  (void)user;
  world.turns++;
}

static void
told(void *opaque, int r)
{
  (void)opaque;
  world.told = r;
}

static void
begin(void)
{
  const struct vhd_create_options opt = { .size = SIZE };

  memset(&world, 0, sizeof world);
  unlink(DISK);
  assert_int_equal(vhd_create(DISK, &opt, NULL), 0);
  world.exports[0] = (struct server_export){ .name = "disk", .path = DISK };
  world.config = (struct server_config){ .exports = world.exports,
                                         .nexports = 1 };
  assert_int_equal(catalog_new(&world.config, &world.catalog, &world.err), 0);
  assert_int_equal(catalog_start(world.catalog, &world.err), 0);
  world.loop = loop_new(NULL, 0);
  assert_non_null(world.loop);
  struct generation *gen = entry_named(world.catalog, "disk")->current;
  gen->refs++;
  world.export = &gen->export;
  gate_join(&world.export->gate, &world.user, world.loop, on_turned);
  assert_int_equal(loop_start(world.loop, NULL), 0);
}

static int
change(int (*step)(void *, enum online_step, const char *,
                   const struct online_order *, struct vhd_error *))
{
  const struct online_hands hands = { .step = step };
  const struct online_order order = { .what = ONLINE_RESIZE,
                                      .export = "disk",
                                      .size = 2 * SIZE };
  struct online *online =
    online_new(world.catalog, &hands, &order, &world.err);

  assert_non_null(online);
  world.told = 1;
  online_run(online, &world.result, &world.err, told, NULL);
  return world.told;
}

static void
end(void)
{
  loop_stop(world.loop, NULL);
  loop_join(world.loop);
  assert_true(gate_leave(&world.user));
  export_unref(world.export);
  assert_int_equal(catalog_stop(world.catalog, 60, &world.err), 0);
  catalog_free(world.catalog);
  loop_free(world.loop);
}

static void
test_change(void **state)
{
  struct vhd_image *before;

  (void)state;
  begin();
  before = world.export->image;
  assert_int_equal(vhd_pwrite(before, "data", 4, 512, 0), 0);
  assert_int_equal(change(grow), 0);
  assert_int_equal(world.result.size, 2 * SIZE);
  assert_int_equal(world.export->size, 2 * SIZE);
  assert_int_equal(vhd_size(world.export->image), 2 * SIZE);
  char text[4];
  assert_int_equal(vhd_pread(world.export->image, text, 4, 512), 0);
  assert_memory_equal(text, "data", 4);
  end();
  assert_true(world.turns >= 1);
  assert_false(world.user.held);
}

static void
test_failure(void **state)
{
  (void)state;
  begin();
  assert_int_equal(change(refuse), -EIO);
  assert_int_equal(world.export->size, SIZE);
  assert_int_equal(vhd_pwrite(world.export->image, "data", 4, 0, 0), 0);
  assert_int_equal(change(grow), 0);
  end();
  assert_false(world.user.held);
}

/* Takes a while: it may yet come back. */
static void
test_loss(void **state)
{
  (void)state;
  begin();
  assert_int_equal(change(lose), -EIO);
  assert_false(gate_enter(&world.export->gate));
  assert_null(entry_named(world.catalog, "disk")->current);
  end();
  assert_true(world.user.held && world.user.broken);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_change),
    cmocka_unit_test(test_failure),
    cmocka_unit_test(test_loss),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

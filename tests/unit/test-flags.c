/* SPDX-License-Identifier: BSD-2-Clause */
/* test-flags: no function of the public interface takes a flag that it does not
 * know, nor what a later version has a field for.  Each refuses it before it
 * does anything, and says so.  tests/style/test-symbols.py sees to it that each
 * function that takes flags is in here. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define DISK "disk.vhd"
#define CHILD "child.vhd"
#define NEW "new.vhd"
#define OPEN_KNOWN                                                     \
  (VHD_OPEN_READONLY | VHD_OPEN_SIZE_CHS | VHD_OPEN_RAW_PARENT |        \
   VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT | VHD_OPEN_RAW)

/* --------------------------------------------------------------- functions */

/* Options of each kind; all of them are clear but for what a call needs. */
static struct {
  struct vhd_open_options open;
  struct vhd_create_options create;
  struct vhd_content content;
  struct vhd_convert_options convert;
  struct vhd_compare_options compare;
  struct vhd_chain_options chain;
  struct vhd_list_options list;
  struct vhd_check_options check;
  struct vhd_compact_options compact;
  struct vhd_resize_options resize;
  struct vhd_repair_options repair;
  struct vhd_set_options set;
  struct vhd_relink_options relink;
  struct vhd_rescue_options rescue;
  uint32_t flags; /* of what takes them by themselves */
} opt;

static void
found_fault(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  (void)finding;
}

static int
found_item(void *opaque, const struct vhd_list_item *item)
{
  (void)opaque;
  (void)item;
  return 0;
}

static void
found_child(void *opaque, const struct vhd_relink_item *item)
{
  (void)opaque;
  (void)item;
}

static int
call_open(struct vhd_error *err)
{
  struct vhd_image *image = NULL;
  const int r = vhd_open(DISK, &opt.open, &image, err);

  vhd_close(image, NULL);
  return r;
}

static int
call_create(struct vhd_error *err)
{
  static const char sector[512] = "x";

  opt.create.size = 1 << 20;
  opt.content.buf = sector;
  opt.content.len = sizeof sector;
  opt.create.content = &opt.content;
  opt.create.ncontent = 1;
  return vhd_create(NEW, &opt.create, err);
}

static int
call_convert(struct vhd_error *err)
{
  return vhd_convert(DISK, NEW, &opt.convert, err);
}

static int
call_measure(struct vhd_error *err)
{
  struct vhd_measure_result result;

  return vhd_measure(DISK, &opt.convert, &result, err);
}

static int
call_compare(struct vhd_error *err)
{
  struct vhd_compare_result result;

  return vhd_compare(DISK, CHILD, &opt.compare, &result, err);
}

static int
call_snapshot(struct vhd_error *err)
{
  return vhd_snapshot(CHILD, NEW, &opt.chain, err);
}

static int
call_revert(struct vhd_error *err)
{
  return vhd_revert(CHILD, &opt.chain, err);
}

static int
call_rebase(struct vhd_error *err)
{
  return vhd_rebase(CHILD, DISK, &opt.chain, err);
}

static int
call_merge(struct vhd_error *err)
{
  return vhd_merge(CHILD, &opt.chain, err);
}

static int
call_list(struct vhd_error *err)
{
  return vhd_list(".", &opt.list, found_item, NULL, err);
}

static int
call_check(struct vhd_error *err)
{
  struct vhd_check_result result;

  return vhd_check(DISK, &opt.check, found_fault, NULL, &result, err);
}

static int
call_examine(struct vhd_error *err)
{
  struct vhd_remains remains;

  return vhd_examine(DISK, &opt.check, found_fault, NULL, &remains, err);
}

static int
call_compact(struct vhd_error *err)
{
  return vhd_compact(DISK, &opt.compact, NULL, err);
}

static int
call_resize(struct vhd_error *err)
{
  return vhd_resize(CHILD, 2 << 20, &opt.resize, err);
}

static int
call_repair(struct vhd_error *err)
{
  struct vhd_repair_result result;

  return vhd_repair(DISK, &opt.repair, found_fault, NULL, &result, err);
}

static int
call_set(struct vhd_error *err)
{
  opt.set.creator = "test";
  return vhd_set(CHILD, &opt.set, err);
}

static int
call_relink(struct vhd_error *err)
{
  const char *const folder = ".";

  return vhd_relink(&folder, 1, &opt.relink, found_child, NULL, NULL, err);
}

static int
call_rescue(struct vhd_error *err)
{
  return vhd_rescue(DISK, NEW, &opt.rescue, NULL, err);
}

static int
call_output_open(struct vhd_error *err)
{
  struct vhd_output *output = NULL;
  const int r = vhd_output_open(NEW, opt.flags, &output, err);

  vhd_output_close(output);
  return r;
}

/* A field of flags, and those that are known there. */
struct flags {
  uint32_t *field;
  uint32_t known;
};

/* A field that is room. */
struct room {
  void *field;
  size_t size;
};

#define ROOM(f) { &opt.f, sizeof opt.f }
#define OPEN_ROOM(o) ROOM(o.open.reserved)
#define OF_OPTIONS(o) ROOM(o.reserved), OPEN_ROOM(o), ROOM(o.progress.reserved)

static const struct function {
  const char *name;
  int (*call)(struct vhd_error *err);
  struct flags flags[3];
  struct room room[6];
} functions[] = {
  { "vhd_open", call_open, { { &opt.open.flags, OPEN_KNOWN } },
    { ROOM(open.reserved) } },
  { "vhd_create", call_create,
    { { &opt.create.flags, VHD_CREATE_FULL | VHD_CREATE_OVERWRITE |
                             VHD_CREATE_ABSOLUTE } },
    { ROOM(create.reserved), ROOM(create.progress.reserved),
      ROOM(content.reserved) } },
  { "vhd_convert", call_convert,
    { { &opt.convert.flags, VHD_CONVERT_FULL | VHD_CONVERT_OVERWRITE |
                              VHD_CONVERT_AZURE },
      { &opt.convert.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(convert) } },
  { "vhd_measure", call_measure,
    { { &opt.convert.flags, VHD_CONVERT_FULL | VHD_CONVERT_OVERWRITE |
                              VHD_CONVERT_AZURE },
      { &opt.convert.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(convert) } },
  { "vhd_compare", call_compare,
    { { &opt.compare.flags, VHD_COMPARE_SIZES },
      { &opt.compare.open[0].flags, OPEN_KNOWN },
      { &opt.compare.open[1].flags, OPEN_KNOWN } },
    { ROOM(compare.reserved), ROOM(compare.open[0].reserved),
      ROOM(compare.open[1].reserved), ROOM(compare.progress.reserved) } },
  { "vhd_snapshot", call_snapshot,
    { { &opt.chain.flags, 0 }, { &opt.chain.open.flags, 0 } },
    { ROOM(chain.reserved), OPEN_ROOM(chain) } },
  { "vhd_revert", call_revert,
    { { &opt.chain.flags, 0 }, { &opt.chain.open.flags, 0 } },
    { ROOM(chain.reserved), OPEN_ROOM(chain) } },
  { "vhd_rebase", call_rebase,
    { { &opt.chain.flags, VHD_REBASE_COPY | VHD_REBASE_UNCHECKED },
      { &opt.chain.open.flags, 0 } }, { OF_OPTIONS(chain) } },
  { "vhd_merge", call_merge,
    { { &opt.chain.flags, VHD_MERGE_SPOIL_OTHERS },
      { &opt.chain.open.flags, 0 } }, { OF_OPTIONS(chain) } },
  { "vhd_list", call_list,
    { { &opt.list.flags, VHD_LIST_RECURSIVE }, { &opt.list.open.flags, 0 } },
    { ROOM(list.reserved), ROOM(list.padding), OPEN_ROOM(list) } },
  { "vhd_check", call_check, { { &opt.check.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(check) } },
  { "vhd_examine", call_examine,
    { { &opt.check.open.flags, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED } },
    { OF_OPTIONS(check) } },
  { "vhd_compact", call_compact, { { &opt.compact.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(compact) } },
  { "vhd_resize", call_resize,
    { { &opt.resize.flags, VHD_RESIZE_SHRINK | VHD_RESIZE_FULL |
                             VHD_RESIZE_CHILDREN },
      { &opt.resize.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(resize), ROOM(resize.padding) } },
  { "vhd_repair", call_repair,
    { { &opt.repair.flags, VHD_REPAIR_UNDO },
      { &opt.repair.open.flags, OPEN_KNOWN } },
    { OF_OPTIONS(repair), ROOM(repair.padding) } },
  { "vhd_set", call_set,
    { { &opt.set.flags, VHD_SET_ID | VHD_SET_VERSION | VHD_SET_GEOMETRY |
                          VHD_SET_TIME | VHD_SET_CHILDREN },
      { &opt.set.open.flags, 0 } },
    { ROOM(set.reserved), ROOM(set.padding), OPEN_ROOM(set) } },
  { "vhd_relink", call_relink,
    { { &opt.relink.flags, VHD_RELINK_RECURSIVE | VHD_RELINK_DRY_RUN },
      { &opt.relink.open.flags, 0 } },
    { OF_OPTIONS(relink), ROOM(relink.padding) } },
  { "vhd_rescue", call_rescue,
    { { &opt.rescue.flags, VHD_RESCUE_FULL | VHD_RESCUE_OVERWRITE |
                             VHD_RESCUE_PROVEN },
      { &opt.rescue.open.flags, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED } },
    { OF_OPTIONS(rescue), ROOM(rescue.padding) } },
  { "vhd_output_open", call_output_open,
    { { &opt.flags, VHD_CREATE_OVERWRITE } }, { { NULL, 0 } } },
};

/* ------------------------------------------------------------------- images */

/* Again, with what a call may have made of them gone. */
static void
make_images(void)
{
  static const char *const paths[] = { NEW, CHILD, DISK };
  const struct vhd_create_options disk = { .size = 1 << 20 };
  const struct vhd_create_options child = { .parent = DISK };

  for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
    unlink(paths[i]);
  assert_int_equal(vhd_create(DISK, &disk, NULL), 0);
  assert_int_equal(vhd_create(CHILD, &child, NULL), 0);
}

/* Names in the folder, and a sum over the images: what refuses changes
 * nothing. */
static uint64_t
state_of_folder(void)
{
  static const char *const paths[] = { DISK, CHILD };
  uint64_t sum = 0;
  DIR *dir = opendir(".");

  assert_non_null(dir);
  for (struct dirent *d; (d = readdir(dir)) != NULL;)
    sum += 1;
  closedir(dir);
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
    FILE *file = fopen(paths[i], "rb");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;)
      sum = sum * 31 + (unsigned)c;
    fclose(file);
  }
  return sum;
}

static bool
says_unknown(const struct vhd_error *err)
{
  return err->code == VHD_ARGUMENT && strstr(err->message, "unknown") != NULL;
}

static void
expect_refused(const struct function *f, const char *what, size_t which)
{
  struct vhd_error err = { .message = "" };
  const int r = f->call(&err);

  if (r != -EINVAL || (!says_unknown(&err) && err.code != VHD_ARGUMENT))
    fail_msg("%s: %s %zu: %d, \"%s\"", f->name, what, which, r, err.message);
}

static void
test_flags(void **state)
{
  (void)state;
  make_images();
  const uint64_t before = state_of_folder();
  for (const struct function *f = functions;
       f < functions + ARRAY_SIZE(functions); f++)
    for (size_t i = 0; i < ARRAY_SIZE(f->flags); i++) {
      if (f->flags[i].field == NULL)
        continue;
      for (unsigned bit = 0; bit < 32; bit++) {
        if (f->flags[i].known >> bit & 1)
          continue;
        *f->flags[i].field = 1U << bit;
        expect_refused(f, "flag", bit);
        *f->flags[i].field = 0;
      }
    }
  assert_true(state_of_folder() == before);
}

static void
test_room(void **state)
{
  (void)state;
  make_images();
  const uint64_t before = state_of_folder();
  for (const struct function *f = functions;
       f < functions + ARRAY_SIZE(functions); f++)
    for (size_t i = 0; i < ARRAY_SIZE(f->room); i++) {
      unsigned char *field = f->room[i].field;
      for (size_t k = 0; k < f->room[i].size; k++) {
        field[k] = 1;
        expect_refused(f, "room", k);
        field[k] = 0;
      }
    }
  assert_true(state_of_folder() == before);
}

/* With nothing that is unknown none of them says that something is. */
static void
test_known(void **state)
{
  (void)state;
  for (const struct function *f = functions;
       f < functions + ARRAY_SIZE(functions); f++)
    for (size_t i = 0; i < ARRAY_SIZE(f->flags); i++) {
      const uint32_t known = f->flags[i].field ? f->flags[i].known : 0;
      for (unsigned bit = 0; bit <= 32; bit++) {
        const uint32_t flag = bit < 32 ? 1U << bit : 0;
        struct vhd_error err = { .message = "" };
        if (flag != 0 && !(known & flag))
          continue;
        make_images();
        if (f->flags[i].field != NULL)
          *f->flags[i].field = flag;
        if (f->call(&err) < 0 && says_unknown(&err))
          fail_msg("%s: flag %#x: \"%s\"", f->name, flag, err.message);
        if (f->flags[i].field != NULL)
          *f->flags[i].field = 0;
      }
    }
}

/* Room in what the library fills is 0. */
static void
test_results(void **state)
{
  struct vhd_check_result check;
  struct vhd_compact_result compact;
  struct vhd_measure_result measure;
  struct vhd_compare_result compare;
  struct vhd_image *image;
  struct vhd_info info;

  (void)state;
  make_images();
  memset(&check, 0xff, sizeof check);
  memset(&compact, 0xff, sizeof compact);
  memset(&measure, 0xff, sizeof measure);
  memset(&compare, 0xff, sizeof compare);
  memset(&info, 0xff, sizeof info);
  assert_int_equal(vhd_check(DISK, NULL, found_fault, NULL, &check, NULL), 0);
  assert_int_equal(vhd_compact(DISK, NULL, &compact, NULL), 0);
  assert_int_equal(vhd_measure(DISK, NULL, &measure, NULL), 0);
  assert_int_equal(vhd_compare(DISK, CHILD, NULL, &compare, NULL), 0);
  assert_int_equal(vhd_open(DISK, NULL, &image, NULL), 0);
  vhd_get_info(image, &info);
  assert_int_equal(vhd_close(image, NULL), 0);
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(check.reserved[i], 0);
    assert_int_equal(compact.reserved[i], 0);
    assert_int_equal(measure.reserved[i], 0);
    assert_int_equal(compare.reserved[i], 0);
    assert_int_equal(info.reserved[i], 0);
  }
}

/* ----------------------------------------------------------------- requests */

static void
test_requests(void **state)
{
  static const uint32_t known[] = {
    [VHD_READ] = 0,
    [VHD_WRITE] = VHD_FUA,
    [VHD_ZERO] = VHD_FUA | VHD_NO_HOLE | VHD_FAST_ZERO,
    [VHD_TRIM] = VHD_FUA,
    [VHD_FLUSH] = 0,
    [VHD_MAP] = VHD_PIN | VHD_ONE_RUN,
  };
  struct vhd_image *image;
  struct vhd_request req;
  char buf[512] = "";

  (void)state;
  make_images();
  assert_int_equal(vhd_open(CHILD, NULL, &image, NULL), 0);
  for (unsigned op = VHD_READ; op <= VHD_MAP; op++)
    for (unsigned i = 0; i < 32; i++)
      if (!(known[op] >> i & 1))
        assert_int_equal(vhd_request_start(&req, image, (enum vhd_op)op, 0,
                                           sizeof buf, buf, 1U << i),
                         -EINVAL);
  for (unsigned i = 0; i < 32; i++) {
    if (!(known[VHD_WRITE] >> i & 1))
      assert_int_equal(vhd_pwrite(image, buf, sizeof buf, 0, 1U << i),
                       -EINVAL);
    if (!(known[VHD_ZERO] >> i & 1))
      assert_int_equal(vhd_zero(image, sizeof buf, 0, 1U << i), -EINVAL);
    if (!(known[VHD_TRIM] >> i & 1))
      assert_int_equal(vhd_trim(image, sizeof buf, 0, 1U << i), -EINVAL);
  }
  assert_int_equal(vhd_close(image, NULL), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_flags),
    cmocka_unit_test(test_room),
    cmocka_unit_test(test_known),
    cmocka_unit_test(test_results),
    cmocka_unit_test(test_requests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

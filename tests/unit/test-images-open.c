/* SPDX-License-Identifier: BSD-2-Clause */
/* test-images-open: images of other tools, opened whole: what they say of
 * themselves, what they hold, and that they stay sound when written to.  Needs
 * the images of VHDKIT_IMAGES. */
#include "config.h"

#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)

static struct vhd_image *
open_image(const char *path, uint32_t flags)
{
  struct vhd_open_options opt = { .flags = flags };
  struct vhd_image *image;
  struct vhd_error err;
  if (vhd_open(path, &opt, &image, &err) < 0)
    fail_msg("%s: %s", vhd_code_name(err.code), err.message);
  return image;
}

static void
close_image(struct vhd_image *image)
{
  struct vhd_error err;
  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
}

static void
not_broken(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  if (finding->severity == VHD_BROKEN)
    fail_msg("%s: %s", finding->path, finding->message);
}

static void
check_sound(const char *path, uint32_t flags)
{
  struct vhd_check_options opt = {
    .open.flags = flags | VHD_OPEN_READONLY,
  };
  struct vhd_check_result result;
  struct vhd_error err;
  if (vhd_check(path, &opt, not_broken, NULL, &result, &err) < 0)
    fail_msg("%s", err.message);
}

static void
test_info(void **state)
{
  (void)state;
  static const struct {
    const char *name, *creator;
    uint64_t size;
    uint32_t version, nblk_allocated;
    bool little_endian, aligned, batmap;
  } rows[] = {
    { "govhd-qemu", "qemu", 0, 0x00050003, 0, false, true, false },
    { "govhd-vbox", "vbox", 40 * MIB, 0x00040003, 0, true, true, false },
    { "govhd-win8", "win", 40 * MIB, 0x00060003, 0, true, true, false },
    { "govhd-win8.1-1GB", "win", 1024 * MIB, 0x00060003, 0, true, true,
      false },
    { "govhd-xapi", "tap", 40 * MIB, 0x00010003, 0, false, true, true },
    { "nodevhd-dynamic", "win", 512 * MIB, 0x000a0000, 11, true, true,
      false },
    { "vhdtool-win7dyn", "win", 200 * MIB, 0x00060001, 6, true, false,
      false },
    { "xen-base", "tap", 8 * MIB, 0x00010003, 2, false, true, true },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    const char *name = rows[i].name;
    unit_image_file(name, "disk.vhd");
    struct vhd_image *image = open_image("disk.vhd", VHD_OPEN_READONLY);
    struct vhd_info info;
    vhd_get_info(image, &info);
    ROW_INT(name, info.type, VHD_DYNAMIC);
    ROW_INT(name, info.depth, 0);
    if (rows[i].size != 0)
      ROW_INT(name, info.size, rows[i].size);
    ROW_STRING(name, info.creator, rows[i].creator);
    ROW_INT(name, info.creator_version, rows[i].version);
    ROW_INT(name, info.nblk_allocated, rows[i].nblk_allocated);
    ROW_INT(name, info.id_little_endian, rows[i].little_endian);
    ROW_INT(name, info.aligned, rows[i].aligned);
    ROW_INT(name, info.batmap, rows[i].batmap);
    close_image(image);
    check_sound("disk.vhd", 0);
  }
}

/* What sector sec of Xen's chain holds, seen from a depth. */
static uint8_t
xen_letter(uint64_t sec, unsigned generation)
{
  if (generation >= 2 && sec >= 15 && sec <= 17)
    return 'E';
  if (generation >= 1 && sec >= 3 && sec <= 4)
    return 'C';
  if (generation >= 1 && sec >= 8192 && sec <= 12287)
    return 'D';
  if (sec <= 15)
    return 'A';
  if (sec >= 4100 && sec <= 4104)
    return 'B';
  return 0;
}

static const char *const xen_chain[] = {
  "xen-base", "xen-child", "xen-grandchild",
};

static void
unpack_xen(void)
{
  for (size_t i = 0; i < ARRAY_SIZE(xen_chain); i++) {
    char path[64];
    snprintf(path, sizeof path, "%s.vhd", xen_chain[i]);
    unit_image_file(xen_chain[i], path);
  }
}

static void
test_xen_chain(void **state)
{
  (void)state;
  unpack_xen();
  for (unsigned g = 0; g < ARRAY_SIZE(xen_chain); g++) {
    char path[64];
    snprintf(path, sizeof path, "%s.vhd", xen_chain[g]);
    struct vhd_image *image = open_image(path, VHD_OPEN_READONLY);
    struct vhd_info info;
    vhd_get_info(image, &info);
    assert_int_equal(info.depth, g);
    for (uint64_t sec = 0; sec < info.size / 512; sec++) {
      uint8_t buf[512];
      assert_int_equal(vhd_pread(image, buf, sizeof buf, sec * 512), 0);
      for (size_t b = 0; b < sizeof buf; b++)
        if (buf[b] != xen_letter(sec, g))
          fail_msg("%s: sector %llu", path, (unsigned long long)sec);
    }
    close_image(image);
    check_sound(path, 0);
  }
}

static void
test_xen_depths(void **state)
{
  (void)state;
  static const struct {
    uint64_t sec;
    int kind, depth;
  } rows[] = {
    { 0, VHD_RUN_DATA, 2 },    { 3, VHD_RUN_DATA, 1 },
    { 15, VHD_RUN_DATA, 0 },   { 17, VHD_RUN_DATA, 0 },
    { 4100, VHD_RUN_DATA, 2 }, { 12287, VHD_RUN_DATA, 1 },
  };
  unpack_xen();
  struct vhd_image *image =
    open_image("xen-grandchild.vhd", VHD_OPEN_READONLY);
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct vhd_run run;
    unsigned n = 1;
    assert_int_equal(vhd_map(image, 512, rows[i].sec * 512, &run, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(run.kind, rows[i].kind);
    assert_int_equal(run.depth, rows[i].depth);
  }
  close_image(image);
}

/* Written to, Xen's image keeps a true batmap, and its chain stays readable. */
static void
test_xen_write(void **state)
{
  (void)state;
  unpack_xen();
  struct vhd_image *image = open_image("xen-grandchild.vhd", 0);
  uint64_t size = vhd_size(image);
  uint8_t *model = malloc(size), *buf = malloc(size);
  assert_true(model != NULL && buf != NULL);
  for (uint64_t i = 0; i < size; i++)
    model[i] = xen_letter(i / 512, 2);
  for (unsigned i = 0; i < 40; i++) {
    uint64_t off = unit_random() % size, len = unit_random() % 300000 + 1;
    len = len < size - off ? len : size - off;
    memset(model + off, i % 4 == 3 ? 0 : (int)(i + 1), len);
    int r = i % 4 == 3 ? vhd_zero(image, len, off, 0)
                       : vhd_pwrite(image, model + off, len, off, 0);
    assert_int_equal(r, 0);
  }
  close_image(image);
  check_sound("xen-grandchild.vhd", 0);
  image = open_image("xen-grandchild.vhd", VHD_OPEN_READONLY);
  assert_int_equal(vhd_pread(image, buf, size, 0), 0);
  assert_memory_equal(buf, model, size);
  close_image(image);
  free(model);
  free(buf);
}

static void
test_windows_child(void **state)
{
  (void)state;
  struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  struct vhd_image *image;
  struct vhd_error err;
  unlink("win8.vhd");
  unit_image_file("govhd-win8-child", "child.vhd");
  assert_true(vhd_open("child.vhd", &opt, &image, &err) < 0);
  assert_int_equal(err.code, VHD_PARENT_MISSING);
  assert_non_null(strstr(err.message, "win8.vhd"));

  unit_image_file("govhd-win8", "win8.vhd");
  image = open_image("child.vhd", VHD_OPEN_READONLY);
  struct vhd_info info;
  vhd_get_info(image, &info);
  assert_int_equal(info.depth, 1);
  assert_string_equal(info.parent_name,
                      "C:\\Users\\sergi\\Downloads\\win8.vhd");
  assert_string_equal(info.parent_id_text,
                      "7519b7ad-5b4b-400b-b025-d06dab31b26f");
  struct vhd_locator locator;
  assert_int_equal(vhd_get_locator(image, 1, &locator), 0);
  assert_string_equal(locator.code, "W2ru");
  assert_string_equal(locator.path, "./win8.vhd");
  close_image(image);
  check_sound("child.vhd", 0);

  /* Another disk in its place. */
  unit_image_file("govhd-win8.1-1GB", "win8.vhd");
  assert_true(vhd_open("child.vhd", &opt, &image, &err) < 0);
  assert_int_equal(err.code, VHD_PARENT_ID);
}

static void
test_orphan(void **state)
{
  (void)state;
  struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  struct vhd_image *image;
  struct vhd_error err;
  uint8_t buf[512];
  unit_image_file("dfvfs-fat-differential", "orphan.vhd");
  assert_true(vhd_open("orphan.vhd", &opt, &image, &err) < 0);
  assert_int_equal(err.code, VHD_PARENT_MISSING);

  image = open_image("orphan.vhd", VHD_OPEN_READONLY | VHD_OPEN_NO_PARENT);
  struct vhd_info info;
  vhd_get_info(image, &info);
  assert_int_equal(info.type, VHD_DIFFERENCING);
  assert_int_equal(info.nblk_allocated, 1);
  /* Never zeros in place of what the parent holds. */
  assert_true(vhd_pread(image, buf, sizeof buf, info.size - 512) < 0);
  close_image(image);
}

static void
test_wrong_checksum(void **state)
{
  (void)state;
  struct vhd_image *image;
  struct vhd_error err;
  unit_image_file("dfvfs-image", "disk.vhd");
  assert_true(vhd_open("disk.vhd", NULL, &image, &err) < 0);
  assert_int_equal(err.code, VHD_FOOTER_CHECKSUM);
}

/* Any of them can be written to, and is sound afterwards. */
static void
test_write(void **state)
{
  (void)state;
  for (unsigned i = 0; unit_images[i] != NULL; i++) {
    const char *name = unit_images[i];
    if (strstr(name, "child") != NULL || strstr(name, "diff") != NULL)
      continue;
    unit_image_file(name, "disk.vhd");
    struct vhd_image *image = open_image("disk.vhd", 0);
    uint64_t size = vhd_size(image);
    uint8_t before[4096], buf[4096], seen[4096];
    assert_int_equal(vhd_pread(image, before, sizeof before, 0), 0);
    memset(buf, 0x5a, sizeof buf);
    assert_int_equal(vhd_pwrite(image, buf, sizeof buf, size / 2, 0), 0);
    assert_int_equal(
      vhd_pwrite(image, buf, sizeof buf, size - sizeof buf, VHD_FUA), 0);
    close_image(image);
    check_sound("disk.vhd", 0);
    image = open_image("disk.vhd", VHD_OPEN_READONLY);
    assert_int_equal(vhd_pread(image, seen, sizeof seen, size / 2), 0);
    assert_memory_equal(seen, buf, sizeof seen);
    assert_int_equal(vhd_pread(image, seen, sizeof seen, 0), 0);
    assert_memory_equal(seen, before, sizeof seen);
    close_image(image);
  }
}

static char folder[] = "vhdkit-images.XXXXXX";

static int
enter(void **state)
{
  (void)state;
  return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int
leave(void **state)
{
  (void)state;
  static const char *const names[] = {
    "disk.vhd", "child.vhd", "orphan.vhd", "win8.vhd", "xen-base.vhd",
    "xen-child.vhd", "xen-grandchild.vhd",
  };
  for (size_t i = 0; i < ARRAY_SIZE(names); i++)
    unlink(names[i]);
  return chdir("..") < 0 ? -1 : rmdir(folder);
}

int
main(void)
{
  const char *images = getenv("VHDKIT_IMAGES");
  if (images == NULL || images[0] == '\0') {
    puts("SKIP: VHDKIT_IMAGES is not set");
    return 77;
  }
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_info),          cmocka_unit_test(test_xen_chain),
    cmocka_unit_test(test_xen_depths),    cmocka_unit_test(test_xen_write),
    cmocka_unit_test(test_windows_child), cmocka_unit_test(test_orphan),
    cmocka_unit_test(test_wrong_checksum),
    cmocka_unit_test(test_write),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}

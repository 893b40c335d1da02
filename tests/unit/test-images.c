/* SPDX-License-Identifier: BSD-2-Clause */
/* test-images: what other tools wrote is read, and written back byte for byte.
 * Needs the images of VHDKIT_IMAGES. */
#include "config.h"

#include <errno.h>

#include "format/batmap.h"
#include "format/footer.h"
#include "format/geometry.h"
#include "format/header.h"
#include "unit/unit.h"

static void
test_footer(void **state)
{
  (void)state;
  for (unsigned i = 0; unit_images[i] != NULL; i++) {
    size_t size;
    uint8_t *data = unit_image(unit_images[i], &size);
    const uint8_t *end = data + size - FOOTER_SIZE;
    struct footer f;
    struct vhd_error err;
    if (footer_parse(end, unit_images[i], "end", &f, &err) < 0)
      fail_msg("%s", err.message);
    uint8_t buf[FOOTER_SIZE];
    footer_format(&f, buf);
    if (memcmp(buf, end, sizeof buf) != 0)
      fail_msg("%s: written differently", unit_images[i]);
    free(data);
  }

  size_t size;
  uint8_t *data = unit_image("dfvfs-image", &size);
  struct footer f;
  struct vhd_error err;
  assert_int_equal(
    footer_parse(data + size - FOOTER_SIZE, "p", "end", &f, &err), -EINVAL);
  assert_int_equal(err.code, VHD_FOOTER_CHECKSUM);
  free(data);
}

static void
test_header(void **state)
{
  (void)state;
  for (unsigned i = 0; unit_images[i] != NULL; i++) {
    size_t size;
    uint8_t *data = unit_image(unit_images[i], &size);
    uint64_t off = unit_get(data, size - 512 + 16, 8);
    uint64_t disk_size = unit_get(data, size - 512 + 48, 8);
    assert_true(off + HEADER_SIZE <= size);
    struct header h;
    struct vhd_error err;
    if (header_parse(data + off, unit_images[i], disk_size, &h, &err) < 0)
      fail_msg("%s", err.message);
    uint8_t buf[HEADER_SIZE];
    header_format(&h, buf);
    if (memcmp(buf, data + off, sizeof buf) != 0)
      fail_msg("%s: written differently", unit_images[i]);
    free(data);
  }
}

static void
test_locator(void **state)
{
  (void)state;
  static const struct {
    const char *image;
    unsigned slot;
    const char *path;
    bool relative;
  } rows[] = {
    { "xen-child", 0, "./xen-base.vhd", true },
    { "xen-child", 1, "./xen-base.vhd", true },
    { "xen-child", 2, "./xen-base.vhd", true },
    { "govhd-win8-child", 0, "/Users/sergi/Downloads/win8.vhd", false },
    { "govhd-win8-child", 1, "./win8.vhd", true },
    { "dfvfs-fat-differential", 0,
      "/Projects/dfvfs/test_data/fat-parent.vhd", false },
    { "dfvfs-fat-differential", 1, "./fat-parent.vhd", true },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    size_t size;
    uint8_t *data = unit_image(rows[i].image, &size);
    struct locator l;
    const char *why;
    locator_parse(data + 512 + 576 + rows[i].slot * LOCATOR_SIZE, &l);
    ROW_INT(rows[i].image, locator_check(&l, &why), 0);
    char path[1024];
    bool relative;
    ROW_INT(rows[i].image,
            locator_path(l.code, data + l.off, l.len, path, sizeof path,
                         &relative),
            0);
    ROW_STRING(rows[i].image, path, rows[i].path);
    ROW_INT(rows[i].image, relative, rows[i].relative);
    free(data);
  }
}

static void
test_batmap(void **state)
{
  (void)state;
  static const char *const names[] = { "govhd-xapi", "xen-base", "xen-child",
                                       "xen-grandchild" };
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    size_t size;
    uint8_t *data = unit_image(names[i], &size);
    struct header h = {
      .table_offset = unit_get(data, 512 + 16, 8),
      .max_table_entries = (uint32_t)unit_get(data, 512 + 28, 4),
    };
    uint64_t off = batmap_header_off(&h);
    assert_true(off + BATMAP_HEADER_SIZE <= size);
    struct batmap b;
    const char *why;
    ROW_INT(names[i],
            batmap_parse(data + off, h.max_table_entries, &b, &why), 0);
    size_t len = (size_t)b.nsec * 512;
    assert_true(b.off + len <= size);
    ROW_TRUE(names[i], batmap_sum_ok(&b, data + b.off, len));
    uint8_t buf[BATMAP_HEADER_SIZE];
    batmap_format(&b, data + b.off, len, buf);
    ROW_TRUE(names[i], memcmp(buf, data + off, sizeof buf) == 0);
    free(data);
  }
}

static void
test_geometry(void **state)
{
  (void)state;
  for (unsigned i = 0; unit_images[i] != NULL; i++) {
    /* A geometry that was forced, and one that VirtualBox computes itself. */
    if (strcmp(unit_images[i], "qemu72-force") == 0 ||
        strcmp(unit_images[i], "govhd-vbox") == 0 ||
        strcmp(unit_images[i], "govhd-qemu") == 0)
      continue;
    size_t size;
    uint8_t *data = unit_image(unit_images[i], &size);
    const uint8_t *footer = data + size - FOOTER_SIZE;
    struct geometry g = geometry_for_size(unit_get(footer, 48, 8));
    ROW_INT(unit_images[i], g.cylinders, unit_get(footer, 56, 2));
    ROW_INT(unit_images[i], g.heads, footer[58]);
    ROW_INT(unit_images[i], g.sectors, footer[59]);
    free(data);
  }
}

int
main(void)
{
  const char *folder = getenv("VHDKIT_IMAGES");
  if (folder == NULL || folder[0] == '\0') {
    puts("SKIP: VHDKIT_IMAGES is not set");
    return 77;
  }
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_footer),
    cmocka_unit_test(test_header),
    cmocka_unit_test(test_locator),
    cmocka_unit_test(test_batmap),
    cmocka_unit_test(test_geometry),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

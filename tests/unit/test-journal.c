/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: taking over more than a live image lets be dirty at once. */
#include "config.h"

#include <string.h>
#include <time.h>

#include "base/bounds.h"
#include "image/journal.h"
#include "image/open.h"
#include "store/local.h"
#include "unit/unit.h"

#define SECOND 1000000000LL
#define HOUR (3600 * SECOND)

static uint8_t mem[1 << 20];

/* ------------------------------------------------------------------ replay */

#define BLOCK 4096u
#define NBLK 10240u
#define NPARTLY 9000u /* more than a live image lets be dirty at once */

_Static_assert(NPARTLY > DIRTY_MAX && NPARTLY > BITMAPS_BYTES / 512 &&
                 NPARTLY < JOURNAL_RECORDS, "nothing out of bounds is tried");

/* A parent full of 'p', and a child whose blocks have slots, and no bits. */
static void
make_chain(void)
{
  static char data[1 << 20];
  struct vhd_create_options parent = { .size = (uint64_t)NBLK * BLOCK };
  struct vhd_create_options child = { .parent = "parent.vhd",
                                      .flags = VHD_CREATE_FULL |
                                               VHD_CREATE_OVERWRITE,
                                      .block_size = BLOCK };
  struct vhd_image *image;
  struct vhd_error err;

  parent.flags = VHD_CREATE_OVERWRITE;
  memset(data, 'p', sizeof data);
  if (vhd_create("parent.vhd", &parent, &err) < 0 ||
      vhd_open("parent.vhd", NULL, &image, &err) < 0)
    fail_msg("%s", err.message);
  for (uint64_t off = 0; off < parent.size; off += sizeof data)
    assert_int_equal(vhd_pwrite(image, data, sizeof data, off, 0), 0);
  assert_int_equal(vhd_close(image, NULL), 0);
  if (vhd_create("child.vhd", &child, &err) < 0)
    fail_msg("%s", err.message);
}

static struct vhd_image *
open_layer(const char *path, uint32_t flags)
{
  struct vhd_file *file;
  struct vhd_image *image;
  struct vhd_error err;

  if (local_open(path, flags ? LOCAL_READ : LOCAL_WRITE, &file, &err) < 0 ||
      image_new(file, flags, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static struct vhd_image *
open_chain(uint32_t flags, struct journal *journal)
{
  struct vhd_image *image = open_layer("child.vhd", flags);
  struct vhd_image *parent = open_layer("parent.vhd", VHD_OPEN_READONLY);
  struct vhd_error err;

  if (image_start(parent, NULL, false, &err) < 0 ||
      image_set_parent(image, parent) < 0 ||
      image_start(image, journal, flags == 0, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

/* The first sector of the first blocks is the child's, all else its
 * parent's. */
static void
check_disk(struct vhd_image *image)
{
  static const uint8_t zeros[512];
  uint8_t data[BLOCK], p[BLOCK];

  memset(p, 'p', sizeof p);
  for (uint32_t blk = 0; blk < NBLK; blk++) {
    size_t own = blk < NPARTLY ? 512 : 0;
    assert_int_equal(vhd_pread(image, data, BLOCK, (uint64_t)blk * BLOCK), 0);
    assert_memory_equal(data, zeros, own);
    assert_memory_equal(data + own, p, BLOCK - own);
  }
}

static struct journal *
fill_journal(void)
{
  struct journal *j = journal_format(mem, journal_bytes(JOURNAL_RECORDS));

  for (uint32_t blk = 0; blk < NPARTLY; blk++)
    journal_append(j, (struct journal_record){ JOURNAL_BITS, blk, 0, 1 });
  return j;
}

static void
test_much_is_read(void **state)
{
  (void)state;
  make_chain();
  struct vhd_image *image = open_chain(VHD_OPEN_READONLY, fill_journal());
  check_disk(image);
  image_free(image);
}

static void
test_much_is_written_down(void **state)
{
  (void)state;
  struct journal *j = fill_journal();

  make_chain();
  struct vhd_image *image = open_chain(0, j);
  check_disk(image);
  assert_true(journal_empty(j));
  image_free(image);
  image = open_chain(VHD_OPEN_READONLY, NULL);
  check_disk(image);
  image_free(image);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_much_is_read),
    cmocka_unit_test(test_much_is_written_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

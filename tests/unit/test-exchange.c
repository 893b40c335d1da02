/* SPDX-License-Identifier: BSD-2-Clause */
/* test-exchange: the layers below the top are exchanged for others that read
 * the same, while threads read and write; and the former ones go when the last
 * request that sees them has ended. */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "image/image.h"
#include "unit/hostile.h"
#include "unit/unit.h"

#define READERS 3
#define ROUNDS 200
#define GRANDPARENT "grandparent.vhd"
#define MERGED "merged.vhd"

/* A parent and a grandparent, and a file that holds what both say. */
struct family {
  uint8_t *disk; /* what the child reads as */
  size_t len;
};

static void
make_family(struct family *family)
{
  struct forge g, p, c;

  forge_dynamic(&g, 'G');
  forge_write(&g, GRANDPARENT);
  forge_child(&p, 'P', &g, GRANDPARENT);
  forge_write(&p, PARENT);
  forge_child(&c, 'C', &p, PARENT);
  forge_write(&c, DISK);
  family->disk = malloc(c.disk_len);
  family->len = c.disk_len;
  memcpy(family->disk, c.disk, c.disk_len);

  struct vhd_create_options opt = { .size = p.disk_len,
                                    .flags = VHD_CREATE_OVERWRITE };
  struct vhd_image *image;
  assert_int_equal(vhd_create(MERGED, &opt, NULL), 0);
  assert_int_equal(vhd_open(MERGED, NULL, &image, NULL), 0);
  assert_int_equal(vhd_pwrite(image, p.disk, p.disk_len, 0, 0), 0);
  assert_int_equal(vhd_close(image, NULL), 0);
  forge_free(&g);
  forge_free(&p);
  forge_free(&c);
}

/* ------------------------------------------------------------------ readers */

struct reader {
  struct vhd_image *image;
  const struct family *family;
  _Atomic bool *stop;
  _Atomic unsigned *reads;
  unsigned nth;
  bool wrong;
};

/* Block 0 is the writer's. */
static void *
read_on(void *opaque)
{
  struct reader *r = opaque;
  uint8_t *buf = malloc(r->family->len);
  unsigned n = r->nth;

  while (!atomic_load(r->stop) && !r->wrong) {
    n = n * 1103515245 + 12345;
    uint64_t off = FORGE_BLOCK + (n >> 8) % (r->family->len - FORGE_BLOCK);
    uint64_t len = 1 + (n >> 4) % (r->family->len - off);
    r->wrong = vhd_pread(r->image, buf, len, off) < 0 ||
               memcmp(buf, r->family->disk + off, len) != 0;
    atomic_fetch_add(r->reads, 1);
  }
  free(buf);
  return NULL;
}

static void *
write_on(void *opaque)
{
  struct reader *r = opaque;
  uint8_t buf[700];

  for (unsigned i = 0; !atomic_load(r->stop) && !r->wrong; i++) {
    memset(buf, (int)i, sizeof buf);
    uint64_t off = i * 131 % (FORGE_BLOCK - sizeof buf);
    r->wrong = vhd_pwrite(r->image, buf, sizeof buf, off, 0) < 0 ||
               (i % 8 == 0 && vhd_trim(r->image, FORGE_BLOCK, 0, 0) < 0);
  }
  return NULL;
}

/* The layers of an image of its own. */
static struct vhd_image *
open_below(const char *path)
{
  const struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };

  if (vhd_open(path, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static void
exchange(struct vhd_image *image, const char *path)
{
  struct vhd_image *below = open_below(path);
  struct layers *layers = atomic_load(&below->layers);

  assert_int_equal(image_exchange(image, layers->layer, layers->n), 0);
  vhd_close(below, NULL);
}

static void
try_exchange(uint32_t flags)
{
  const struct vhd_open_options opt = { .flags = flags };
  struct family family;
  struct vhd_image *image;
  _Atomic bool stop = false;
  _Atomic unsigned reads = 0;
  pthread_t thread[READERS + 1];
  struct reader reader[READERS + 1];
  unsigned nthread = READERS + !(flags & VHD_OPEN_READONLY);

  make_family(&family);
  assert_int_equal(vhd_open(DISK, &opt, &image, NULL), 0);
  for (unsigned i = 0; i < nthread; i++) {
    reader[i] = (struct reader){ image, &family, &stop, &reads, i, false };
    pthread_create(&thread[i], NULL, i < READERS ? read_on : write_on,
                   &reader[i]);
  }
  for (unsigned i = 0; i < ROUNDS; i++) {
    unsigned before = atomic_load(&reads);
    exchange(image, i % 2 ? PARENT : MERGED);
    while (atomic_load(&reads) < before + 3)
      sched_yield();
  }
  atomic_store(&stop, true);
  for (unsigned i = 0; i < nthread; i++) {
    pthread_join(thread[i], NULL);
    assert_false(reader[i].wrong);
  }
  assert_true(image_settle(image));
  assert_int_equal(vhd_close(image, NULL), 0);
  free(family.disk);
}

static void
test_while_reading(void **state)
{
  (void)state;
  try_exchange(VHD_OPEN_READONLY);
}

static void
test_while_writing(void **state)
{
  (void)state;
  try_exchange(0);
}

/* ---------------------------------------------------------------- who stays */

/* Nobody else can write a layer that somebody refers to. */
static bool
is_held(const char *path)
{
  struct vhd_image *image;

  if (vhd_open(path, NULL, &image, NULL) < 0)
    return true;
  vhd_close(image, NULL);
  return false;
}

static void
test_pinned(void **state)
{
  (void)state;
  struct family family;
  struct vhd_run runs[8];
  uint8_t byte;

  make_family(&family);
  struct vhd_image *image = open_below(DISK);
  struct vhd_request req = { .image = image };
  assert_int_equal(vhd_request_start(&req, image, VHD_MAP, 2 * FORGE_BLOCK, 512,
                                     NULL, VHD_PIN), 0);
  req.runs = runs;
  req.max_runs = 8;
  assert_int_equal(vhd_request_run(&req), 0);
  assert_int_equal(runs[0].depth, 2);

  exchange(image, MERGED);
  assert_false(image_settle(image));
  assert_true(is_held(GRANDPARENT));
  assert_int_equal(pread(runs[0].fd, &byte, 1, (off_t)runs[0].file_off), 1);
  assert_int_equal(byte, family.disk[2 * FORGE_BLOCK]);
  struct vhd_info info;
  vhd_get_info(image, &info);
  assert_int_equal(info.depth, 1);

  vhd_request_end(&req);
  assert_true(image_settle(image));
  assert_false(is_held(GRANDPARENT));
  assert_true(is_held(MERGED));
  vhd_close(image, NULL);
  assert_false(is_held(MERGED));
  free(family.disk);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_while_reading),
    cmocka_unit_test(test_while_writing),
    cmocka_unit_test(test_pinned),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}

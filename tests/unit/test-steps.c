/* SPDX-License-Identifier: BSD-2-Clause */
/* test-steps: no step of a request takes long, however much there is to look
 * at before it comes to an I/O or to its end: it steps back, and others have
 * their turn. */
#include "config.h"

#include <unistd.h>

#include "image/image.h"
#include "unit/crew.h"
#include "unit/unit.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define SIZE (128 * MIB)
#define BLOCK (4 * KIB)
#define NBLOCK (SIZE / BLOCK)
#define DEPTH 4
/* Layers and entries of tables, each of which takes nanoseconds. */
#define MOST 6000

static char path[DEPTH][20];

/* A chain of images without a block; the top's blocks are larger. */
static struct vhd_image *
open_chain(unsigned depth, uint32_t block_size)
{
  struct vhd_image *image = NULL;

  for (unsigned i = 0; i < depth; i++) {
    vhd_close(image, NULL);
    snprintf(path[i], sizeof path[i], "%u.vhd", i);
    image = crew_open(path[i], i > 0 ? path[i - 1] : NULL, SIZE,
                      i + 1 == depth ? block_size : BLOCK);
  }
  return image;
}

static void
close_chain(struct vhd_image *image)
{
  assert_int_equal(vhd_close(image, NULL), 0);
  for (unsigned i = 0; i < DEPTH; i++)
    unlink(path[i]);
}

/* Steps it to its end, which takes no I/O; there are so many things to be
 * looked at. */
static void
take_steps(struct hand *h, uint64_t looks)
{
  uint64_t steps = 1;

  for (; hand_step(h), h->state == HAND_READY; steps++)
    assert_false(h->req.leads); /* there is nobody to wait for */
  assert_int_equal(h->state, HAND_DONE);
  assert_int_equal(h->req.result, 0);
  if (steps < looks / MOST)
    fail_msg("%llu steps for %llu things", (unsigned long long)steps,
             (unsigned long long)looks);
}

/* What the top has nothing of, its ancestors are asked for. */
static void
try_change(enum vhd_op op, uint64_t looks)
{
  struct vhd_image *image = open_chain(DEPTH, BLOCK);
  struct hand h;

  hand_start(&h, image, op, 0, SIZE, NULL, 0);
  take_steps(&h, looks);
  close_chain(image);
}

static void
test_trim(void **state)
{
  (void)state;
  try_change(VHD_TRIM, NBLOCK);
}

static void
test_zero(void **state)
{
  (void)state;
  try_change(VHD_ZERO, NBLOCK * (DEPTH - 1));
}

/* A block of the top is many of its ancestors'.  It is asked for anew where it
 * is found to be held, and not gone through again. */
static void
test_large_block(void **state)
{
  (void)state;
  struct vhd_image *image = open_chain(DEPTH, SIZE);
  struct hand h;

  hand_start(&h, image, VHD_ZERO, 0, SIZE, NULL, 0);
  take_steps(&h, NBLOCK * (DEPTH - 1));
  hand_start(&h, image, VHD_ZERO, 512, SIZE - 1024, NULL, 0);
  take_steps(&h, NBLOCK * (DEPTH - 1));
  close_chain(image);
}

static void
try_map(unsigned depth, uint64_t looks)
{
  struct vhd_image *image = open_chain(depth, BLOCK);
  struct vhd_run run[2];
  struct hand h;

  hand_start(&h, image, VHD_MAP, 0, SIZE, NULL, VHD_PIN);
  h.req.runs = run;
  h.req.max_runs = 2;
  take_steps(&h, looks);
  assert_int_equal(h.req.nruns, 1);
  assert_int_equal(run[0].len, SIZE);
  assert_int_equal(run[0].kind, VHD_RUN_HOLE);
  vhd_request_end(&h.req);
  close_chain(image);
}

static void
test_map(void **state)
{
  (void)state;
  try_map(1, NBLOCK);
  try_map(DEPTH, NBLOCK * DEPTH);
}

static void
test_read(void **state)
{
  (void)state;
  struct vhd_image *image = open_chain(DEPTH, BLOCK);
  char *buf = malloc(SIZE);
  struct hand h;

  assert_non_null(buf);
  hand_start(&h, image, VHD_READ, 0, SIZE, buf, 0);
  take_steps(&h, NBLOCK * DEPTH);
  free(buf);
  close_chain(image);
}

/* What becomes free is looked at, too. */
static void
test_freed(void **state)
{
  (void)state;
  struct vhd_image *image = open_chain(1, BLOCK);
  char *buf = calloc(1, BLOCK);
  struct hand h;

  for (uint64_t i = 0; i < MOST; i++)
    assert_int_equal(vhd_pwrite(image, buf, BLOCK, i * BLOCK, 0), 0);
  hand_start(&h, image, VHD_TRIM, 0, MOST * BLOCK, NULL, 0);
  hand_step(&h);
  if (h.state == HAND_WAITS) { /* the file is dated first */
    hand_perform(&h);
    hand_step(&h);
  }
  assert_int_equal(h.state, HAND_READY);
  assert_true(atomic_load(&image->top->nallocated) > 0);
  hand_go(&h);
  assert_int_equal(h.state, HAND_DONE);
  assert_int_equal(h.req.result, 0);
  free(buf);
  close_chain(image);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_trim),
    cmocka_unit_test(test_zero),
    cmocka_unit_test(test_large_block),
    cmocka_unit_test(test_map),
    cmocka_unit_test(test_read),
    cmocka_unit_test(test_freed),
  };

  crew_bound_cpu(20);
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-chain: opening chains: the stack it takes, however deep they are; what
 * is opened once; where a parent is looked for; and looking at what another
 * program writes. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "unit/hostile.h"
#include "unit/unit.h"

#define W2RU 0x57327275
#define W2KU 0x57326b75

static struct vhd_image *
open_image(const char *path, uint32_t flags)
{
  const struct vhd_open_options opt = { .flags = flags };
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };

  if (vhd_open(path, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

/* -------------------------------------------------------------- deep chains */

/* What the functions of a sanitized build take is not ours to count. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK (1024U << 10)
#define STACK_USED STACK
#else
#define STACK (64U << 10)
#define STACK_USED (32U << 10)
#endif
#define PAINT 0xa5

static void *
open_deepest(void *opaque)
{
  struct vhd_info info;

  (void)opaque;
  struct vhd_image *image = open_image("128.vhd", 0);
  vhd_get_info(image, &info);
  assert_int_equal(info.depth, VHD_MAX_DEPTH);
  assert_int_equal(vhd_close(image, NULL), 0);
  return NULL;
}

/* In place of what another test left there. */
static void
create(const char *path, struct vhd_create_options opt)
{
  struct vhd_error err = { .message = "" };

  unlink(path);
  if (vhd_create(path, &opt, &err) < 0)
    fail_msg("%s", err.message);
}

static void
make_chain(unsigned depth)
{
  char path[20], parent[20];

  for (unsigned i = 0; i <= depth; i++) {
    snprintf(path, sizeof path, "%u.vhd", i);
    create(path, (struct vhd_create_options){ .size = i == 0 ? 4 << 20 : 0,
                                              .parent = i ? parent : NULL });
    snprintf(parent, sizeof parent, "%s", path);
  }
}

static void
test_stack(void **state)
{
  (void)state;
  pthread_attr_t attr;
  pthread_t thread;
  size_t used = STACK;

  make_chain(VHD_MAX_DEPTH);
  uint8_t *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(stack != MAP_FAILED);
  memset(stack, PAINT, STACK);
  pthread_attr_init(&attr);
  assert_int_equal(pthread_attr_setstack(&attr, stack, STACK), 0);
  assert_int_equal(pthread_create(&thread, &attr, open_deepest, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attr);
  while (used > 0 && stack[STACK - used] == PAINT)
    used--;
  print_message("# %zu bytes of stack\n", used);
  assert_true(used <= STACK_USED);
  munmap(stack, STACK);
}

/* ------------------------------------------------------------------ sharing */

static unsigned
count_descriptors(void)
{
  DIR *d = opendir("/proc/self/fd");
  unsigned n = 0;

  while (readdir(d) != NULL)
    n++;
  closedir(d);
  return n;
}

#define CHILDREN 20

static void
test_shared(void **state)
{
  (void)state;
  struct vhd_image *image[CHILDREN], *writer;
  uint8_t buf[512];
  struct vhd_error err;

  make_chain(3);
  for (unsigned i = 0; i < CHILDREN; i++) {
    char path[20];
    snprintf(path, sizeof path, "child%u.vhd", i);
    create(path, (struct vhd_create_options){ .parent = "3.vhd" });
  }
  unsigned before = count_descriptors();
  for (unsigned i = 0; i < CHILDREN; i++) {
    char path[20];
    snprintf(path, sizeof path, "child%u.vhd", i);
    image[i] = open_image(path, i % 2 ? VHD_OPEN_READONLY : 0);
    assert_int_equal(vhd_pread(image[i], buf, 512, 0), 0);
  }
  /* Each its own, and four for all. */
  assert_int_equal(count_descriptors() - before, CHILDREN + 4);
  /* While one of them is open, none of the four can be written. */
  for (unsigned i = 0; i < CHILDREN; i++) {
    assert_int_equal(vhd_open("0.vhd", NULL, &writer, &err), -EBUSY);
    assert_int_equal(vhd_close(image[i], NULL), 0);
  }
  assert_int_equal(count_descriptors(), before);
  vhd_close(open_image("0.vhd", 0), NULL);
}

static size_t
resident(void)
{
  unsigned long total, pages;
  FILE *file = fopen("/proc/self/statm", "re");

  assert_int_equal(fscanf(file, "%lu %lu", &total, &pages), 2);
  fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What each takes beyond its own block table, the parent being there. */
static void
test_memory(void **state)
{
  (void)state;
  const uint64_t size = 100ULL << 30, table = size / (2 << 20) * 4;
  struct vhd_image *image[CHILDREN];

  create("0.vhd", (struct vhd_create_options){ .size = size });
  create("child.vhd", (struct vhd_create_options){ .parent = "0.vhd" });
  struct vhd_image *first = open_image("child.vhd", VHD_OPEN_READONLY);
  size_t before = resident();
  for (unsigned i = 0; i < CHILDREN; i++)
    image[i] = open_image("child.vhd", VHD_OPEN_READONLY);
  size_t each = (resident() - before) / CHILDREN;
  print_message("# %zu bytes each, a table of %llu\n", each,
                (unsigned long long)table);
  if (STACK_USED < STACK) /* not sanitized */
    assert_true(each < table + (64 << 10));
  for (unsigned i = 0; i < CHILDREN; i++)
    vhd_close(image[i], NULL);
  vhd_close(first, NULL);
}

/* What was changed is another file, also while the former one is in use. */
static void
test_not_shared(void **state)
{
  (void)state;
  struct vhd_image *old, *new;
  uint8_t buf[512];
  struct forge p, c;

  forge_dynamic(&p, 'P');
  forge_child(&c, 'C', &p, PARENT);
  forge_write(&p, PARENT);
  forge_write(&c, DISK);
  old = open_image(DISK, VHD_OPEN_READONLY);
  p.file[FORGE_SLOT + FORGE_STRIDE + 600] ^= 1; /* of block 2 */
  forge_write(&p, PARENT);
  new = open_image(DISK, VHD_OPEN_READONLY);
  assert_int_equal(vhd_pread(old, buf, 512, 2 * FORGE_BLOCK), 0);
  assert_memory_equal(buf, c.disk + 2 * FORGE_BLOCK, 512);
  assert_int_equal(vhd_pread(new, buf, 512, 2 * FORGE_BLOCK), 0);
  assert_memory_not_equal(buf, c.disk + 2 * FORGE_BLOCK, 512);
  vhd_close(old, NULL);
  vhd_close(new, NULL);
  forge_free(&p);
  forge_free(&c);
}

/* ------------------------------------------------- where a parent is sought */

/* A child without a name for its parent and without locators. */
static void
begin_child(struct forge *c)
{
  struct forge p;

  forge_dynamic(&p, 'P');
  forge_write(&p, PARENT);
  forge_child(c, 'C', &p, PARENT);
  forge_free(&p);
  forge_name(c, "");
  for (unsigned i = 0; i < 8; i++)
    forge_locator(c, i, 0, 0, 0, 0);
}

static void
expect_found(struct forge *c)
{
  forge_seal(c);
  forge_write(c, DISK);
  struct vhd_image *image = open_image(DISK, VHD_OPEN_READONLY);
  uint8_t *buf = malloc(c->disk_len);
  assert_int_equal(vhd_pread(image, buf, c->disk_len, 0), 0);
  assert_memory_equal(buf, c->disk, c->disk_len);
  free(buf);
  vhd_close(image, NULL);
  forge_free(c);
}

/* One that is no VHD at all, or another, says nothing of the next. */
static void
test_search_goes_on(void **state)
{
  (void)state;
  for (unsigned other = 0; other < 2; other++) {
    struct forge c, o;
    begin_child(&c);
    forge_dynamic(&o, 'O');
    memset(o.file, 'x', other ? 0 : o.len);
    forge_write(&o, "first.vhd");
    forge_free(&o);
    uint32_t len = forge_utf16(&c, FORGE_LOCATOR_W2RU, ".\\first.vhd");
    forge_locator(&c, 0, W2RU, 512, len, FORGE_LOCATOR_W2RU);
    len = forge_utf16(&c, FORGE_LOCATOR_W2KU, ".\\" PARENT);
    forge_locator(&c, 1, W2KU, 512, len, FORGE_LOCATOR_W2KU);
    expect_found(&c);
  }
}

/* And where there is no other, it is what the error speaks of. */
static void
test_search_ends(void **state)
{
  (void)state;
  struct vhd_image *image;
  struct vhd_error err;
  struct forge c;

  begin_child(&c);
  uint32_t len = forge_utf16(&c, FORGE_LOCATOR_W2RU, ".\\first.vhd");
  forge_locator(&c, 0, W2RU, 512, len, FORGE_LOCATOR_W2RU);
  forge_seal(&c);
  forge_write(&c, DISK);
  int fd = open("first.vhd", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, c.file, 3000), 3000);
  assert_int_equal(pwrite(fd, "QFI\xfb", 4, 0), 4);
  close(fd);
  assert_int_equal(vhd_open(DISK, NULL, &image, &err), -EINVAL);
  if (err.code != VHD_CHAIN_PARENT || !strstr(err.message, "qcow") ||
      strstr(strstr(err.message, "in its parent") + 1, "in its parent"))
    fail_msg("%s: %s", vhd_code_name(err.code), err.message);
  forge_free(&c);
}

static void
test_base_name(void **state)
{
  (void)state;
  struct forge c;

  begin_child(&c);
  uint32_t len =
    forge_utf16(&c, FORGE_LOCATOR_W2KU, "D:\\elsewhere\\" PARENT);
  forge_locator(&c, 3, W2KU, 512, len, FORGE_LOCATOR_W2KU);
  expect_found(&c);
}

/* The text of a locator is whole; what is set aside for it reaches over the
 * footer, or, once the file has grown, over a block. */
static void
test_long_space(void **state)
{
  (void)state;
  struct forge c;

  begin_child(&c);
  size_t at = c.len - FORGE_SECTOR;
  forge_insert(&c, at, FORGE_SECTOR);
  uint32_t len = forge_utf16(&c, at, ".\\" PARENT);
  forge_locator(&c, 5, W2RU, 65536, len, at);
  forge_seal(&c);
  forge_write(&c, DISK);
  for (uint32_t blk = 0; blk < FORGE_NBLK - 1; blk++) {
    struct vhd_image *image = open_image(DISK, 0);
    memset(c.disk + blk * FORGE_BLOCK, (int)blk + 1, FORGE_BLOCK);
    assert_int_equal(vhd_pwrite(image, c.disk + blk * FORGE_BLOCK, FORGE_BLOCK,
                                blk * FORGE_BLOCK, 0), 0);
    assert_int_equal(vhd_close(image, NULL), 0);
    hostile_compare(DISK, 0, c.disk, c.disk_len);
  }
  forge_free(&c);
}

/* ----------------------------------------------------------------- unlocked */

/* What is acknowledged but not yet in the file is the writer's alone; who looks
 * without a lock takes the file as it is, and its table may be from before or
 * after. */
static void
test_live_journal(void **state)
{
  (void)state;
  const uint32_t look = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED;
  struct vhd_image *writer, *image;
  struct vhd_error err = { .message = "" };
  const struct vhd_open_options opt = { .flags = look };
  uint8_t buf[512] = { 1 };
  struct forge p, c;

  forge_dynamic(&p, 'P');
  forge_write(&p, PARENT);
  forge_child(&c, 'C', &p, PARENT);
  forge_write(&c, DISK);
  writer = open_image(PARENT, 0);
  assert_int_equal(vhd_trim(writer, FORGE_BLOCK, 2 * FORGE_BLOCK, 0), 0);
  assert_int_equal(vhd_pwrite(writer, buf, 512, 3 * FORGE_BLOCK, 0), 0);
  vhd_close(open_image(DISK, look), NULL);

  /* Between two reads of the table by the one who looks. */
  int fd = open(PARENT, O_RDWR | O_CLOEXEC);
  uint8_t entry[4];
  unit_put(entry, 0, 4, UINT32_MAX);
  assert_int_equal(pwrite(fd, entry, 4, FORGE_BAT + 4 * 2), 4);
  unit_put(entry, 0, 4, FORGE_SLOT / 512 + FORGE_STRIDE / 512);
  assert_int_equal(pwrite(fd, entry, 4, FORGE_BAT + 4 * 3), 4);
  if (vhd_open(DISK, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  vhd_close(image, NULL);
  unit_put(entry, 0, 4, FORGE_SLOT / 512 + FORGE_STRIDE / 512);
  assert_int_equal(pwrite(fd, entry, 4, FORGE_BAT + 4 * 2), 4);
  unit_put(entry, 0, 4, UINT32_MAX);
  assert_int_equal(pwrite(fd, entry, 4, FORGE_BAT + 4 * 3), 4);
  close(fd);
  assert_int_equal(vhd_close(writer, NULL), 0);
  forge_free(&p);
  forge_free(&c);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_stack),
    cmocka_unit_test(test_shared),
    cmocka_unit_test(test_not_shared),
    cmocka_unit_test(test_memory),
    cmocka_unit_test(test_search_goes_on),
    cmocka_unit_test(test_search_ends),
    cmocka_unit_test(test_base_name),
    cmocka_unit_test(test_long_space),
    cmocka_unit_test(test_live_journal),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-children: what a child of a large parent takes in a process that has the
 * parent open: all the memory there is, and descriptors. */
#include "config.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define SIZE (2040ULL << 30) /* its full table takes 4 MiB */
#define NCHILD 32
#define MEMORY_MOST (64U << 10)
#define DESCRIPTORS_MOST 2

static char journals[] = "/dev/shm/test-children.XXXXXX";

static uint64_t
field(const char *path, const char *name)
{
  char line[200];
  unsigned long long kib = 0;
  FILE *file = fopen(path, "r");

  assert_non_null(file);
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, name, strlen(name)) == 0)
      sscanf(line + strlen(name), "%llu", &kib);
  fclose(file);
  return kib << 10;
}

/* How many files a folder has, and what they take. */
static unsigned
folder(const char *path, uint64_t *bytes)
{
  const struct dirent *entry;
  unsigned n = 0;
  struct stat st;
  DIR *dir = opendir(path);

  assert_non_null(dir);
  for (; (entry = readdir(dir)) != NULL; n++)
    if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
      *bytes += (uint64_t)st.st_blocks * 512;
  closedir(dir);
  return n;
}

/* The process's own memory, its page tables, and its journals. */
static uint64_t
memory(void)
{
  uint64_t bytes = field("/proc/self/smaps_rollup", "Anonymous:") +
                   field("/proc/self/status", "VmPTE:");

  folder(journals, &bytes);
  return bytes;
}

static unsigned
descriptors(void)
{
  uint64_t ignored = 0;

  return folder("/proc/self/fd", &ignored);
}

static void
make_images(void)
{
  struct vhd_create_options parent = { .size = SIZE };
  struct vhd_create_options child = { .parent = "parent.vhd" };
  struct vhd_error err;
  char path[20];

  if (vhd_create("parent.vhd", &parent, &err) < 0)
    fail_msg("%s", err.message);
  for (unsigned i = 0; i <= NCHILD; i++) {
    snprintf(path, sizeof path, "%u.vhd", i);
    if (vhd_create(path, &child, &err) < 0)
      fail_msg("%s", err.message);
  }
}

static struct vhd_image *
open_child(unsigned i, uint32_t flags)
{
  struct vhd_open_options options = { .flags = flags,
                                      .journal_dir = journals };
  struct vhd_image *image;
  struct vhd_error err;
  char path[20];

  snprintf(path, sizeof path, "%u.vhd", i);
  if (vhd_open(path, &options, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static void
open_many(uint32_t flags)
{
  struct vhd_image *image[NCHILD + 1];

  image[NCHILD] = open_child(NCHILD, flags); /* and the parent */
  uint64_t bytes = memory();
  unsigned held = descriptors();
  for (unsigned i = 0; i < NCHILD; i++)
    image[i] = open_child(i, flags);
  held = descriptors() - held;
  bytes = memory() - bytes;
  for (unsigned i = 0; i <= NCHILD; i++)
    assert_int_equal(vhd_close(image[i], NULL), 0);
  if (held > DESCRIPTORS_MOST * NCHILD)
    fail_msg("%u descriptors of %d children", held, NCHILD);
#ifndef __SANITIZE_ADDRESS__
  if (bytes > (uint64_t)MEMORY_MOST * NCHILD)
    fail_msg("%llu bytes of %d children", (unsigned long long)bytes, NCHILD);
#endif
}

static void
test_read_only(void **state)
{
  (void)state;
  open_many(VHD_OPEN_READONLY);
}

static void
test_writable(void **state)
{
  (void)state;
  open_many(0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_writable),
  };

  if (mkdtemp(journals) == NULL)
    return 77;
  make_images();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  rmdir(journals);
  return failed;
}

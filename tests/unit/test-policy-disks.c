/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a helper opens for the worker of disks' versions and of clients'
 * children, and what it refuses.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/command_line.h"
#include "keeper/broker/policy.h"

#define N(array) (sizeof(array) / sizeof *(array))

static char scratch[PATH_MAX];

static void
write_file(const char *path)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  assert_true(fd >= 0);
  close(fd);
}

/* disks/d    1 in production, 2 in test, 3 being made, and 4
 * disks/e    1 being made though it is in production
 * children/d two clients
 * outside    what is nobody's business */
static int
make_world(void **state)
{
  static const char *const folders[] = {
    "disks",    "disks/d",    "disks/d/boot",    "disks/e", "disks/.d",
    "children", "children/d", "children/d/deep", "outside", "named",
  };
  static const char *const files[] = {
    "disks/d/1.vhd",
    "disks/d/2.vhd",
    "disks/d/3.vhd",
    "disks/d/4.vhd",
    "disks/d/3.txt",
    "disks/d/base.vhd",
    "disks/.d/1.vhd",
    "disks/e/1.vhd",
    "disks/1.vhd",
    "disks/d/boot/k",
    "children/d/pc1.vhd",
    "children/d/pc2.vhd",
    "children/d/PC.vhd",
    "children/d/pc1.txt",
    "children/d/.tmp.vhd",
    "children/pc3.vhd",
    "children/d/deep/p.vhd",
    "outside/x.vhd",
    "disks/d/3.vhd.vhdkit-redo",
    "disks/d/1.vhd.vhdkit-redo",
    "children/d/pc1.vhd.vhdkit-redo",
  };
  static const char *const links[][2] = {
    { "1.vhd", "disks/d/production" },
    { "2.vhd", "disks/d/test" },
    { "3.vhd", "disks/d/maintenance" },
    { "1.vhd", "disks/e/production" },
    { "1.vhd", "disks/e/maintenance" },
    { "../../outside/x.vhd", "children/d/out.vhd" },
    { "../../outside/x.vhd", "disks/d/5.vhd" },
    { "../../disks/d/1.vhd", "children/d/way.vhd" },
    { "../disks", "named/disks" },
    { "../children", "named/children" },
  };

  (void)state;
  assert_non_null(getcwd(scratch, sizeof scratch));
  for (size_t i = 0; i < N(folders); i++)
    assert_int_equal(mkdir(folders[i], 0700), 0);
  for (size_t i = 0; i < N(files); i++)
    write_file(files[i]);
  for (size_t i = 0; i < N(links); i++)
    assert_int_equal(symlink(links[i][0], links[i][1]), 0);
  return 0;
}

struct row {
  const char *path;
  int read, write; /* results; 0: is opened */
};

static const struct row rows[] = {
  { "disks/d/1.vhd", 0, -EACCES },
  { "disks/d/2.vhd", 0, -EACCES },
  { "disks/d/3.vhd", 0, 0 },
  { "disks/d/4.vhd", 0, -EACCES },
  { "disks/d/production", 0, -EACCES },
  { "disks/d/test", 0, -EACCES },
  { "disks/d/maintenance", 0, 0 },
  { "disks/d/base.vhd", 0, -EACCES },
  { "disks/d/5.vhd", -EACCES, -EACCES },
  { "disks/d/3.txt", -EACCES, -EACCES },
  { "disks/d/boot/k", -EACCES, -EACCES },
  { "disks/d/boot", -EACCES, -EACCES },
  { "disks/d/6.vhd", -ENOENT, -ENOENT },
  { "disks/.d/1.vhd", -EACCES, -EACCES },
  /* What clients have is written no more, whatever a link says. */
  { "disks/e/1.vhd", 0, -EACCES },
  { "disks/e/maintenance", 0, -EACCES },
  { "children/d/pc1.vhd", 0, 0 },
  { "children/d/pc2.vhd", 0, 0 },
  { "children/d/PC.vhd", -EACCES, -EACCES },
  { "children/d/pc1.txt", -EACCES, -EACCES },
  { "children/d/.tmp.vhd", -EACCES, -EACCES },
  { "children/d/out.vhd", -EACCES, -EACCES },
  { "children/d/way.vhd", 0, -EACCES },
  { "children/d/../../disks/d/1.vhd", 0, -EACCES },
  { "children/d/../../outside/x.vhd", -EACCES, -EACCES },
  { "outside/x.vhd", -EACCES, -EACCES },
  /* A companion is as its image. */
  { "disks/d/1.vhd.vhdkit-redo", 0, -EACCES },
  { "disks/d/3.vhd.vhdkit-redo", 0, 0 },
  { "children/d/pc1.vhd.vhdkit-redo", 0, 0 },
};

static void
check_one(struct policy *policy, const char *path, bool write, int result)
{
  const int fd = policy_open(policy, path, write);

  if ((fd < 0 ? fd : 0) != result)
    fail_msg("%s, %s: %d, not %d", path, write ? "write" : "read", fd, result);
  if (fd >= 0)
    close(fd);
}

static void
check_rows(const struct options *options)
{
  struct policy *policy = policy_new(options);
  char path[2 * PATH_MAX];

  for (size_t i = 0; i < N(rows); i++) {
    const int write = options->readonly && rows[i].write == 0 ? -EACCES
                                                              : rows[i].write;
    check_one(policy, rows[i].path, false, rows[i].read);
    check_one(policy, rows[i].path, true, write);
    snprintf(path, sizeof path, "%s/%s", scratch, rows[i].path);
    check_one(policy, path, true, write);
  }
  policy_free(policy);
}

static void
versions_are_read_and_children_written(void **state)
{
  struct options options = { .provision = { .disks = "disks",
                                            .children = "children" } };
  char disks[PATH_MAX + 16];

  (void)state;
  check_rows(&options);
  snprintf(disks, sizeof disks, "%s/disks/", scratch);
  options.provision.disks = disks;
  check_rows(&options);
}

static void
nothing_is_written_readonly(void **state)
{
  const struct options options = {
    .provision = { .disks = "disks", .children = "children" },
    .readonly = true,
  };

  (void)state;
  check_rows(&options);
}

/* The folders' names are links: where they lead to has to be looked up. */
static void
folders_may_be_named_by_links(void **state)
{
  const struct options options = { .provision = {
                                     .disks = "named/disks",
                                     .children = "named/children",
                                   } };

  (void)state;
  check_rows(&options);
}

/* A folder that is served as well, in which all else is written. */
static void
disks_in_a_served_folder_are_disks(void **state)
{
  struct options_export all = { .path = "." };
  const struct options options = {
    .exports = &all,
    .nexports = 1,
    .provision = { .disks = "named/disks", .children = "named/children" },
  };
  struct policy *policy = policy_new(&options);

  (void)state;
  check_one(policy, "outside/x.vhd", true, 0);
  check_one(policy, "disks/d/1.vhd", false, 0);
  check_one(policy, "disks/d/1.vhd", true, -EACCES);
  check_one(policy, "children/d/pc1.vhd", true, 0);
  policy_free(policy);
}

static void
folders_of_disks_are_listed(void **state)
{
  static const struct {
    const char *path;
    int result;
  } lists[] = {
    { "disks", 0 },
    { "disks/d", 0 },
    { "children/d", 0 },
    { "outside", -EACCES },
    { "disks/..", -EACCES },
    { "/", -EACCES },
    { "disks/d/1.vhd", -ENOTDIR },
  };
  const struct options options = { .provision = { .disks = "disks",
                                                  .children = "children" } };
  struct policy *policy = policy_new(&options);

  (void)state;
  for (size_t i = 0; i < N(lists); i++) {
    const int fd = policy_list(policy, lists[i].path);
    if ((fd < 0 ? fd : 0) != lists[i].result)
      fail_msg("%s: %d, not %d", lists[i].path, fd, lists[i].result);
    if (fd >= 0)
      close(fd);
  }
  policy_free(policy);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(versions_are_read_and_children_written),
    cmocka_unit_test(nothing_is_written_readonly),
    cmocka_unit_test(folders_may_be_named_by_links),
    cmocka_unit_test(disks_in_a_served_folder_are_disks),
    cmocka_unit_test(folders_of_disks_are_listed),
  };

  return cmocka_run_group_tests(tests, make_world, NULL);
}

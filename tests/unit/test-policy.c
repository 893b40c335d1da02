/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a helper opens for the worker, by the policy, and what it refuses.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/command_line.h"
#include "keeper/broker/journals.h"
#include "keeper/broker/message.h"
#include "keeper/broker/policy.h"

#define N(array) (sizeof (array) / sizeof *(array))

static char scratch[PATH_MAX];
static char journals_folder[] = "/dev/shm/vhdkit-test-XXXXXX";

static void
write_file(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  assert_int_equal(ftruncate(fd, 4096), 0);
  close(fd);
}

/* A VHD in the eyes of the policy: its last bytes tell. */
static void
write_vhd(const char *path, off_t cookie_at)
{
  write_file(path, "data");
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  assert_int_equal(pwrite(fd, "conectix", 8, cookie_at), 8);
  close(fd);
}

static const char *
in_scratch(const char *name)
{
  static char path[2 * PATH_MAX];

  snprintf(path, sizeof path, "%s/%s", scratch, name);
  return path;
}

/* home/   disk.vhd, its parents, and what is nobody's business
 * images/ to be served as a folder
 * bases/  a root
 * keys/   certificates, elsewhere/ where they really lie */
static int
make_world(void **state)
{
  static const char *const folders[] = {"home", "home/sub", "homeless",
                                        "images", "bases", "keys", "elsewhere"};

  (void) state;
  assert_non_null(getcwd(scratch, sizeof scratch));
  for (size_t i = 0; i < N(folders); i++) {
    assert_int_equal(mkdir(folders[i], 0700), 0);
  }
  write_vhd("home/disk.vhd", 4096 - 512);
  write_vhd("home/parent.vhd", 4096 - 512);
  write_vhd("home/old.vhd", 4096 - 511);
  write_vhd("home/cut.vhd", 0);
  write_vhd("home/sub/parent.vhd", 4096 - 512);
  write_vhd("homeless/other.vhd", 4096 - 512);
  write_file("home/parent.vhdx", "vhdxfile and so on");
  write_file("home/almost.vhdx", "no vhdxfile");
  write_file("home/secret", "secret");
  write_file("home/disk.vhd.vhdkit-redo", "redo");
  write_file("home/parent.vhd.vhdkit-redo", "redo");
  write_file("homeless/other.vhd.vhdkit-redo", "redo");
  write_file("images/a.vhd.vhdkit-redo", "redo");
  write_file("images/notes.vhdkit-redo", "redo");
  write_vhd("home/almost", 1024);
  write_vhd("images/a.vhd", 4096 - 512);
  write_file("images/notes", "notes");
  write_vhd("bases/base.vhd", 4096 - 512);
  write_file("bases/raw", "raw");
  write_vhd("elsewhere/other.vhd", 4096 - 512);
  write_file("elsewhere/cert", "cert");
  write_file("elsewhere/key", "key");
  write_file("keys.psk", "psk");
  assert_int_equal(symlink("../elsewhere/other.vhd", "home/link.vhd"), 0);
  assert_int_equal(symlink("parent.vhd", "home/near.vhd"), 0);
  assert_int_equal(symlink("../elsewhere/other.vhd", "images/out.vhd"), 0);
  assert_int_equal(symlink("../elsewhere", "images/way"), 0);
  assert_int_equal(symlink("../elsewhere/cert", "keys/server-cert.pem"), 0);
  assert_int_equal(symlink("../elsewhere/key", "keys/other.pem"), 0);
  assert_int_equal(mkfifo("home/fifo", 0600), 0);
  assert_int_equal(mkfifo("images/fifo.vhd", 0600), 0);
  return 0;
}

/* Whoever looks such a path up waits for its disk, for ever. */
static const char *hanging;

static char *
look_up(const char *path, char *resolved)
{
  if (hanging && strncmp(path, hanging, strlen(hanging)) == 0)
    fail_msg("%s is looked up", path);
  char *real = canonicalize_file_name(path);
  if (real && resolved) {
    strcpy(resolved, real);
    free(real);
    real = resolved;
  }
  return real;
}

/* The C library's, for what is tested here. */
char *
realpath(const char *path, char *resolved)
{
  return look_up(path, resolved);
}

char *__realpath_chk(const char *path, char *resolved, size_t size);

char *
__realpath_chk(const char *path, char *resolved, size_t size)
{
  (void) size;
  return look_up(path, resolved);
}

/* ----------------------------------------------------------------- policies */

struct row {
  const char *path; /* with a slash in front: in the scratch folder */
  bool write;
  int result; /* 0: is opened */
};

static void
check_rows(const struct options *options, const struct row *rows, size_t n)
{
  struct policy *policy = policy_new(options);

  for (size_t i = 0; i < n; i++) {
    const char *path = rows[i].path[0] == '/' ? in_scratch(rows[i].path + 1)
                                              : rows[i].path;
    int fd = policy_open(policy, path, rows[i].write);
    if ((fd < 0 ? fd : 0) != rows[i].result) {
      fail_msg("%s, %s: %d, not %d", path, rows[i].write ? "write" : "read",
               fd, rows[i].result);
    }
    if (fd >= 0) {
      assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE,
                       rows[i].write ? O_RDWR : O_RDONLY);
      close(fd);
    }
  }
  policy_free(policy);
}

static void
a_named_image_is_not_its_folder(void **state)
{
  struct options_export disk = {.path = "home/disk.vhd"};
  const struct options options = {.exports = &disk, .nexports = 1};
  static const struct row rows[] = {
    {"home/disk.vhd", true, 0},
    {"home/disk.vhd", false, 0},
    {"/home/disk.vhd", false, 0}, /* it may be a parent, too */
    {"/home/disk.vhd", true, -EACCES},
    {"/home/parent.vhd", false, 0},
    {"/home/parent.vhd", true, -EACCES},
    {"/home/old.vhd", false, 0},
    {"/home/cut.vhd", false, 0},
    {"/home/near.vhd", false, 0},
    {"/home/sub/parent.vhd", false, 0},
    {"/home/secret", false, -EACCES},
    {"/home/secret", true, -EACCES},
    {"/home/almost", false, -EACCES},
    {"/home/parent.vhdx", false, 0},
    {"/home/parent.vhdx", true, -EACCES},
    {"/home/almost.vhdx", false, -EACCES},
    {"/home/link.vhd", false, -EACCES},
    {"/home/fifo", false, -EACCES},
    {"/home/sub", false, -EACCES},
    {"/home/../elsewhere/other.vhd", false, -EACCES},
    {"home/../elsewhere/other.vhd", false, -EACCES},
    {"/images/a.vhd", false, -EACCES},
    {"/homeless/other.vhd", false, -EACCES},
    {"/home/missing", false, -ENOENT},
    {"", false, -ENOENT},
    {"/dev/null", false, -ENOENT},
    {"../../../../../../../../../../../../../../dev/null", false,
     -EACCES},
    {"/keys.psk", false, -EACCES},
    {"/home/disk.vhd.vhdkit-redo", true, 0},
    {"/home/parent.vhd.vhdkit-redo", false, 0},
    {"/home/parent.vhd.vhdkit-redo", true, -EACCES},
    {"/homeless/other.vhd.vhdkit-redo", false, -EACCES},
  };

  (void) state;
  check_rows(&options, rows, N(rows));
  /* These do not lie in the scratch folder. */
  struct policy *policy = policy_new(&options);
  static const char *const outside[] = {"/dev/null", "/dev/zero",
                                        "/etc/passwd", "/proc/self/status",
                                        "/proc/self/mem"};
  for (size_t i = 0; i < N(outside); i++) {
    assert_int_equal(policy_open(policy, outside[i], false), -EACCES);
    assert_int_equal(policy_open(policy, outside[i], true), -EACCES);
  }
  int fd = policy_open(policy, "/proc/sys/kernel/random/boot_id", false);
  assert_true(fd >= 0);
  close(fd);
  policy_free(policy);
}

/* Descriptors of the helper's own are no way to what it has open. */
static void
links_of_proc_lead_nowhere(void **state)
{
  struct options_export disk = {.path = "home/disk.vhd"};
  const struct options options = {.exports = &disk, .nexports = 1};
  struct policy *policy = policy_new(&options);
  char path[64];

  (void) state;
  int open_here = open("home/parent.vhd", O_RDWR | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/self/fd/%d", open_here);
  assert_true(policy_open(policy, path, false) < 0);
  snprintf(path, sizeof path, "/proc/self/cwd/home/parent.vhd");
  assert_true(policy_open(policy, path, false) < 0);
  close(open_here);
  policy_free(policy);
}

static void
a_folder_is_what_is_below_it(void **state)
{
  struct options_export images = {.path = "images"};
  struct options options = {.exports = &images, .nexports = 1};
  static const struct row rows[] = {
    {"images/a.vhd", true, 0},
    {"images/a.vhd", false, 0},
    {"images/notes", false, 0},
    {"images/notes", true, -EACCES},
    {"images/out.vhd", false, -EACCES},
    {"images/out.vhd", true, -EACCES},
    {"images/way/other.vhd", true, -EACCES},
    {"images/../home/disk.vhd", true, -EACCES},
    {"images/fifo.vhd", false, -EACCES},
    {"images/fifo.vhd", true, -EACCES},
    {"images", false, -EACCES},
    {"/home/disk.vhd", false, -EACCES},
    {"/images/a.vhd.vhdkit-redo", true, 0},
    {"/images/notes.vhdkit-redo", false, 0},
    {"/images/notes.vhdkit-redo", true, -EACCES},
    {"/home/disk.vhd.vhdkit-redo", false, -EACCES},
  };
  static const struct row readonly[] = {
    {"images/a.vhd", false, 0},
    {"images/a.vhd", true, -EACCES},
    {"/images/a.vhd.vhdkit-redo", false, 0},
    {"/images/a.vhd.vhdkit-redo", true, -EACCES},
  };

  (void) state;
  check_rows(&options, rows, N(rows));
  options.readonly = true;
  check_rows(&options, readonly, N(readonly));
  options = (struct options){.exports = &images, .nexports = 1,
                             .no_landlock = true};
  static const struct row open_all[] = {
    {"images/out.vhd", true, 0},
    {"images/fifo.vhd", true, -EACCES},
  };
  check_rows(&options, open_all, N(open_all));
}

/* Of all files, and only where the image may be written to. */
static void
companions_may_be_removed(void **state)
{
  struct options_export images[] = {{.path = "home/disk.vhd"},
                                    {.path = "home/link.vhd"}};
  struct options options = {.exports = images, .nexports = N(images)};
  static const struct {
    const char *path;
    int result;
  } rows[] = {
    {"home/disk.vhd", -EACCES},
    {"home/disk.vhd.vhdkit-redo", 0},
    {"home/disk.vhd.vhdkit-redo", -ENOENT},
    {"home/parent.vhd.vhdkit-redo", -EACCES},
    {"home/link.vhd.vhdkit-redo", -EACCES},
    {"elsewhere/other.vhd.vhdkit-redo", 0}, /* where the link leads */
    {"homeless/other.vhd.vhdkit-redo", -EACCES},
    {"images/a.vhd.vhdkit-redo", -EACCES},
  };
  struct policy *policy = policy_new(&options);

  (void) state;
  write_file("elsewhere/other.vhd.vhdkit-redo", "redo");
  assert_int_equal(symlink("disk.vhd", "home/link.vhd.vhdkit-redo"), 0);
  options.readonly = true;
  assert_int_equal(policy_unlink(policy, in_scratch(rows[1].path)), -EACCES);
  options.readonly = false;
  for (size_t i = 0; i < N(rows); i++) {
    int result = policy_unlink(policy, in_scratch(rows[i].path));
    if (result != rows[i].result)
      fail_msg("%s: %d, not %d", rows[i].path, result, rows[i].result);
  }
  policy_free(policy);
}

static void
roots_are_read(void **state)
{
  struct options_export disk = {.path = "home/disk.vhd"};
  const char *roots[] = {"bases"};
  const struct options options = {.exports = &disk, .nexports = 1,
                                  .roots = {roots, 1}};
  static const struct row rows[] = {
    {"/bases/base.vhd", false, 0},
    {"/bases/raw", false, 0},
    {"/bases/base.vhd", true, -EACCES},
    {"/elsewhere/other.vhd", false, -EACCES},
  };

  (void) state;
  check_rows(&options, rows, N(rows));
}

static void
a_root_that_hangs_holds_up_no_other(void **state)
{
  struct options_export images[] = {{.path = "hung/disk.vhd"},
                                    {.path = "home/disk.vhd"}};
  char far[PATH_MAX + 16], absolute[PATH_MAX + 16];
  const char *roots[] = {far, "bases/"};
  const char *absolutes[] = {"hung", absolute};
  struct options options = {.exports = images, .nexports = N(images),
                            .roots = {.items = roots, .n = N(roots)}};
  static const struct row rows[] = {
    {"bases/raw", false, 0},
    {"home/parent.vhd", false, 0},
    {"/bases/base.vhd", false, 0},
  };

  (void) state;
  snprintf(far, sizeof far, "%s/hung", scratch);
  snprintf(absolute, sizeof absolute, "%s/bases", scratch);
  hanging = far;
  check_rows(&options, rows, 1);
  hanging = "hung";
  check_rows(&options, rows, N(rows));
  options.roots.items = absolutes;
  check_rows(&options, rows, N(rows));
  hanging = NULL;
}

static void
folders_are_listed_by_the_same_rule(void **state)
{
  struct options_export disk = {.path = "home/disk.vhd"};
  const char *roots[] = {"bases"};
  const struct options options = {.exports = &disk, .nexports = 1,
                                  .roots = {roots, 1}};
  static const struct row rows[] = {
    {"home", false, 0},         {"home/sub", false, 0},
    {"bases", false, 0},        {"images", false, -EACCES},
    {".", false, -EACCES},      {"/", false, -EACCES},
    {"/sys/devices/virtual/block", false, 0},
    {"/sys/devices", false, -EACCES},
    {"home/..", false, -EACCES}, {"home/disk.vhd", false, -ENOTDIR},
  };
  struct policy *policy = policy_new(&options);

  (void) state;
  for (size_t i = 0; i < N(rows); i++) {
    int fd = policy_list(policy, rows[i].path);
    if ((fd < 0 ? fd : 0) != rows[i].result) {
      fail_msg("%s: %d, not %d", rows[i].path, fd, rows[i].result);
    }
    if (fd >= 0) {
      close(fd);
    }
  }
  policy_free(policy);
}

static void
keys_are_those_that_are_named(void **state)
{
  const struct options options = {.tls_certificates = "keys",
                                  .tls_psk = "keys.psk"};
  static const struct row rows[] = {
    {"keys/server-cert.pem", false, 0},
    {"keys.psk", false, 0},
    {"keys/server-key.pem", false, -ENOENT},
    {"keys/other.pem", false, -EACCES},
    {"keys/../elsewhere/key", false, -EACCES},
    {"elsewhere/key", false, -EACCES},
    {"/etc/passwd", false, -EACCES},
  };
  struct policy *policy = policy_new(&options);

  (void) state;
  for (size_t i = 0; i < N(rows); i++) {
    int fd = policy_key(policy, rows[i].path);
    if ((fd < 0 ? fd : 0) != rows[i].result) {
      fail_msg("%s: %d, not %d", rows[i].path, fd, rows[i].result);
    }
    if (fd >= 0) {
      close(fd);
    }
  }
  assert_int_equal(truncate("keys.psk", BROKER_MAX_KEY + 1), 0);
  assert_int_equal(policy_key(policy, "keys.psk"), -EFBIG);
  assert_int_equal(truncate("keys.psk", 4096), 0);
  policy_free(policy);
}

static void
journals_lie_in_their_folders(void **state)
{
  struct journals journals = {.any = false};
  char path[128];

  (void) state;
  assert_non_null(mkdtemp(journals_folder));
  setenv("VHDKIT_JOURNAL_DIR", journals_folder, 1);
  int place = open(journals_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int home = open("home", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int file = open("home/secret", O_RDONLY | O_CLOEXEC);
  assert_true(place >= 0 && home >= 0 && file >= 0);

  int fd = journals_make(&journals, place, "1-2.journal.0");
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(journals_make(&journals, place, "1-2.journal.0"),
                   -EEXIST);
  assert_int_equal(
    journals_rename(&journals, place, "1-2.journal.0", "1-2.journal"), 0);
  fd = journals_read(&journals, place, "1-2.journal");
  assert_true(fd >= 0);
  close(fd);
  static const char *const names[] = {"", ".", "..", "other",
                                      "../x.journal", "a/b.journal"};
  for (size_t i = 0; i < N(names); i++) {
    assert_int_equal(journals_read(&journals, place, names[i]), -EACCES);
    assert_int_equal(journals_make(&journals, place, names[i]), -EACCES);
    assert_int_equal(journals_unlink(&journals, place, names[i]), -EACCES);
    assert_int_equal(
      journals_rename(&journals, place, "1-2.journal", names[i]), -EACCES);
  }
  snprintf(path, sizeof path, "%s/f.journal", journals_folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(journals_read(&journals, place, "f.journal"), -EACCES);
  assert_int_equal(journals_unlink(&journals, place, "f.journal"), 0);
  assert_int_equal(symlink("/etc/passwd", path), 0);
  assert_int_equal(journals_read(&journals, place, "f.journal"), -EACCES);
  unlink(path);

  const int others[] = {home, file, -1};
  for (size_t i = 0; i < N(others); i++) {
    assert_int_equal(journals_make(&journals, others[i], "x.journal"),
                     -EACCES);
    assert_int_equal(journals_unlink(&journals, others[i], "x.journal"),
                     -EACCES);
  }
  assert_int_equal(journals_make_place("home/new"), -EACCES);
  assert_int_equal(journals_make_place(journals_folder), -EEXIST);
  assert_int_equal(journals_unlink(&journals, place, "1-2.journal"), 0);
  close(place);
  close(home);
  close(file);
  rmdir(journals_folder);
  unsetenv("VHDKIT_JOURNAL_DIR");
}

/* More users' folders than are remembered, of users that nobody is. */
#define FIRST_USER 3000000000U
#define USERS (3 * JOURNALS_PLACES)

static const char *
place_of_user(unsigned i)
{
  static char path[64];

  snprintf(path, sizeof path, "/dev/shm/vhdkit-%u", FIRST_USER + i);
  return path;
}

static void
journals_of_many_are_found(void **state)
{
  struct journals journals = {.any = false};

  (void) state;
  if (geteuid() != 0)
    skip();
  for (unsigned i = 0; i < USERS; i++) {
    mkdir(place_of_user(i), 0700);
    assert_int_equal(chown(place_of_user(i), FIRST_USER + i, (gid_t)-1), 0);
  }
  for (unsigned i = 0; i < USERS; i++) {
    int place = open(place_of_user(i), O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(journals_unlink(&journals, place, "x.journal"), -ENOENT);
    close(place);
  }
}

static int
forget_many(void **state)
{
  (void) state;
  for (unsigned i = 0; i < USERS; i++)
    rmdir(place_of_user(i));
  return 0;
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_named_image_is_not_its_folder),
    cmocka_unit_test(links_of_proc_lead_nowhere),
    cmocka_unit_test(a_folder_is_what_is_below_it),
    cmocka_unit_test(companions_may_be_removed),
    cmocka_unit_test(roots_are_read),
    cmocka_unit_test(a_root_that_hangs_holds_up_no_other),
    cmocka_unit_test(folders_are_listed_by_the_same_rule),
    cmocka_unit_test(keys_are_those_that_are_named),
    cmocka_unit_test(journals_lie_in_their_folders),
    cmocka_unit_test_teardown(journals_of_many_are_found, forget_many),
  };
  return cmocka_run_group_tests(tests, make_world, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal's file: where it lies, who finds it, who still has it, and what
 * is left of it. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/journal.h"
#include "store/journal_file.h"
#include "store/local.h"
#include "unit/unit.h"

/* What a process left for this file in a folder. */
static struct vhd_file *
leave_journal(const char *dir, struct journal_file *jf)
{
  static const uint8_t id[16] = "an image's id";
  struct vhd_file *file;
  struct vhd_error err;

  unlink("image");
  assert_int_equal(vhd_create("image", &(struct vhd_create_options){
                                         .size = 1 << 20 }, &err), 0);
  assert_int_equal(local_open("image", LOCAL_WRITE, &file, &err), 0);
  memset(jf, 0, sizeof *jf);
  if (journal_file_make(dir, file, id, journal_bytes(16), 0, jf) < 0)
    skip();
  assert_int_equal(journal_file_publish(file, jf), 0);
  journal_file_close(jf, file, false);
  assert_int_equal(journal_file_find(dir, file, id, false, 4096, jf,
                                     &err), 0);
  assert_int_equal(jf->found, JOURNAL_LEFT);
  return file;
}

/* The folder's owner moves it aside and puts another in its place. */
static void
test_exchanged(void **state)
{
  (void)state;
  char dir[] = "/dev/shm/test-journal.XXXXXX", aside[80], again[80];
  struct journal_file jf;

  assert_non_null(mkdtemp(dir));
  struct vhd_file *file = leave_journal(dir, &jf);
  snprintf(aside, sizeof aside, "%s.aside", dir);
  assert_int_equal(rename(dir, aside), 0);
  assert_int_equal(mkdir(dir, 0700), 0);
  FILE *victim = fopen(jf.path, "w");
  assert_non_null(victim);
  fclose(victim);
  journal_file_forget(file, &jf);
  assert_int_equal(access(jf.path, F_OK), 0);
  snprintf(again, sizeof again, "%s%s", aside, strrchr(jf.path, '/'));
  assert_int_equal(unlink(again), 0);
  assert_int_equal(unlink(jf.path), 0);
  rmdir(dir);
  rmdir(aside);
  journal_file_close(&jf, file, false);
  file_close(file);
}

static unsigned
files_in(const char *path)
{
  DIR *dir = opendir(path);
  unsigned n = 0;

  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    n += e->d_name[0] != '.';
  closedir(dir);
  return n;
}

/* Killed between making and publishing: the next who makes one clears it away,
 * but not what is in use. */
static void
test_not_published(void **state)
{
  (void)state;
  static const uint8_t id[16] = "an image's id";
  char dir[] = "/dev/shm/test-journal.XXXXXX";
  struct journal_file jf, other = { 0 };

  assert_non_null(mkdtemp(dir));
  struct vhd_file *file = leave_journal(dir, &jf);
  assert_int_equal(files_in(dir), 1);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(journal_file_make(dir, file, id, journal_bytes(16), 0,
                                       &other), 0);
    assert_int_equal(files_in(dir), 2);
    journal_file_close(&other, file, false);
  }
  assert_int_equal(journal_file_make(dir, file, id, journal_bytes(16), 0,
                                     &other), 0);
  assert_int_equal(journal_file_make(dir, file, id, journal_bytes(16), 0, &jf),
                   0);
  assert_int_equal(files_in(dir), 3);
  assert_int_equal(journal_file_publish(file, &jf), 0);
  assert_int_equal(journal_file_publish(file, &other), 0);
  journal_file_close(&jf, file, true);
  journal_file_close(&other, file, true);
  assert_int_equal(rmdir(dir), 0);
  file_close(file);
}

static int unremovable;

/* Instead of the C library's. */
int
fremovexattr(int fd, const char *name)
{
  errno = unremovable;
  return errno ? -1 : (int)syscall(SYS_fremovexattr, fd, name);
}

/* An image that was closed cleanly, but for its note: nobody is told of a kill
 * later. */
static void
test_note_stays(void **state)
{
  (void)state;
  const struct vhd_create_options options = { .size = 1 << 20 };
  const struct vhd_open_options look = { .flags = VHD_OPEN_READONLY };
  struct vhd_image *image;
  struct vhd_error err;

  assert_int_equal(vhd_create("noted.vhd", &options, NULL), 0);
  assert_int_equal(vhd_open("noted.vhd", NULL, &image, &err), 0);
  assert_int_equal(vhd_pwrite(image, "2", 1, 0, 0), 0);
  unremovable = EIO;
  assert_int_equal(vhd_close(image, &err), 0);
  unremovable = 0;
  assert_int_equal(vhd_open("noted.vhd", &look, &image, &err), 0);
  assert_null(vhd_warning(image, 0));
  assert_int_equal(vhd_close(image, &err), 0);
  assert_int_equal(vhd_open("noted.vhd", NULL, &image, &err), 0);
  assert_null(vhd_warning(image, 0));
  assert_int_equal(vhd_close(image, &err), 0);
}

/* The process that has the journal in use: it lets go of it after so many naps
 * of whoever waits. */
static int holder = -1;
static unsigned naps, last_nap;

/* Instead of the C library's: no time passes. */
int
usleep(useconds_t usec)
{
  (void)usec;
  if (++naps == last_nap)
    close(holder);
  return 0;
}

/* What is found of a journal that somebody holds until then, 0: for good. */
static int
find_held(unsigned until, enum journal_left *found, struct vhd_error *err)
{
  static const uint8_t id[16] = "an image's id";
  char dir[] = "/dev/shm/test-journal.XXXXXX";
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  struct journal_file jf;

  assert_non_null(mkdtemp(dir));
  struct vhd_file *file = leave_journal(dir, &jf);
  holder = open(jf.path, O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(holder, F_OFD_SETLK, &lock), 0);
  journal_file_close(&jf, file, false);
  naps = 0;
  last_nap = until;
  int e = journal_file_find(dir, file, id, false, 4096, &jf, err);
  *found = jf.found;
  if (naps < until || until == 0)
    close(holder);
  assert_int_equal(unlink(jf.path), 0);
  rmdir(dir);
  journal_file_close(&jf, file, false);
  file_close(file);
  return e;
}

/* A process that is being killed has its files closed one by one: the image's
 * lock may be free before the journal's. */
static void
test_dying(void **state)
{
  (void)state;
  enum journal_left found;
  struct vhd_error err;

  assert_int_equal(find_held(3, &found, &err), 0);
  assert_int_equal(found, JOURNAL_LEFT);
  assert_int_equal(naps, 3);
}

static void
test_not_dying(void **state)
{
  (void)state;
  enum journal_left found;
  struct vhd_error err = { .code = VHD_OK };

  assert_int_equal(find_held(0, &found, &err), -EBUSY);
  assert_int_equal(err.code, VHD_JOURNAL);
  assert_int_not_equal(found, JOURNAL_LEFT);
  assert_true(naps > 0);
}

/* -------------------------------------------------------- it cannot be told */

static const struct vhd_host *plain;

static int
open_but_boot_id(void *failure, int folder, const char *path, int flags,
                 unsigned mode)
{
  return strstr(path, "boot_id") ? -*(int *)failure
                                 : plain->open(plain->opaque, folder, path,
                                               flags, mode);
}

static int
write_and_die(void)
{
  const struct vhd_create_options options = { .size = 16 << 20 };
  struct vhd_image *image;
  int status;

  pid_t pid = fork();
  if (pid == 0)
    _exit(vhd_create("killed.vhd", &options, NULL) < 0 ||
          vhd_open("killed.vhd", NULL, &image, NULL) < 0 ||
          vhd_pwrite(image, "2", 1, 0, 0) < 0);
  return pid < 0 || waitpid(pid, &status, 0) < 0 ? -1 : status;
}

/* This process has not learned the id of the boot yet. */
static void
test_unknown_boot(void **state)
{
  (void)state;
  int failure[] = { EMFILE, EIO, ENOENT };
  struct vhd_image *image;
  struct vhd_error err;
  char byte;

  assert_int_equal(write_and_die(), 0);
  plain = vhd_host();
  struct vhd_host host = *plain;
  host.open = open_but_boot_id;
  for (size_t i = 0; i < sizeof failure / sizeof *failure; i++) {
    host.opaque = &failure[i];
    vhd_set_host(&host);
    assert_true(vhd_open("killed.vhd", NULL, &image, &err) < 0);
    assert_non_null(strstr(err.message, "cannot tell"));
  }
  vhd_set_host(NULL);
  assert_int_equal(vhd_open("killed.vhd", NULL, &image, &err), 0);
  assert_int_equal(vhd_pread(image, &byte, 1, 0), 0);
  assert_int_equal(byte, '2');
  assert_int_equal(vhd_close(image, &err), 0);
}

static int
open_but_shared(void *failure, int folder, const char *path, int flags,
                unsigned mode)
{
  return strcmp(path, "/dev/shm") == 0 && !(flags & O_PATH)
           ? -*(int *)failure
           : plain->open(plain->opaque, folder, path, flags, mode);
}

/* Where other users' journals lie cannot be listed: not there or closed to us,
 * it has none for us; of other reasons it may. */
static void
test_unlisted_places(void **state)
{
  (void)state;
  const int failure[] = { ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EIO };
  const struct vhd_open_options unlocked = {
    .flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED
  };
  const struct vhd_create_options options = { .size = 1 << 20 };
  struct vhd_image *image;
  struct vhd_error err;

  assert_int_equal(vhd_create("unlisted.vhd", &options, NULL), 0);
  plain = vhd_host();
  struct vhd_host host = *plain;
  host.open = open_but_shared;
  vhd_set_host(&host);
  for (size_t i = 0; i < sizeof failure / sizeof *failure; i++) {
    host.opaque = (void *)(uintptr_t)&failure[i];
    int e = vhd_open("unlisted.vhd", NULL, &image, &err);
    assert_int_equal(e, i < 2 ? 0 : -failure[i]);
    if (e == 0)
      assert_int_equal(vhd_close(image, &err), 0);
    else
      assert_non_null(strstr(err.message, "cannot tell"));
    assert_int_equal(vhd_open("unlisted.vhd", &unlocked, &image, &err), 0);
    assert_int_equal(vhd_close(image, &err), 0);
  }
  vhd_set_host(NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unknown_boot),
    cmocka_unit_test(test_unlisted_places),
    cmocka_unit_test(test_exchanged),
    cmocka_unit_test(test_not_published),
    cmocka_unit_test(test_note_stays),
    cmocka_unit_test(test_dying),
    cmocka_unit_test(test_not_dying),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

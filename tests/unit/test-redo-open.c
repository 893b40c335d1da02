/* SPDX-License-Identifier: BSD-2-Clause */
/* test-redo-open: images with an interrupted change in place, as they are
 * opened by whatever way leads to them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/file.h"
#include "store/redo_record.h"
#include "store/times.h"
#include "unit/disk.h"
#include "unit/unit.h"
#include "vhdkit.h"

#define BASE "disk"
#define CHILD "loop"
#define LINK "socket"
#define REDO BASE COMPANION_SUFFIX

#define WARNING 1000

static uint8_t old[512], new[512];
static uint64_t size;

static void
put(const char *path, const void *buf, size_t len, uint64_t off)
{
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, buf, len, (off_t)off), len);
  close(fd);
}

/* An image and its child, and a change that makes a creator of its own of the
 * footers: the copy is changed, the footer itself is not. */
static void
interrupt(void)
{
  struct vhd_create_options opt = { .size = 1 << 20 };
  struct file_times times;
  struct stat st;

  unlink(REDO);
  opt.flags = VHD_CREATE_OVERWRITE;
  unlink(CHILD);
  assert_int_equal(vhd_create(BASE, &opt, NULL), 0);
  opt.size = 0;
  opt.parent = BASE;
  assert_int_equal(vhd_create(CHILD, &opt, NULL), 0);
  int fd = open(BASE, O_RDONLY | O_CLOEXEC);
  assert_int_equal(fstat(fd, &st), 0);
  size = (uint64_t)st.st_size;
  assert_int_equal(pread(fd, old, sizeof old, 0), sizeof old);
  assert_int_equal(file_times(&(struct vhd_file){ .fd = fd }, &times), 0);
  close(fd);
  memcpy(new, old, sizeof new);
  memcpy(new + 28, "test", 4);
  uint32_t sum = 0;
  memset(new + 64, 0, 4);
  for (unsigned i = 0; i < sizeof new; i++)
    sum += new[i];
  for (unsigned i = 0; i < 4; i++)
    new[64 + i] = (uint8_t)(~sum >> (24 - 8 * i));

  struct redo_range range[] = {
    { 0, 512, old, new }, { size - 512, 512, old, new },
  };
  struct redo_record record = {
    .old_size = size, .new_size = size, .ino = st.st_ino, .range = range,
    .n = 2, .born = times.born.sec * 1000000000 + times.born.nsec,
  };
  size_t n;
  uint8_t *buf = redo_record_format(&record, &n);
  put(REDO, buf, n, 0);
  free(buf);
  put(BASE, new, sizeof new, 0);
}

/* What opening warned of. */
static void
gather(const struct vhd_image *image, char *text, size_t room)
{
  const char *warning;

  text[0] = '\0';
  for (unsigned i = 0; (warning = vhd_warning(image, i)) != NULL; i++)
    strncat(text, warning, room - strlen(text) - 1);
}

static int
try(const char *path, uint32_t flags, struct vhd_error *err,
    struct vhd_info *info, char *warning)
{
  struct vhd_open_options opt = { .flags = flags };
  struct vhd_image *image;

  *err = (struct vhd_error){ 0 };
  int r = vhd_open(path, &opt, &image, err);
  if (r < 0)
    return r;
  if (info)
    vhd_get_info(image, info);
  if (warning)
    gather(image, warning, WARNING);
  return vhd_close(image, err);
}

static void
refused(const char *path, uint32_t flags, const char *says)
{
  struct vhd_error err;

  assert_true(try(path, flags, &err, NULL, NULL) < 0);
  assert_int_equal(err.code, VHD_JOURNAL);
  if (!strstr(err.message, says))
    fail_msg("%s", err.message);
}

static void
test_readers(void **state)
{
  struct vhd_error err;
  char warning[WARNING];

  (void)state;
  interrupt();
  refused(BASE, VHD_OPEN_READONLY, "open the image once for writing");
  refused(CHILD, VHD_OPEN_READONLY, "in its parent");
  refused(CHILD, 0, "in its parent");
  assert_int_equal(try(BASE, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED, &err, NULL,
                       warning), 0);
  assert_non_null(strstr(warning, "being changed in place"));
  assert_int_equal(access(REDO, F_OK), 0);
}

static void
find(void *opaque, const struct vhd_finding *finding)
{
  bool *found = opaque;

  *found |= finding->severity == VHD_BROKEN && finding->code == VHD_JOURNAL &&
            strstr(finding->message, "was interrupted");
}

static void
test_check(void **state)
{
  struct vhd_check_result result;
  static const char *const paths[] = { BASE, CHILD };

  (void)state;
  interrupt();
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
    bool found = false;
    assert_int_equal(vhd_check(paths[i], NULL, find, &found, &result, NULL),
                     0);
    ROW_TRUE(paths[i], found);
    ROW_INT(paths[i], result.errors, 1);
  }
}

/* By its name, and by a link in another folder. */
static void
test_writers(void **state)
{
  static const char *const paths[] = { BASE, LINK };
  char real[4096];

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
    struct vhd_error err;
    struct vhd_info info;
    interrupt();
    unlink(LINK);
    assert_non_null(realpath(BASE, real));
    assert_int_equal(symlink(real, LINK), 0);
    if (try(paths[i], 0, &err, &info, NULL) < 0)
      fail_msg("%s", err.message);
    assert_string_equal(info.creator, "test");
    assert_int_equal(access(REDO, F_OK), -1);
    assert_int_equal(try(CHILD, 0, &err, NULL, NULL), 0);
  }
}

/* What takes the image's place has it finished first. */
static void
test_replaced(void **state)
{
  struct vhd_create_options opt = {
    .size = 1 << 20, .flags = VHD_CREATE_OVERWRITE,
  };
  struct vhd_error err;
  char warning[WARNING];

  (void)state;
  interrupt();
  unlink(CHILD);
  assert_int_equal(vhd_create(BASE, &opt, &err), 0);
  assert_int_equal(access(REDO, F_OK), -1);
  /* Or does not know of it. */
  interrupt();
  unlink(BASE);
  opt.size = 1 << 21;
  assert_int_equal(vhd_create(BASE, &opt, &err), 0);
  assert_int_equal(try(BASE, VHD_OPEN_READONLY, &err, NULL, warning), 0);
  assert_non_null(strstr(warning, "another file of that name"));
  assert_int_equal(try(BASE, 0, &err, NULL, NULL), 0);
  assert_int_equal(access(REDO, F_OK), 0);
  unlink(REDO);
}

/* The same file, in other hands since. */
static void
test_changed(void **state)
{
  (void)state;
  interrupt();
  put(BASE, "x", 1, size - 100);
  refused(BASE, VHD_OPEN_READONLY, "another program changed it");
  refused(BASE, 0, "another program changed it");
  assert_int_equal(access(REDO, F_OK), 0);
}

/* Things of that name that somebody else may have put there. */
static void
test_strange(void **state)
{
  (void)state;
  interrupt();
  assert_int_equal(chmod(REDO, 0622), 0);
  refused(BASE, 0, "can be written to by others");
  unlink(REDO);
  assert_int_equal(mkfifo(REDO, 0600), 0);
  refused(BASE, 0, "no regular file");
  refused(BASE, VHD_OPEN_READONLY, "no regular file");
  unlink(REDO);
  assert_int_equal(symlink(CHILD, REDO), 0);
  refused(BASE, 0, "no regular file");
  unlink(REDO);
  put(REDO, "my own notes, of no less than a head's length, as it seems: so it "
      "must be longer, and longer", 90, 0);
  refused(BASE, 0, "of another program");
  unlink(REDO);
  if (geteuid() != 0)
    return;
  interrupt();
  assert_int_equal(chown(REDO, 12345, 12345), 0);
  refused(BASE, 0, "belongs to neither");
  unlink(REDO);
}

static int
clean_up(void **state)
{
  unlink(REDO);
  return leave_scratch(state);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_readers),  cmocka_unit_test(test_check),
    cmocka_unit_test(test_writers),  cmocka_unit_test(test_replaced),
    cmocka_unit_test(test_changed),  cmocka_unit_test(test_strange),
  };
  return cmocka_run_group_tests(tests, enter_scratch, clean_up);
}

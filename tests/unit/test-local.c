/* SPDX-License-Identifier: BSD-2-Clause */
/* test-local: local files: every kind of I/O, what is refused. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/local.h"
#include "unit/disk.h"
#include "unit/unit.h"

#define KIB 1024U

static uint64_t
size_of(struct vhd_file *file)
{
  uint64_t size;
  assert_int_equal(file_size(file, &size), 0);
  return size;
}

static uint64_t
space_of(struct vhd_file *file)
{
  struct stat st;
  assert_int_equal(fstat(file->fd, &st), 0);
  return (uint64_t)st.st_blocks * 512;
}

/* Every byte of [off, off + len). */
static void
check_bytes(struct vhd_file *file, uint64_t off, size_t len, int value)
{
  uint8_t *buf = malloc(len);
  assert_non_null(buf);
  assert_int_equal(file_read(file, buf, len, off), 0);
  for (size_t i = 0; i < len; i++)
    if (buf[i] != value)
      fail_msg("byte %llu is %d, not %d", (unsigned long long)(off + i),
               buf[i], value);
  free(buf);
}

/* -------------------------------------------------------------------- I/O */

static void
test_read_write(void **state)
{
  (void)state;
  make_file(PATH, 64 * KIB, 0x11);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  uint8_t buf[3000];
  memset(buf, 0x22, sizeof buf);
  assert_int_equal(file_write(file, buf, sizeof buf, 1001), 0);
  check_bytes(file, 0, 1001, 0x11);
  check_bytes(file, 1001, sizeof buf, 0x22);
  check_bytes(file, 1001 + sizeof buf, 1000, 0x11);
  assert_int_equal(size_of(file), 64 * KIB);
  assert_int_equal(file_read(file, buf, 0, 0), 0);
  assert_int_equal(file_write(file, buf, 0, 0), 0);
  assert_int_equal(file_do(file, VHD_IO_SYNC, 0, 0, 0), 0);
  file_close(file);
}

static void
test_durable(void **state)
{
  (void)state;
  make_file(PATH, 64 * KIB, 0x11);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  uint8_t buf[4096];
  memset(buf, 0x33, sizeof buf);
  struct vhd_io io = {
    .file = file,
    .buf = buf,
    .off = 8192,
    .len = sizeof buf,
    .fd = file->fd,
    .result = 1,
    .kind = VHD_IO_WRITE,
    .flags = VHD_IO_DURABLE,
  };
  vhd_io_perform(&io);
  assert_int_equal(io.result, 0);
  check_bytes(file, 8192, sizeof buf, 0x33);
  check_bytes(file, 0, 8192, 0x11);
  file_close(file);
}

static void
test_short_read(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0x11);
  struct vhd_file *file = open_file(PATH, LOCAL_READ);
  uint8_t buf[100];
  assert_int_equal(file_read(file, buf, 100, 900), 0);
  assert_int_equal(file_read(file, buf, 100, 901), -EIO);
  assert_int_equal(file_read(file, buf, 1, 1000), -EIO);
  assert_int_equal(file_read(file, buf, 1, 1ULL << 40), -EIO);
  file_close(file);
}

static void
test_bad_offsets(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0x11);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  uint8_t buf[16] = { 0 };
  assert_int_equal(file_read(file, buf, 16, UINT64_MAX), -EFBIG);
  assert_int_equal(file_write(file, buf, 16, UINT64_MAX - 8), -EFBIG);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 1ULL << 63, 1, 0), -EFBIG);
  assert_int_equal(file_do(file, (enum vhd_io_kind)99, 0, 1, 0), -EINVAL);
  assert_int_equal(size_of(file), 1000);
  file_close(file);
}

static void
test_read_only(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0x11);
  struct vhd_file *file = open_file(PATH, LOCAL_READ);
  uint8_t buf[16] = { 0 };
  assert_true(file_write(file, buf, 16, 0) < 0);
  assert_true(file_do(file, VHD_IO_TRUNCATE, 10, 0, 0) < 0);
  assert_true(file_do(file, VHD_IO_PUNCH, 0, 512, 0) < 0);
  check_bytes(file, 0, 1000, 0x11);
  file_close(file);
}

static void
test_clear(enum vhd_io_kind kind)
{
  static const struct {
    uint64_t off, len;
  } rows[] = {
    { 0, 4096 },        { 4096, 65536 },        { 100, 1 },
    { 4000, 200 },      { 256 * KIB - 10, 10 }, { 100, 300 * KIB },
    { 256 * KIB, 4096 }, { 1 << 30, 4096 },      { 100, 0 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint64_t off = rows[i].off, end = off + rows[i].len, size = 256 * KIB;
    make_file(PATH, size, 0x44);
    struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
    assert_int_equal(file_do(file, kind, off, rows[i].len, 0), 0);
    assert_int_equal(size_of(file), size);
    off = off < size ? off : size;
    end = end < size ? end : size;
    check_bytes(file, 0, off, 0x44);
    check_bytes(file, off, end - off, 0);
    check_bytes(file, end, size - end, 0x44);
    file_close(file);
  }
}

static void
test_punch(void **state)
{
  (void)state;
  test_clear(VHD_IO_PUNCH);
  make_file(PATH, 1024 * KIB, 0x44);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  file_do(file, VHD_IO_SYNC, 0, 0, 0);
  uint64_t before = space_of(file);
  assert_int_equal(file_do(file, VHD_IO_PUNCH, 256 * KIB, 512 * KIB, 0), 0);
  assert_true(space_of(file) <= before - 512 * KIB);
  file_close(file);
}

static void
test_zero(void **state)
{
  (void)state;
  test_clear(VHD_IO_ZERO);
  make_file(PATH, 1024 * KIB, 0x44);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  file_do(file, VHD_IO_SYNC, 0, 0, 0);
  uint64_t before = space_of(file);
  assert_int_equal(file_do(file, VHD_IO_ZERO, 256 * KIB, 512 * KIB, 0), 0);
  assert_true(space_of(file) >= before);
  file_close(file);
}

/* A file system that is full needs space for its own account of a hole. */
static bool full;

int
fallocate(int fd, int mode, off_t off, off_t len)
{
  __typeof__(&fallocate) real =
    (__typeof__(&fallocate))dlsym(RTLD_NEXT, "fallocate");

  if (full && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    errno = ENOSPC;
    return -1;
  }
  return real(fd, mode, off, len);
}

/* What lies there is overwritten, and holes stay holes. */
static void
test_clear_when_full(void **state)
{
  (void)state;
  for (enum vhd_io_kind kind = VHD_IO_PUNCH; kind <= VHD_IO_ZERO; kind++) {
    make_file(PATH, 1024 * KIB, 0x44);
    struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
    uint64_t off = 64 * KIB + 100, end = 960 * KIB - 100;
    if (kind == VHD_IO_PUNCH)
      assert_int_equal(file_do(file, kind, 256 * KIB, 512 * KIB, 0), 0);
    file_do(file, VHD_IO_SYNC, 0, 0, 0);
    uint64_t before = space_of(file);
    full = true;
    assert_int_equal(file_do(file, VHD_IO_PUNCH, off, end - off,
                             VHD_IO_GIVE_BACK), -ENOSPC);
    check_bytes(file, off, 4096, 0x44);
    assert_int_equal(file_do(file, kind, off, end - off, 0), 0);
    assert_int_equal(file_do(file, kind, 1024 * KIB, 4096, 0), 0);
    full = false;
    file_do(file, VHD_IO_SYNC, 0, 0, 0);
    assert_true(space_of(file) <= before);
    assert_int_equal(size_of(file), 1024 * KIB);
    check_bytes(file, 0, off, 0x44);
    check_bytes(file, off, end - off, 0);
    check_bytes(file, end, 1024 * KIB - end, 0x44);
    file_close(file);
  }
}

static void
test_extend(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 1000, 1024 * KIB, 0), 0);
  assert_int_equal(size_of(file), 1000 + 1024 * KIB);
  check_bytes(file, 0, 1000, 0x55);
  check_bytes(file, 1000, 1024 * KIB, 0);
  assert_true(space_of(file) < 1024 * KIB);

  /* Never shrinks, never clears. */
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 0, 500, 0), 0);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 100, 0, 0), 0);
  assert_int_equal(size_of(file), 1000 + 1024 * KIB);
  check_bytes(file, 0, 1000, 0x55);
  file_close(file);
}

/* The space is there, the end stays; a write beyond it moves it. */
static void
test_reserve(void **state)
{
  (void)state;
  const unsigned flags = VHD_IO_RESERVE;
  make_file(PATH, 1000, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 1000, 1024 * KIB, flags), 0);
  assert_int_equal(size_of(file), 1000);
  assert_true(space_of(file) >= 1024 * KIB);
  assert_int_equal(file_write(file, "x", 1, 1024 * KIB), 0);
  assert_int_equal(size_of(file), 1024 * KIB + 1);
  check_bytes(file, 0, 1000, 0x55);
  check_bytes(file, 1000, 1024 * KIB - 1000, 0);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 0, 500, flags), 0);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 100, 0, flags), 0);
  assert_int_equal(size_of(file), 1024 * KIB + 1);
  check_bytes(file, 0, 1000, 0x55);
  file_close(file);
}

static void
test_next_data(void **state)
{
  (void)state;
  make_file(PATH, 64 * KIB, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 0, 10 << 20, 0), 0);
  assert_int_equal(file_write(file, "x", 1, 5 << 20), 0);
  assert_true(file_next_data(file, 0) == 0);
  assert_true(file_next_data(file, 1000) == 1000);
  /* As exactly as the file system knows: data are never left out. */
  uint64_t next = file_next_data(file, 1 << 20);
  assert_true(next >= 1 << 20 && next <= 5 << 20);
  next = file_next_data(file, 6 << 20);
  assert_true(next == UINT64_MAX || next >= 6 << 20);
  assert_true(file_next_data(file, 10 << 20) == UINT64_MAX);
  file_close(file);
}

static void
test_truncate(void **state)
{
  (void)state;
  make_file(PATH, 10000, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  assert_int_equal(file_do(file, VHD_IO_TRUNCATE, 700, 0, 0), 0);
  assert_int_equal(size_of(file), 700);
  check_bytes(file, 0, 700, 0x55);
  file_close(file);
}

static void
test_no_space(void **state)
{
  (void)state;
  /* More than any disk has: an answer, not a signal, and no larger file. */
  make_file(PATH, 1000, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  int r = file_do(file, VHD_IO_EXTEND, 1000, 1ULL << 43, VHD_IO_RESERVE);
  assert_true(r == -ENOSPC || r == -EFBIG);
  assert_int_equal(size_of(file), 1000);
  assert_true(space_of(file) < 1024 * KIB);
  file_close(file);
}

static void
test_size_limit(void **state)
{
  (void)state;
  /* A write that can be carried out only in part, and then not at all. */
  make_file(PATH, 1000, 0x55);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE);
  struct rlimit old, limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  limit = old;
  limit.rlim_cur = 6000;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  uint8_t buf[10000];
  memset(buf, 0x66, sizeof buf);
  int r = file_write(file, buf, sizeof buf, 0);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_int_equal(r, -EFBIG);
  file_close(file);
}

/* ----------------------------------------------------------------- opening */

static void
expect_refused(const char *path, enum local_mode mode, int result, int code)
{
  struct vhd_file *file;
  struct vhd_error err = { .message = "" };
  int r = local_open(path, mode, &file, &err);
  ROW_INT(path, r, result);
  ROW_INT(path, err.code, code);
  ROW_TRUE(path, strncmp(err.message, path, strlen(path)) == 0);
}

static void
test_refused(void **state)
{
  (void)state;
  struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
  unlink("fifo");
  unlink("socket");
  assert_int_equal(mkfifo("fifo", 0600), 0);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
  unlink("loop");
  assert_int_equal(symlink("loop", "loop"), 0);

  for (int mode = LOCAL_READ; mode <= LOCAL_UNLOCKED; mode++) {
    enum local_mode m = (enum local_mode)mode;
    expect_refused("fifo", m, -EINVAL, VHD_ARGUMENT);
    expect_refused("socket", m, -EINVAL, VHD_ARGUMENT);
    expect_refused(".", m, -EINVAL, VHD_ARGUMENT);
    expect_refused("/dev/null", m, -EINVAL, VHD_ARGUMENT);
    expect_refused("/dev/tty", m, -EINVAL, VHD_ARGUMENT);
    expect_refused("absent", m, -ENOENT, VHD_SYSTEM);
    expect_refused("absent/x", m, -ENOENT, VHD_SYSTEM);
    expect_refused("loop", m, -ELOOP, VHD_SYSTEM);
    expect_refused("", m, -ENOENT, VHD_SYSTEM);
  }
  expect_refused("/proc/self/status", LOCAL_READ, -EINVAL, VHD_ARGUMENT);
  expect_refused("/proc/self/environ", LOCAL_UNLOCKED, -EINVAL,
                 VHD_ARGUMENT);
  close(fd);
}

static void
test_opened(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0);
  struct stat st;
  assert_int_equal(stat(PATH, &st), 0);
  struct vhd_file *file = open_file(PATH, LOCAL_READ);
  assert_string_equal(file->path, PATH);
  assert_true(file->dev == st.st_dev && file->ino == st.st_ino);
  /* io_uring gives up on O_NONBLOCK where it should wait. */
  assert_int_equal(fcntl(file->fd, F_GETFL) & O_NONBLOCK, 0);
  assert_true(fcntl(file->fd, F_GETFD) & FD_CLOEXEC);
  assert_false(file->can_punch);
  file_close(file);
  file_close(NULL);
}

/* What it is said that the file system can do, it can. */
static void
check_capabilities(const char *path, uint64_t size)
{
  struct stat before, after;
  make_file(path, size, 0x77);
  assert_int_equal(stat(path, &before), 0);
  struct vhd_file *file = open_file(path, LOCAL_WRITE);
  file_probe(file);

  /* To have found out changed nothing. */
  assert_int_equal(fstat(file->fd, &after), 0);
  assert_int_equal(after.st_blocks, before.st_blocks);
  assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof before.st_mtim);
  assert_memory_equal(&after.st_ctim, &before.st_ctim, sizeof before.st_ctim);
  assert_int_equal(size_of(file), size);
  check_bytes(file, 0, size, 0x77);

  int r = fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    1 << 30, 4096);
  assert_int_equal(file->can_punch, r == 0);
  r = fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 1 << 30,
                4096);
  assert_int_equal(file->can_zero, r == 0);
  file_close(file);
  unlink(path);
}

static void
test_capabilities(void **state)
{
  (void)state;
  static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000 };
  char path[64];
  snprintf(path, sizeof path, "/dev/shm/test-local-%d", (int)getpid());
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    check_capabilities(PATH, sizes[i]);
    check_capabilities(path, sizes[i]);
  }
}

static void
test_create(void **state)
{
  (void)state;
  struct vhd_file *file, *second;
  struct vhd_error err;
  unlink("new");
  assert_int_equal(local_create("new", &file, &err), 0);
  assert_int_equal(size_of(file), 0);
  assert_int_equal(file_write(file, "abc", 3, 0), 0);
  check_bytes(file, 1, 1, 'b');
  assert_int_equal(local_open("new", LOCAL_READ, &second, NULL), -EBUSY);
  assert_int_equal(local_create("new", &second, &err), -EEXIST);
  assert_int_equal(err.code, VHD_SYSTEM);
  assert_int_equal(size_of(file), 3);
  file_close(file);
  unlink("new");
  assert_int_equal(local_create("absent/new", &second, &err), -ENOENT);
}

static void
test_real_path(void **state)
{
  (void)state;
  char cwd[4096], path[4096], expected[4200];
  assert_non_null(getcwd(cwd, sizeof cwd));
  make_file(PATH, 1000, 0);
  unlink("soft");
  assert_int_equal(symlink(PATH, "soft"), 0);
  struct vhd_file *file = open_file("./soft", LOCAL_READ);
  assert_int_equal(local_real_path(file, path, sizeof path), 0);
  snprintf(expected, sizeof expected, "%s/%s", cwd, PATH);
  assert_string_equal(path, expected);
  assert_int_equal(local_real_path(file, path, strlen(expected)),
                   -ENAMETOOLONG);
  assert_int_equal(unlink(PATH), 0);
  assert_int_equal(local_real_path(file, path, sizeof path), -ENOENT);
  /* Nor may another file that took the name of the dead one pass for it. */
  snprintf(expected, sizeof expected, "%s (deleted)", PATH);
  make_file(expected, 10, 0);
  assert_int_equal(local_real_path(file, path, sizeof path), -ENOENT);
  unlink(expected);
  file_close(file);
  unlink("soft");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_read_write),
    cmocka_unit_test(test_durable),
    cmocka_unit_test(test_short_read),
    cmocka_unit_test(test_bad_offsets),
    cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_punch),
    cmocka_unit_test(test_zero),
    cmocka_unit_test(test_clear_when_full),
    cmocka_unit_test(test_extend),
    cmocka_unit_test(test_reserve),
    cmocka_unit_test(test_next_data),
    cmocka_unit_test(test_truncate),
    cmocka_unit_test(test_no_space),
    cmocka_unit_test(test_size_limit),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_opened),
    cmocka_unit_test(test_capabilities),
    cmocka_unit_test(test_create),
    cmocka_unit_test(test_real_path),
  };
  return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}

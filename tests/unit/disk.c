/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h. */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "unit/disk.h"
#include "unit/unit.h"

#define KIB 1024U

void
make_file(const char *path, uint64_t size, int fill)
{
  unlink(path);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  char buf[4 * KIB];
  memset(buf, fill, sizeof buf);
  for (uint64_t off = 0; off < size; off += sizeof buf) {
    size_t n = size - off < sizeof buf ? (size_t)(size - off) : sizeof buf;
    assert_int_equal(write(fd, buf, n), n);
  }
  close(fd);
}

struct vhd_file *
open_file(const char *path, enum local_mode mode)
{
  struct vhd_file *file;
  struct vhd_error err;
  if (local_open(path, mode, &file, &err) < 0)
    fail_msg("%s", err.message);
  return file;
}

int
enter_scratch(void **state)
{
  static char folder[] = "/tmp/vhdkit-test-local.XXXXXX";
  if (getenv("VHDKIT_TEST_MARK") != NULL)
    return 0;
  *state = folder;
  return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

int
leave_scratch(void **state)
{
  static const char *const left[] = { PATH, "fifo", "socket", "loop" };
  for (size_t i = 0; i < ARRAY_SIZE(left); i++)
    unlink(left[i]);
  if (*state != NULL && (chdir("/") < 0 || rmdir(*state) < 0))
    return -1;
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* times.c: see times.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "store/times.h"

int
file_times(const struct vhd_file *file, struct file_times *times)
{
  struct statx st;

  *times = (struct file_times){ 0 };
  if (file->fd < 0)
    return -ENOTSUP;
  if (statx(file->fd, "", AT_EMPTY_PATH, STATX_MTIME | STATX_BTIME, &st) < 0)
    return -errno;
  times->changed = (struct file_time){ st.stx_mtime.tv_sec,
                                       st.stx_mtime.tv_nsec };
  if (st.stx_mask & STATX_BTIME)
    times->born = (struct file_time){ st.stx_btime.tv_sec,
                                      st.stx_btime.tv_nsec };
  return 0;
}

bool
file_birth_tells(int fd, const struct vhd_file *other)
{
  struct vhd_file file = { .fd = fd };
  struct file_times times;
  struct stat st;

  return fstat(fd, &st) == 0 && st.st_dev == other->dev &&
         file_times(&file, &times) == 0 && times.born.sec != 0;
}

/* A file may get a time that lies as far back as this. */
#define TICK_NSEC 20000000L

void
file_time_outlast(int64_t sec)
{
  struct timespec now, left;

  while (clock_gettime(CLOCK_REALTIME, &now) == 0 &&
         (now.tv_sec == sec ||
          (now.tv_sec == sec + 1 && now.tv_nsec < TICK_NSEC))) {
    left = now.tv_sec > sec
             ? (struct timespec){ 0, TICK_NSEC }
             : (struct timespec){ 0, 999999999L - now.tv_nsec };
    nanosleep(&left, NULL);
  }
}

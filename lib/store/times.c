/* SPDX-License-Identifier: BSD-2-Clause */
/* times.c: see times.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

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

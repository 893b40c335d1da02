/* SPDX-License-Identifier: BSD-2-Clause */
/* times.h: when a file was changed and made.  Owns nothing; any thread. */
#ifndef STORE_TIMES_H
#define STORE_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "store/file.h"

/* Since 1970. */
struct file_time {
  int64_t sec;
  uint32_t nsec;
};

struct file_times {
  struct file_time changed; /* its content */
  struct file_time born;    /* all 0 where that is not recorded */
};

/* 0 or -errno; -ENOTSUP for what is no local file. */
int file_times(const struct vhd_file *file, struct file_times *times);

/* Is it recorded when the file `fd` was made, and by the clock that dates
 * `other`? */
bool file_birth_tells(int fd, const struct vhd_file *other);

/* Sleeps until a file that is changed has another second than this one. */
void file_time_outlast(int64_t sec);

#endif

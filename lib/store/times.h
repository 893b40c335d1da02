/* SPDX-License-Identifier: BSD-2-Clause */
/* times.h: when a file was changed and made.  Owns nothing; any thread. */
#ifndef STORE_TIMES_H
#define STORE_TIMES_H

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

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: an image in use, each of whose answers is held against the model.
 *
 * What must not be is told in a line that begins with '#', and ends the
 * process with status 1.  One thread. */
#ifndef TESTS_FS_DISK_H
#define TESTS_FS_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "vhdkit.h"

struct disk {
  const char *path;
  struct vhd_image *image;
  struct model *m;
  uint32_t spb;       /* sectors of a block, for trims */
  uint32_t max_write; /* sectors */
  unsigned failures;  /* calls that failed since it was opened */
  int last_failure;   /* -errno */
  /* Whether a call that failed may have; NULL: none may. */
  void (*may_fail)(struct disk *d, const char *what, int result);
  /* Whether it may be durable, as was told; NULL: it may. */
  void (*may_flush)(struct disk *d);
};

_Noreturn void wrong(const char *format, ...)
  __attribute__((format(printf, 1, 2)));

int disk_open(struct disk *d, uint32_t flags);
int disk_close(struct disk *d);

/* 0 or -errno. */
int disk_write(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags);
int disk_zero(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags);
int disk_trim(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags);
int disk_flush(struct disk *d);
int disk_read(struct disk *d, uint64_t sec, uint64_t nsec);

/* One of these, by the model's random numbers. */
void disk_something(struct disk *d);

/* Reads all of it; from here on it is known to hold what was read. */
void disk_settle(struct disk *d);

/* The file ends in a footer, and vhd_check() finds nothing broken; nor leaked
 * unless that is allowed. */
void disk_check(const struct disk *d, bool leaks_allowed);

#endif

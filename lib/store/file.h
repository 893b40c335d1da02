/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h: where the bytes of an image lie.
 *
 * A struct vhd_file carries out I/Os.  Local files are one kind (local.c); the
 * simulator of the tests is another.  A file owns its descriptor and its locks.
 * perform may be called by any thread, at the same time by many. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vhdkit.h"

struct file_ops {
  /* Carries out one I/O of any kind; returns 0 or -errno. */
  int (*perform)(struct vhd_file *file, struct vhd_io *io);
  int (*size)(struct vhd_file *file, uint64_t *size);
  void (*close)(struct vhd_file *file);
};

struct vhd_file {
  const struct file_ops *ops;
  int fd;     /* -1: none */
  char *path; /* for messages; owned */
  bool can_punch; /* PUNCH is done by the file system, quickly */
  /* Tells one file from another: cycles in a chain, journals. */
  dev_t dev;
  ino_t ino;
};

/* Convenience for open, create and check, which may block. */
int file_read(struct vhd_file *file, void *buf, size_t len, uint64_t off);
int file_write(struct vhd_file *file, const void *buf, size_t len,
               uint64_t off);
/* PUNCH, ZERO, EXTEND, TRUNCATE, SYNC */
int file_do(struct vhd_file *file, enum vhd_io_kind kind, uint64_t off,
            uint64_t len, unsigned flags);
int file_size(struct vhd_file *file, uint64_t *size);
/* Where the next byte from off on lies that is not in a hole of the file: off
 * itself where the file does not tell, UINT64_MAX where there is none. */
uint64_t file_next_data(struct vhd_file *file, uint64_t off);
/* Lets go of the locks and frees it; NULL is none. */
void file_close(struct vhd_file *file);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h: where the bytes of an image lie: the contract of a store.
 *
 * A struct vhd_file carries out I/Os.  Local files are one kind (local.c); the
 * simulator of the tests is another.  A file owns its descriptor and its locks.
 * perform may be called by any thread, at the same time by many.
 *
 * Only a store knows paths and folders.  Above it a file has
 *   a path       for messages, and to open it by (local_open());
 *   an identity  dev and ino, opaque: equal for one file under two names;
 *   a stamp      that changes when somebody changes the file;
 *   abilities    what it can do beyond reading and writing;
 *   neighbours   the files that names stored in it lead to. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vhdkit.h"

/* Folders below which parents may lie; see file_roots(). */
struct file_roots {
  char **path; /* canonical; owned */
  size_t n;
};

enum companion_mode {
  COMPANION_READ,
  COMPANION_WRITE, /* and read */
  COMPANION_MAKE,  /* a new one, empty, to write and read */
};

struct file_ops {
  /* Carries out one I/O of any kind; returns 0 or -errno.  Each sync that ends
   * after something written before it began was lost says so, and so does each
   * that ends later than one that failed; that of a durable write is one. */
  int (*perform)(struct vhd_file *file, struct vhd_io *io);
  int (*size)(struct vhd_file *file, uint64_t *size);
  /* See file_next_data(); NULL: it does not tell. */
  uint64_t (*next_data)(struct vhd_file *file, uint64_t off);
  /* See file_lock() and file_beside(); NULL: there is nobody to keep out, and
   * no other file. */
  int (*lock)(struct vhd_file *file, bool writer, struct vhd_error *err);
  int (*beside)(struct vhd_file *from, const char *name, unsigned nth,
                const struct file_roots *roots, struct vhd_file **file,
                struct vhd_error *err);
  /* See file_companion(); NULL: it has none, and can have none. */
  int (*companion)(struct vhd_file *file, enum companion_mode mode,
                   struct vhd_file **companion, struct vhd_error *err);
  int (*settle)(struct vhd_file *file, bool remove);
  /* See file_probe(); NULL: there is nothing to find out. */
  void (*probe)(struct vhd_file *file);
  void (*close)(struct vhd_file *file);
};

struct vhd_file {
  const struct file_ops *ops;
  int fd;     /* -1: none */
  char *path; /* for messages; owned */
  /* What else it can do, quickly; see file_probe().  Where it cannot, perform
   * does it some other way: growth and a durable write always work. */
  bool can_punch, can_zero; /* PUNCH, ZERO: the file system does it */
  /* Tells one file from another: cycles in a chain, journals. */
  dev_t dev;
  ino_t ino;
};

/* What tells whether a file was changed: its size, and when its content and
 * anything of it were last changed, in nanoseconds since 1970. */
struct file_stamp {
  uint64_t size;
  int64_t mtime, ctime;
};

/* Convenience for open, create and check, which may block. */
int file_read(struct vhd_file *file, void *buf, size_t len, uint64_t off);
int file_write(struct vhd_file *file, const void *buf, size_t len,
               uint64_t off);
/* PUNCH, ZERO, EXTEND, TRUNCATE, SYNC */
int file_do(struct vhd_file *file, enum vhd_io_kind kind, uint64_t off,
            uint64_t len, unsigned flags);
int file_size(struct vhd_file *file, uint64_t *size);
/* Bytes that it takes of the host's space.  0 or -errno; -ENOTSUP for a file
 * without a descriptor. */
int file_allocated(const struct vhd_file *file, uint64_t *bytes);
/* 0 or -errno; -ENOTSUP for a file without a descriptor. */
int file_stamp(struct vhd_file *file, struct file_stamp *stamp);
/* Says that the content was last changed then, in nanoseconds since 1970.  0 or
 * -errno; -ENOTSUP for a file without a descriptor. */
int file_set_time(struct vhd_file *file, int64_t mtime);
/* The host begins to write what of the file is dirty, so that a sync that comes
 * after much more was written has less to wait for.  A hint, no sync. */
void file_begin_sync(struct vhd_file *file);
/* Where the next byte from off on lies that is not in a hole of the file: off
 * itself where the file does not tell, UINT64_MAX where there is none. */
uint64_t file_next_data(struct vhd_file *file, uint64_t off);
/* Finds out what else the file, open for writing, can do.  May change its
 * times, though not its content. */
void file_probe(struct vhd_file *file);
/* Lets go of the locks and frees it; NULL is none. */
void file_close(struct vhd_file *file);

static inline bool
file_same(const struct vhd_file *a, const struct vhd_file *b)
{
  return a->dev == b->dev && a->ino == b->ino;
}

/* Takes the lock of a reader or a writer on a file that was opened without, or
 * fails with VHD_BUSY. */
int file_lock(struct vhd_file *file, bool writer, struct vhd_error *err);

/* Opens, for reading and without a lock, a regular file that a name stored in
 * `from` leads to: relative to the folder of `from`, or absolute; upper and
 * lower case may differ, and so there may be several: nth counts them from 0,
 * and the one that has the name to the letter is the first.  The name is
 * hostile: links resolved, the file must
 * lie below one of the roots.  -ENOENT: there is none, with err->code VHD_OK;
 * -EACCES with VHD_PARENT_DENIED: it lies elsewhere. */
int file_beside(struct vhd_file *from, const char *name, unsigned nth,
                const struct file_roots *roots, struct vhd_file **file,
                struct vhd_error *err);

/* A file has at most one companion: a small file that goes along with it, of
 * whatever content (redo.h).  -ENOENT: there is none, with err->code VHD_OK.
 * -EACCES, with VHD_JOURNAL: there is one, which was perhaps put there by
 * somebody who has no right to change the file. */
int file_companion(struct vhd_file *file, enum companion_mode mode,
                   struct vhd_file **companion, struct vhd_error *err);
/* That there is a companion is durable afterwards; remove: it is gone, and a
 * power cut may bring it back, if its content was durable. */
int file_settle(struct vhd_file *file, bool remove);
/* What to call the companion in messages, whether it is there or not. */
#define COMPANION_SUFFIX VHD_COMPANION_SUFFIX

#endif

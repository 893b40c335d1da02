/* SPDX-License-Identifier: BSD-2-Clause */
/* newfile.h: a local file that appears under its name whole and durable, or
 * not at all.
 *
 * The caller fills .fd and commits.  Until then nobody sees the file: it has no
 * name (O_TMPFILE) or, on file systems that know no such thing, a hidden
 * temporary one.  A process that dies half way leaves nothing in the first
 * case, and in the second what the next one removes.  One thread. */
#ifndef STORE_NEWFILE_H
#define STORE_NEWFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdkit.h"

struct progress;
struct vhd_file;

struct newfile {
  int fd;               /* empty, open for reading and writing */
  int dir;              /* the folder it will appear in */
  char *path;           /* as asked for, for messages; owned */
  const char *name;     /* within dir; points into path */
  char temp[48];        /* its temporary name; "" while it has none */
  uint64_t begun;       /* up to here the host has begun to write it */
  struct vhd_file *old; /* what it will replace, locked; or NULL */
};

/* Begins a new file.  One that is already there under that name is refused,
 * or, with overwrite, must be a regular file that nobody else has in use; it
 * stays as it is, and locked, until the commit.  Call newfile_close() after
 * success. */
int newfile_open(struct newfile *file, const char *path, bool overwrite,
                 struct vhd_error *err);

/* The same where the caller has the old file open, so that nobody writes to it,
 * and has given it another name. */
int newfile_open_over(struct newfile *file, const char *path,
                      struct vhd_error *err);

/* All of buf at off; sets err. */
int newfile_write(struct newfile *file, const void *buf, size_t len,
                  uint64_t off, struct vhd_error *err);

/* The file ends there; what it did not have is a hole. */
int newfile_resize(struct newfile *file, uint64_t size, struct vhd_error *err);

/* The first size bytes get space of their own and read as zeros.  Only where
 * the file system cannot do that by itself are zeros written.  It adds size to
 * the progress. */
int newfile_reserve(struct newfile *file, uint64_t size,
                    struct progress *progress, struct vhd_error *err);

/* Makes the content durable, gives the file its name, and makes that durable
 * too.  After a failure nothing has changed, save where the very last step, the
 * sync of the folder, failed. */
int newfile_commit(struct newfile *file, struct vhd_error *err);

/* Is this the name that a file has before it gets its own?  A killed program
 * may have left it. */
bool newfile_is_temporary(const char *name);

/* Gives everything back; what was not committed vanishes. */
void newfile_close(struct newfile *file);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* pid_file.h: the pid file: made with the rights of the start, filled in once
 * clients are served, removed at the end.  It is locked as long as its process
 * lives, so that a second server with the same file fails, and leaves the first
 * one's alone.
 *
 * The main thread; pid_file_remove() any thread. */
#ifndef SERVER_KEEPER_PID_FILE_H
#define SERVER_KEEPER_PID_FILE_H

#include "vhdkit.h"

struct pid_file {
  const char *path; /* NULL: none is wanted */
  int fd;           /* -1: not open */
};

/* path must live as long as the file is used.  NULL is fine. */
int pid_file_open(struct pid_file *file, const char *path,
                  struct vhd_error *err);
/* Logs where that cannot be done. */
void pid_file_write(const struct pid_file *file);
/* If it is still there.  Once more does nothing. */
void pid_file_remove(const struct pid_file *file);
void pid_file_close(struct pid_file *file);

#endif

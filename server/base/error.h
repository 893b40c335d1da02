/* SPDX-License-Identifier: BSD-2-Clause */
/* error.h: fills a struct vhd_error and returns the errno that goes with it, in
 * one statement.  Any thread. */
#ifndef SERVER_BASE_ERROR_H
#define SERVER_BASE_ERROR_H

#include "vhdkit.h"

/* A call to the system failed with sys (positive): appends ": " and its text to
 * the sentence.  Returns -sys. */
int fail_system(struct vhd_error *err, int sys, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* Things are not so that it could be done: sys (positive) says of which kind
 * that is.  Returns -sys. */
int fail_state(struct vhd_error *err, int sys, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* What was asked for cannot be done.  Returns -EINVAL. */
int fail_argument(struct vhd_error *err, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

#endif

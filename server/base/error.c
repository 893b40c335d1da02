/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c: filling in struct vhd_error; see error.h. */
#include "config.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
fail_system(struct vhd_error *err, int sys, const char *fmt, ...)
{
  va_list ap;

  if (err) {
    err->code = VHD_SYSTEM;
    err->sys = sys;
    va_start(ap, fmt);
    int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->message) {
      snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s",
               strerror(sys));
    }
  }
  return -sys;
}

int
fail_state(struct vhd_error *err, int sys, const char *fmt, ...)
{
  va_list ap;

  if (err) {
    err->code = VHD_STATE;
    err->sys = sys;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
  }
  return -sys;
}

int
fail_argument(struct vhd_error *err, const char *fmt, ...)
{
  va_list ap;

  if (err) {
    err->code = VHD_ARGUMENT;
    err->sys = 0;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
  }
  return -EINVAL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* error.h: filling a struct vhd_error.  Any thread. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "vhdkit.h"

/* Sets err (if not NULL) to code, errnum and the sentence, and returns
 * -errnum, so that `return vhd_fail(...)` says it all.  errnum must not be 0.
 * Control characters and what is not UTF-8 become '?' in the finished sentence:
 * names from files end on terminals and in JSON.  An argument may lie in *err
 * itself. */
int vhd_fail(struct vhd_error *err, int code, int errnum, const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));

/* The same for a failed system call, code VHD_SYSTEM: ": strerror" is added. */
int vhd_fail_sys(struct vhd_error *err, int errnum, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* 0, or -EINVAL where flags has one that is not known: a caller that was built
 * for a later version must learn that it does not get what it asks for. */
int vhd_check_flags(uint32_t flags, uint32_t known, const char *path,
                    struct vhd_error *err);

/* The same of the room that options have for later fields; see vhdkit.h. */
int vhd_check_room(const uint64_t *room, size_t n, const char *path,
                   struct vhd_error *err);
#define CHECK_ROOM(options, path, err)                                   \
  vhd_check_room((options)->reserved,                                    \
                 sizeof (options)->reserved / sizeof (options)->reserved[0], \
                 path, err)

/* Both, of how an image is to be opened. */
static inline int
vhd_check_open(const struct vhd_open_options *open, uint32_t known,
               const char *path, struct vhd_error *err)
{
  int r = vhd_check_flags(open->flags, known, path, err);

  return r < 0 ? r : CHECK_ROOM(open, path, err);
}

#endif

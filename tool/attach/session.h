/* SPDX-License-Identifier: BSD-2-Clause */
/* session.h: an attachment's life: its server and its client begin and end. */
#ifndef TOOL_ATTACH_SESSION_H
#define TOOL_ATTACH_SESSION_H

#include "attach/driver.h"
#include "attach/folder.h"

struct session_options {
  const char *const *roots; /* as with --root */
  size_t nroots;
  bool size_chs;
};

/* What is done with an attachment that is there.  0, or -1 after a
 * complaint. */
typedef int session_then(void *opaque, const struct entry *entry,
                         struct attachment *a);

/* Makes an entry for it in the folder, starts its server, then its client, and
 * waits until the device is there; each is in the record before it begins.
 * Then calls then().  Complains and returns -1 where one of these fails or is
 * interrupted, and nothing of it is left. */
int session_begin(const struct folder *folder, struct attachment *a,
                  const struct session_options *opt, session_then *then,
                  void *opaque);

/* Mounts the file system in what was begun, at .folder: that at .off and .len
 * of the disk, of which the device is made anew.  Complains and returns -1
 * where that fails or is interrupted; of then(). */
int session_mount(const struct entry *entry, struct attachment *a,
                  const struct driver *driver);

/* The reverse: the file system is unmounted, what was written is flushed, the
 * device goes, the server ends, and so does the entry.  Where the server has
 * gone already there is nothing to flush, and nothing in the way.  force:
 * nothing is.  Complains and returns -1 where something is in the way, which
 * leaves the rest as it is, or where the server has told of an error at its
 * end. */
int session_end(const struct entry *entry, const struct attachment *a,
                bool force);

#endif

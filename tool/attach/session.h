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

/* Starts the server of the entry, then the client, and waits until the device
 * is there; each is in the record before it begins.  Complains and returns -1
 * where that fails or is interrupted; session_end() then ends what there is. */
int session_begin(const struct entry *entry, struct attachment *a,
                  const struct session_options *opt);

/* Mounts the file system in what was begun, at .folder: that at .off and .len
 * of the disk, of which the device is made anew.  As session_begin(). */
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_file.h: memory that outlives the process but not the boot, for one
 * image: a mapped file on a tmpfs.
 *
 * The file begins with a page that says of which image and which boot it is;
 * the rest is the caller's.  The image's file has a note that says where the
 * journal lies (journal_note.h), so that everybody finds it; where the file
 * system keeps no such notes, all usual places are looked through
 * (journal_place.h).
 *
 * Only the holder of the image's writer lock makes and removes a journal.  It
 * locks the journal too: one that is locked is in use by somebody alive.
 * Blocks; one thread. */
#ifndef STORE_JOURNAL_FILE_H
#define STORE_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/file.h"
#include "store/journal_pin.h"

/* What was found of a former process. */
enum journal_left {
  JOURNAL_NONE,
  JOURNAL_LEFT,      /* a journal: .left holds what is in it */
  JOURNAL_LIVE,      /* one that is in use */
  JOURNAL_MISSING,   /* the image says that there is one, but it is gone */
  JOURNAL_ELSEWHERE, /* it says so, but that one is another file's */
};

struct journal_file {
  enum journal_left found;
  char *path;        /* of what was found, or NULL */
  struct journal_pin pin; /* JOURNAL_LEFT */
  void *left;        /* JOURNAL_LEFT: the caller's part, a copy; owned */
  size_t left_bytes;
  bool remounted;    /* JOURNAL_LEFT: the file system was mounted anew since */
  int64_t kept;      /* JOURNAL_LEFT: see journal_file_keep() */

  void *mem;         /* the caller's part of the journal in use, or NULL */
  size_t bytes;      /* of it; */
  size_t reserved;   /* so many at its begin can be used */
  void *map;
  char *own_path;    /* of the journal in use */
  struct journal_pin own_pin;
};

/* Looks for what a former process of this boot left.  dir: a place beside the
 * usual ones, or NULL.  unlocked: the image's lock is not held; then a journal
 * may be in use, and what cannot be read is taken for one of those.  Else one
 * that is there and cannot be read or trusted is an error.  most: bytes that
 * another user's may hold. */
int journal_file_find(const char *dir, struct vhd_file *file,
                      const uint8_t *id, bool unlocked, size_t most,
                      struct journal_file *jf, struct vhd_error *err);

/* Makes a new journal of `bytes`, of which `first` at least are reserved, so
 * that a store there never fails; nobody finds it yet.  0; -ENOENT where there
 * is no place for it (dir NULL: the usual ones) or the image's file is not fit
 * for one. */
int journal_file_make(const char *dir, struct vhd_file *file,
                      const uint8_t *id, size_t bytes, size_t first,
                      struct journal_file *jf);

/* Reserves all of it.  False: it was before, or there is no memory.  Any
 * thread, one at a time; no I/O. */
bool journal_file_reserve(struct journal_file *jf);

/* From now on it is the image's, in place of what was found.  Changes the ctime
 * of the image's file.  0 or -errno: then all is as before. */
int journal_file_publish(struct vhd_file *file, struct journal_file *jf);

/* All that this process changes leaves the disk as it is.  So if it is killed,
 * whoever replays the journal gives the image's file back this time of its last
 * change, by which its children know it.  0: that is over. */
void journal_file_keep(struct journal_file *jf, int64_t mtime);

/* Nothing that was found counts any more. */
void journal_file_forget(struct vhd_file *file, struct journal_file *jf);

/* Lets go of it; remove: nobody needs it any more. */
void journal_file_close(struct journal_file *jf, struct vhd_file *file,
                        bool remove);

#endif

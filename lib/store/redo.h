/* SPDX-License-Identifier: BSD-2-Clause */
/* redo.h: changes in place that are made wholly or not at all, of files that
 * nobody else has open: tables, headers, footers and the length of an image.
 *
 * What is to be changed is written down in the file's companion (file.h),
 * together with what was there before, and is durable there before the first
 * byte of the file is changed; once all of it is durable in the file, the
 * companion is emptied, then removed.  Whoever opens the file calls
 * redo_finish(), which goes on where an interrupted change stopped.
 *
 * Order:
 *   1. sync of the file: what the change will lead to is durable;
 *   2. the companion: its content, sync, its name;
 *   3. the file: the bytes, sync, the length if it shrinks, sync;
 *   4. the companion: emptied, sync, removed.
 *
 * Invariants:
 *   a. A companion that was not written to its end says that nothing was
 *      changed (2).
 *   b. Piece by piece (a sector of the disk) the file is as it was before or as
 *      it is to be.  Where no piece is changed yet, the companion is dropped:
 *      so it does no harm to a file that was put back from a copy.  Where one
 *      is neither, somebody else changed the file since, and nothing is done.
 *   c. Nobody changes the file while a companion that counts is durable (4);
 *      a power cut that brings one back brings back an empty one.
 *
 * Blocks; one thread a file, which holds the lock of a writer. */
#ifndef STORE_REDO_H
#define STORE_REDO_H

#include "store/file.h"

struct redo;

/* Begins a change of a file, of which redo_finish() has said that none is under
 * way. */
int redo_begin(struct vhd_file *file, struct redo **redo,
               struct vhd_error *err);
/* These bytes are to lie there; they are copied.  No two may overlap.  What
 * lies beyond the end makes the file longer.  0 or -ENOMEM. */
int redo_add(struct redo *redo, const void *buf, size_t len, uint64_t off);
/* So long is the file to be: no shorter than what was added. */
void redo_set_length(struct redo *redo, uint64_t len);
/* The content of the disk stays what it is, so that the file was last changed
 * then: by that its children tell. */
void redo_keep_time(struct redo *redo, int64_t mtime);
/* Makes the change.  After a failure the file is as it was; where that cannot
 * be had either, the error says that the change is to be finished by the next
 * who opens the file. */
int redo_commit(struct redo *redo, struct vhd_error *err);
/* What would put back, later, what this change is about to change: the bytes of
 * an undo file, to be freed, and their number.  NULL: there is no memory, or
 * the file cannot be read. */
uint8_t *redo_reverse(struct redo *redo, size_t *size);
/* Do two such files of this size tell of the same change? */
bool redo_same(const uint8_t *a, const uint8_t *b, size_t size);
/* A change by what an undo file holds; the file must be as that change left it.
 * 0; 1, and no change, where all is back already; or -errno. */
int redo_of(struct vhd_file *file, const uint8_t *buf, size_t size,
            struct redo **redo, struct vhd_error *err);
/* NULL is none. */
void redo_free(struct redo *redo);

enum redo_opener {
  REDO_WRITER,   /* holds the lock of a writer: finishes it */
  REDO_READER,   /* of a reader: an error while something is left to do */
  REDO_UNLOCKED, /* none: the change may be under way */
};

enum redo_found {
  REDO_NONE,      /* there is nothing left to do */
  REDO_UNDER_WAY, /* REDO_UNLOCKED */
  REDO_OTHERS,    /* there is a companion, of a file that was here before */
};

/* Looks for an interrupted change.  enum redo_found or -errno, with VHD_JOURNAL
 * where the file cannot be used as it is. */
int redo_finish(struct vhd_file *file, enum redo_opener opener,
                struct vhd_error *err);

/* Calls back for each stretch of the file that an interrupted change, or one
 * under way, is about: the bytes that were there, or are to be.  The number of
 * them, or -errno; what each returns, if that is not 0. */
int redo_look(struct vhd_file *file, bool after,
              int (*each)(void *opaque, const void *bytes, size_t len,
                          uint64_t off),
              void *opaque);

#endif

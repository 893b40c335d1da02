/* SPDX-License-Identifier: BSD-2-Clause */
/* redo_record.h: what a redo file holds (redo.h): bytes <-> struct, and how far
 * the change it tells of has come.  Pure; any thread.
 *
 *   0  "vhdkit redo 1\n", 2 NULs
 *  16  the image's length before and after, its inode, when it was made and
 *      last changed, flags, the number of ranges, the length of this file, and
 *      a sum over the whole of it; 64 bits each, big-endian
 *  88  for each range its offset and length
 *   .  for each range its bytes before, then those after */
#ifndef STORE_REDO_RECORD_H
#define STORE_REDO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More is not journalled: the table of the largest image takes an eighth. */
#define REDO_MAX ((size_t)128 << 20)

/* What is torn apart by a power cut is never smaller. */
#define REDO_PIECE 512

struct redo_range {
  uint64_t off, len;
  const uint8_t *before, *after;
};

struct redo_record {
  uint64_t old_size, new_size;
  uint64_t ino;   /* which file it is: another may get its inode's number, */
  int64_t born;   /* but not the time at which it was made; 0: not told */
  int64_t mtime;
  bool keep_time;
  struct redo_range *range; /* in order, apart from each other; owned */
  size_t n;
};

/* The bytes of the file, to be freed, and their number; NULL where there is no
 * memory. */
uint8_t *redo_record_format(const struct redo_record *record, size_t *size);

enum redo_kind {
  REDO_WHOLE,
  REDO_TORN,    /* it was never written to its end */
  REDO_STRANGE, /* it is no redo file */
  REDO_LATER,   /* of another version */
  REDO_NOMEM,
};

/* The ranges of *record point into buf.  Free it with redo_record_free(). */
enum redo_kind redo_record_parse(const uint8_t *buf, size_t size,
                                 struct redo_record *record);
void redo_record_free(struct redo_record *record);

/* How far a change has come. */
struct redo_progress {
  bool begun;   /* a piece is as it is to be, and was not before; */
  bool left;    /* one is as it was before, and not to be; */
  bool foreign; /* one is neither */
};

/* Looks at the bytes of a range as they are now. */
void redo_range_compare(const struct redo_range *range, const uint8_t *now,
                        struct redo_progress *progress);

#endif

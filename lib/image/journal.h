/* SPDX-License-Identifier: BSD-2-Clause */
/* journal.h: metadata that was acknowledged but not yet ordered to disk, in
 * memory that outlives the process (promise P3).
 *
 * A ring of small records in a mapped file on a tmpfs.  It survives kill -9,
 * and must not survive a reboot: after a power cut the data that the records
 * speak of may be lost, so records of another boot are thrown away.  Each
 * record says what the state of one block became; replaying them in order, any
 * number of times, leads to the last state.
 *
 * Beside the records it keeps what the image's file must look like if nobody
 * else changed it since: the process notes the time when it begins to change
 * the file and when it has, so the last change of all is not younger than the
 * last such note.  Older clocks' ticks, in which times are kept, make no
 * difference; a change by others within one tick of our last is not seen (10 ms
 * at most).  A clock that is set back while the process lives is noticed at the
 * next note: from then on the file may have times of before and after that,
 * until it was changed once more, and then of after that alone.
 *
 * What was in flight at a kill ends without anybody to note when: the kernel
 * goes on with it, and keeps no time at which it closed the dead process's
 * files.  So a change by others within two seconds of such a kill is taken for
 * that end, and an end later than that for a change by others.  Nothing in the
 * file itself tells the two apart, for other programs leave our note at it
 * (store/journal_note.h) as it is.
 *
 * What is replayed over must be what the last record was appended to.  So no
 * record is appended but after bytes of the file were changed for it, and the
 * file's times with them: a copy from before that, which somebody put back, or
 * a whole file system as it was at that time, is then older than our last
 * change.  A request that would change records alone (it trims whole blocks,
 * say) writes a byte that is there already.
 *
 * Pure memory; the caller holds the image's lock but for journal_begin() and
 * journal_end().  Where the memory comes from is store/journal_file.h's
 * business. */
#ifndef IMAGE_JOURNAL_H
#define IMAGE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

enum journal_kind {
  JOURNAL_BAT = 1,  /* a: the entry before, b: the entry now */
  JOURNAL_BITS = 2, /* a: first sector, b: how many, now in this file */
  JOURNAL_ZEROS = 3, /* the same, and there is nothing but zeros in them */
};

struct journal_record {
  uint32_t kind;
  uint32_t blk;
  uint32_t a, b;
};

struct journal; /* the mapped memory */

/* Bytes of memory for a ring of n records. */
size_t journal_bytes(uint32_t n);

/* Takes memory that is new, or whose content cannot be trusted: makes it an
 * empty ring. */
struct journal *journal_format(void *mem, size_t bytes);
/* Takes memory that a former process left.  NULL if it is no whole ring. */
struct journal *journal_adopt(void *mem, size_t bytes);
/* So many bytes of its memory can be used now, not less than before. */
void journal_widen(struct journal *j, size_t bytes);
/* Appends the records of another, for which there is room, and what it says of
 * when the file was written for them.  stamp: of the file, which it fits. */
void journal_copy(struct journal *j, const struct journal *from,
                  const struct file_stamp *stamp);

uint32_t journal_room(const struct journal *j);
uint32_t journal_used(const struct journal *j);
bool journal_empty(const struct journal *j);
/* There must be room. */
void journal_append(struct journal *j, struct journal_record rec);

/* What a journal is to say of its image is what `stamp` says. */
void journal_stamp(struct journal *j, const struct file_stamp *stamp);

/* Around I/O that changes the image's file, none of it past `end`.  begin
 * returns what end is to be given; wrote: bytes were changed, successfully, and
 * thereby the mtime.
 * Any thread. */
int64_t journal_begin(struct journal *j, uint64_t end);
void journal_end(struct journal *j, int64_t begun, bool wrote);

/* Does the image's file look as the journal's process left it?  Its name, owner
 * and mode may have changed. */
bool journal_fits(const struct journal *j, const struct file_stamp *now);

/* A position in the record stream; trim forgets what was appended before, and
 * returns how many records that were. */
uint64_t journal_mark(const struct journal *j);
uint32_t journal_trim(struct journal *j, uint64_t mark);

/* Calls back for each record, oldest first, until it returns not 0. */
int journal_each(const struct journal *j,
                 int (*each)(void *opaque, const struct journal_record *rec),
                 void *opaque);

#endif

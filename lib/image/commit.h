/* SPDX-License-Identifier: BSD-2-Clause */
/* commit.h: what of the metadata differs from the disk, and the commit that
 * orders it there.
 *
 * The dirty set has an entry for every block whose BAT entry or bitmap is newer
 * in memory than on disk.  A commit freezes it, so that blocks may change on
 * while their frozen state is being written, and goes
 *
 *   batmap  bits of it are cleared before they become untrue
 *   SYNC    everything that a BAT entry or a bit will make visible is durable
 *   bitmaps and BAT sectors, in any order
 *   SYNC    now it is visible
 *
 * With that it is over.  The slots that blocks left are nobody's now; to give
 * their space back is nobody's commit (reclaim.c).  A write with FUA to blocks
 * of which the disk knows all takes no commit either (change.c).
 *
 * A new block's entry may reach the disk without its bitmap: the slot came
 * clean, so its bits are zeros and its sectors read as they did without it, for
 * none of them has been flushed yet.
 *
 * One request at a time leads a commit; those that come meanwhile wait for the
 * next, or for this one where it covers them.  Before it begins, a leader steps
 * back once, as if it had been parked: those who are about to ask for the same,
 * as the rest of a client's batch, get on board.
 *
 * Invariants:
 *   1. A BAT entry is written only when its slot is durably clean but for
 *      durable data; a bit only when its sector's data are durable.
 *   2. A frozen value never includes what changed after the freeze.
 *   3. A slot is punched only when no durable BAT entry leads to it, and used
 *      again only when no request that began before can look at it.
 *   4. After a failed sync nothing more is promised: the image has failed. */
#ifndef IMAGE_COMMIT_H
#define IMAGE_COMMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"
#include "image/budget.h"
#include "image/waiters.h"
#include "vhdkit.h"

struct journal_record;
struct vhd_image;

enum dirty_flags {
  DIRTY_CURRENT = 1 << 0, /* changed since the last freeze */
  DIRTY_FROZEN = 1 << 1,  /* part of the commit under way */
  DIRTY_TWIN = 1 << 2,    /* frozen: its bitmap is to be written, from the
                           * twin */
  DIRTY_ONES = 1 << 3,    /* frozen: a bitmap of ones is to be written */
  DIRTY_UNSURE = 1 << 4,  /* a BAT write failed: the disk may have .frozen */
  DIRTY_BITMAP = 1 << 5,  /* current: the bitmap changed */
};

struct dirty {
  uint32_t blk;
  uint32_t disk;   /* the BAT entry on disk */
  uint32_t frozen; /* the one that the commit writes */
  uint8_t flags;
};

struct commit {
  struct dirty *dirty;      /* ndirty entries, then room */
  uint32_t *hash;           /* index + 1; 0 empty */
  uint32_t ndirty;
  uint32_t nrecords;        /* of the journal that have not been trimmed */
  struct budgets budgets;   /* of what changes take until a commit */
  struct vhd_request *leader;
  struct waiters waiting;   /* for the leader to end its commit */
  bool gathering;           /* the leader has not frozen yet */
  uint64_t started, ended;  /* commits so far; a commit's number is `started` */
  _Atomic uint64_t last_ok; /* number of the last that succeeded */
  int last_error;

  /* Of the commit under way. */
  uint32_t nfrozen;         /* dirty[0 .. nfrozen) may be frozen */
  uint32_t pending_mark;    /* slots retired before the freeze */
  uint64_t journal_mark;
  uint64_t seq;             /* write_seq at the freeze */
  bool metadata;            /* there is something frozen */

  uint64_t synced_seq;      /* write_seq that is durable */
  uint8_t *bat_sectors;     /* bitmap: sectors of the BAT to write */
  uint8_t *bat_buf;         /* COMMIT_BAT_SECTORS * 512 */
  uint8_t *ones;            /* a bitmap of ones */
  uint8_t *batmap_buf;      /* header and map, where the image has one */
  uint8_t *batmap;          /* Xen's map as it is to be; NULL */
  uint32_t batmap_bytes;
  bool batmap_dirty;
};

int commit_init(struct vhd_image *img);
void commit_destroy(struct commit *c);

/* From here on there may be changes: the image's journal, if it is to have one,
 * and its bitmap cache are what they will be.  One thread. */
void commit_begin(struct vhd_image *img);
/* What the journal's records up to a mark speak of is written down: they are
 * trimmed, and their room is given back.  There is a journal. */
void commit_trim(struct vhd_image *img, uint64_t mark);
/* Under lock.  Reserves what one change takes; else *lacking says of what there
 * is none. */
bool commit_reserve(struct vhd_image *img, const struct need *need,
                    enum budget_kind *lacking);
/* Under lock.  Records that block blk, whose entry was `before`, has changed,
 * its bitmap too where bitmap is set. */
void commit_note(struct vhd_image *img, uint32_t blk, uint32_t before,
                 bool bitmap);
/* The same where the block as it is lies elsewhere: what Xen's batmap says of
 * it stays true. */
void commit_note_moved(struct vhd_image *img, uint32_t blk, uint32_t before);
/* Under lock.  A block's entry in the dirty set, or NULL; it is taken out. */
struct dirty *commit_find(const struct commit *c, uint32_t blk);
void commit_forget(struct vhd_image *img, struct dirty *d);

/* What of the commit under way is to be written next, as I/Os of the leader's;
 * false: nothing more. */
bool metadata_batmap(struct vhd_request *req);
bool metadata_gather(struct vhd_request *req);
/* A BAT write that failed may have reached the disk in part. */
void metadata_unsure(struct vhd_image *img);

#endif

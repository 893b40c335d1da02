/* SPDX-License-Identifier: BSD-2-Clause */
/* bounds.h: how much of each thing an image keeps, so that its memory is
 * bounded whatever its clients do.
 *
 * VHDKIT_SMALL_BOUNDS makes each so small that a few requests reach it: for the
 * simulator (tests/sim), which proves what happens there.  Pure; any thread. */
#ifndef BASE_BOUNDS_H
#define BASE_BOUNDS_H

#ifdef VHDKIT_SMALL_BOUNDS
#define BOUND(normal, small) (small)
#else
#define BOUND(normal, small) (normal)
#endif

/* Blocks whose table entry or bitmap the disk does not have yet; a power of
 * two. */
#define DIRTY_MAX BOUND(8192, 8)
/* Sectors of the block table that one step of a commit writes. */
#define COMMIT_BAT_SECTORS BOUND(64, 1)
/* Slots that wait to be free; a power of two. */
#define SPACE_PENDING BOUND(16384, 4)
/* Slots whose space is given back at once: as many holes being punched hold up
 * the other I/Os of an image, but not all of it. */
#define RECLAIM_AT_ONCE BOUND(4, 2)
/* So many: then it is time for a commit. */
#define RETIRED_ENOUGH BOUND(1024, 3)
/* Blocks past the end of the disk that are kept one by one. */
#define SPARE_MAX BOUND(4U << 20, 2)
/* Bytes of the bitmap cache, and bitmaps that it holds at least. */
#define BITMAPS_BYTES BOUND(4U << 20, 1024)
#define BITMAPS_LEAST BOUND(64, 4)
/* Bytes of bitmaps that are kept of what a killed process left, of an image
 * that is only read: more than a live image lets be dirty. */
#define REPLAY_BITMAPS_BYTES BOUND(16U << 20, 4096)
/* Bytes of the log of a VHDX that is not empty, how often each may be summed in
 * the search for what counts of it, and changes in it. */
#define VHDX_LOG_BYTES (32U << 20)
#define VHDX_LOG_SUMS 4
#define VHDX_LOG_CHANGES 16384U
/* Records of the journal; and for how many it has memory until more come
 * between two commits, as happens to few of many images. */
#define JOURNAL_RECORDS BOUND(16384, 8)
#define JOURNAL_FIRST BOUND(1024, 8)
/* How far a layer with a parent looks ahead over blocks it does not have: the
 * parent may cut the range short, and looking again costs as much. */
#define LOOK_AHEAD BOUND(64, 2)
/* Layers and entries of tables that one step of a request looks at, and a few
 * more: then others have their turn. */
#define LOOKS_AT_ONCE BOUND(4096, 8)
/* How often the metadata of a file is read that others write meanwhile. */
#define TORN_TRIES 20
/* Pieces that a request gathers; at most half of VHD_REQUEST_IOS. */
#define REQUEST_PIECES BOUND(4, 2)

/* What can be reached, by name; first what budgets bound, in their order. */
#define BOUNDS(BOUND_ROW)                                                     \
  BOUND_ROW(DIRTY, "blocks whose metadata the disk lacks")                    \
  BOUND_ROW(BITMAPS, "bitmaps that the disk lacks")                           \
  BOUND_ROW(RECORDS, "records of the journal")                                \
  BOUND_ROW(SLOTS, "slots that wait to be free")                              \
  BOUND_ROW(CACHE, "bitmaps that are in use")                                 \
  BOUND_ROW(TABLE, "sectors of the table in one step")                        \
  BOUND_ROW(RETIRED, "slots that call for a commit")                          \
  BOUND_ROW(RECLAIM, "slots whose space is given back at once")               \
  BOUND_ROW(PIECES, "pieces of one request")                                  \
  BOUND_ROW(LOOKS, "what one step looks at")                                  \
  BOUND_ROW(SPARE, "blocks past the end, one by one")

enum bound {
#define BOUND_ROW(name, text) BOUND_##name,
  BOUNDS(BOUND_ROW)
#undef BOUND_ROW
  BOUND_COUNT
};

/* Notes that a bound was reached; costs nothing in a normal build. */
#ifdef VHDKIT_BREAKABLE
extern unsigned long bound_reached[BOUND_COUNT];
#define REACHED(bound) ((void)bound_reached[bound]++)
#else
#define REACHED(bound) ((void)(bound))
#endif

#endif

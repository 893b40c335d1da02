/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_salvage.h: what is left of a damaged image file: what layout_read()
 * would find if it did not stop at the first fault, and what each part of that
 * is worth.
 *
 * A part counts as good only by what it carries itself: a footer and a header
 * by their checksum.  The table has none; an entry of it is believed where it
 * leads into the file, to a place that no other part and no other block claims.
 * What was made up for the rest is a guess, and said to be one.  Only reads;
 * reads that fail are parts that are missing.  Blocks (I/O), one thread. */
#ifndef IMAGE_LAYOUT_SALVAGE_H
#define IMAGE_LAYOUT_SALVAGE_H

#include "base/progress.h"
#include "image/layout.h"

/* What is known of a block of the disk; kept in a byte. */
enum fate {
  FATE_UNUSED, /* its entry says that there is none */
  FATE_PLACED, /* lies where its entry says, and nothing else does */
  FATE_SHARED, /* another claims part of that place, or a footer lies in it */
  FATE_FOUND,  /* its entry is lost; by its place in the file, it is that one */
  FATE_CUT,    /* its entry leads beyond the end of a file that was cut */
  FATE_LOST,   /* its entry is lost, or leads where no block can be */
  FATE_COUNT
};

struct salvage {
  /* Type and size are set.  Of an image with blocks also .header, .nblk and
   * what follows from them; .bat has the blocks of which anything is left, and
   * .slots is not kept. */
  struct layout layout;
  enum vhd_part end_footer, start_footer, header, table;
  bool sure;         /* what says which block lies where is proven */
  bool size_guessed;
  uint8_t *fate;     /* of each block; owned */
  uint32_t count[FATE_COUNT];
  uint32_t nstray;   /* blocks in the file that no entry leads to */
  bool leftovers;    /* they, or other data in space that nothing refers to */
};

/* sink hears of all that is wrong or guessed, and must have .keep_going.  0,
 * or -errno where the file is of another format, cannot be read at all, or the
 * progress canceled it; then *s is empty. */
int layout_salvage(struct vhd_file *file, struct layout_sink *sink,
                   struct progress *progress, struct salvage *s,
                   struct vhd_error *err);
void salvage_free(struct salvage *s);

/* For layout_salvage*.c alone. */
struct reader;
/* A bitmap of that many bytes, with a bit for each of spb sectors, that says of
 * all that they are there; creators fill the rest with ones or zeros. */
bool salvage_is_full(const uint8_t *bitmap, size_t len, uint32_t spb);
int salvage_header(struct reader *r, struct salvage *s);
int salvage_table(struct reader *r, struct salvage *s);
int salvage_strays(struct reader *r, struct salvage *s,
                   struct progress *progress);
/* Makes up a header from what looks like a block table.  1: did; 0: there is
 * nothing like one; -errno. */
int salvage_guess(struct reader *r, struct salvage *s, uint64_t off);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* check.h: what the parts of vhd_check() share.  One thread a check. */
#ifndef OPS_CHECK_H
#define OPS_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/progress.h"
#include "image/layout.h"
#include "store/file.h"
#include "vhdkit.h"

struct layer;

struct checker {
  struct layout_sink sink; /* first; checker_hear(), for layout_tell() */
  void (*found)(void *opaque, const struct vhd_finding *finding);
  void *opaque;
  struct vhd_check_result *result;
  /* The file that is being looked at. */
  const char *path;
  struct vhd_file *file;
  struct layout layout;
  struct layer *layer; /* the same, opened; NULL where that cannot be */
  unsigned nheard; /* what the reader itself found */
  struct progress progress; /* in bytes of disks, each file's its own */
};

/* Counts and tells of a finding in the file that is being looked at. */
void checker_tell(struct checker *c, enum vhd_severity severity, int code,
                  const char *message);
/* The same for the sink of a struct checker. */
void checker_hear(struct layout_sink *sink, enum vhd_severity severity,
                  int code, const char *message);

/* Takes over what the opened layer has from a journal that the file lacks.  0
 * or -errno with err set. */
int check_adopt_journal(struct checker *c, struct vhd_error *err);

/* Fills in the bitmap of a block, if it comes from the journal. */
bool check_journal_bits(struct checker *c, uint32_t blk, uint8_t *bits);

/* What the footer says that is odd. */
void check_footer(struct checker *c);

/* Space of the file that nothing refers to (dynamic and differencing). */
void check_space(struct checker *c);

/* Every bitmap, against the batmap and against what lies under it.  Reads much
 * of the file; 0 or -errno. */
int check_bitmaps(struct checker *c, struct vhd_error *err);

#endif

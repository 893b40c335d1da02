/* SPDX-License-Identifier: BSD-2-Clause */
/* simimage.h: images on simulated disks: making them, opening them.
 * One thread. */
#ifndef SIM_SIMIMAGE_H
#define SIM_SIMIMAGE_H

#include <stdint.h>

#include "image/open.h"
#include "simfile.h"

#define SIM_BLOCK 4096u
#define SIM_BLOCKS 12u
/* The last block is not whole. */
#define SIM_SECTORS (SIM_BLOCKS * SIM_BLOCK / 512 - 5)
#define SIM_SIZE ((uint64_t)SIM_SECTORS * 512)
/* Entries that a table longer than the disk has behind it. */
#define SIM_SPARE 4u
#define SIM_DEPTH 128u

enum sim_kind {
  SIM_DYNAMIC,      /* empty, as we create them */
  SIM_PARTIAL,      /* dynamic, some blocks with half of their bits set */
  SIM_CHILD,        /* empty, of a SIM_PARTIAL */
  SIM_CHILD_MIXED,  /* with blocks, half of their bits set */
  SIM_SHORT,        /* dynamic; the last block's space is cut where the disk
                     * ends, and lies in the midst */
  SIM_LONG_TABLE,   /* dynamic; the table has blocks behind the disk's end */
  SIM_DEEP,         /* with SIM_DEPTH ancestors */
  SIM_FIXED,
  SIM_KINDS
};

struct simimage {
  enum sim_kind kind;
  struct simfile *file;
  struct simfile *ancestor[SIM_DEPTH]; /* from the parent down */
  unsigned nancestor;
  uint64_t spare_off[SIM_SPARE]; /* blocks behind the disk's end */
  uint8_t *spare;                /* what they hold, and nobody may change */
};

extern const char *const sim_kind_name[];

struct simimage simimage_make(enum sim_kind kind, uint64_t (*random)(void));
void simimage_free(struct simimage *si);

/* Are the blocks that no request can reach as they were? */
bool simimage_spare_intact(const struct simimage *si,
                           const struct simfile *file);

/* Opens `file` (the image's, or what is left of it) with the image's ancestors.
 * journal: what lies in memory, or NULL.  Returns 0 or -errno. */
int simimage_open(const struct simimage *si, struct simfile *file,
                  bool readonly, struct journal *journal,
                  struct vhd_image **image, struct vhd_error *err);

#endif

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
#define SIM_SECTORS (SIM_BLOCKS * SIM_BLOCK / 512)
#define SIM_SIZE ((uint64_t)SIM_BLOCKS * SIM_BLOCK)

enum sim_kind {
  SIM_DYNAMIC,      /* empty, as we create them */
  SIM_PARTIAL,      /* dynamic, some blocks with half of their bits set */
  SIM_CHILD,        /* empty, of a SIM_PARTIAL */
  SIM_CHILD_MIXED,  /* with blocks, half of their bits set */
  SIM_FIXED,
  SIM_KINDS
};

struct simimage {
  enum sim_kind kind;
  struct simfile *file;
  struct simfile *parent;      /* NULL */
};

extern const char *const sim_kind_name[];

struct simimage simimage_make(enum sim_kind kind, uint64_t (*random)(void));
void simimage_free(struct simimage *si);

/* Opens `file` (the image's, or what is left of it) with the image's parent.
 * journal: what lies in memory, or NULL.  Returns 0 or -errno. */
int simimage_open(const struct simimage *si, struct simfile *file,
                  bool readonly, struct journal *journal,
                  struct vhd_image **image, struct vhd_error *err);

#endif

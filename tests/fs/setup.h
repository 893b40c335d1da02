/* SPDX-License-Identifier: BSD-2-Clause */
/* setup.h: the images that the tests of faults begin with, each made once and
 * then kept in memory, with what is known of it.  One thread. */
#ifndef TESTS_FS_SETUP_H
#define TESTS_FS_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "disk.h"

#define BLOCK (32U << 10)
#define NBLK 24

struct setup {
  const char *name;
  enum vhd_type type;
  uint32_t sectors; /* of the disk */
  bool cut_short;   /* the file ends with the disk, within the last block */
  bool neighbour;   /* ... and another block follows it */
  /* Filled in by setup_make(). */
  uint8_t *file;
  size_t len;
  struct model *model;
};

extern struct setup setups[];
extern const unsigned nsetup;

/* Makes them all in this folder, where parents stay; the images go. */
void setup_make(const char *dir, const char *state);

/* The image anew at path, a new file, and m what is known of it. */
void setup_put(const struct setup *s, const char *path, struct model *m);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* parent_ref.h: what a new child records of its parent: id, time, name, and
 * the locators' paths.  Owns no resource; one thread. */
#ifndef OPS_PARENT_REF_H
#define OPS_PARENT_REF_H

#include <stdbool.h>
#include <stdint.h>

#include "format/header.h"
#include "format/locator.h"
#include "vhdkit.h"

struct newfile;

struct parent_path {
  uint32_t code; /* LOCATOR_NONE: not recorded */
  uint32_t len;
  uint32_t space;
  uint64_t off;  /* in the child; set by parent_ref_place() */
  uint8_t data[LOCATOR_MAX_LEN];
};

#define PARENT_REF_PATHS 3

/* What is recorded beside the absolute path. */
enum parent_ref_ways {
  REF_RELATIVE = 1 << 0,
  REF_URL = 1 << 1, /* relative, as Xen writes it */
};

/* All zero: no parent. */
struct parent_ref {
  uint8_t id[16];
  uint32_t timestamp;
  uint8_t name[HEADER_NAME_SIZE];
  struct parent_path path[PARENT_REF_PATHS];
};

/* Can a child be made of the image at `parent`, opened as info says?  Refuses
 * one of a format that no child of a VHD builds upon. */
int parent_ref_check(const char *parent, const struct vhd_info *info,
                     struct vhd_error *err);

/* For a child at `child` (which need not exist; its folder must) of the image
 * at `parent`, opened as info says.  Links are resolved: what is recorded names
 * the file that was looked at.  A path that could not be found again from what
 * would be recorded is refused.  ways: enum parent_ref_ways. */
int parent_ref_make(struct parent_ref *ref, const char *child,
                    const char *parent, const struct vhd_info *info,
                    unsigned ways, struct vhd_error *err);

/* Places the paths from off on, a multiple of 512; returns where they end. */
uint64_t parent_ref_place(struct parent_ref *ref, uint64_t off);

/* Fills the fields of the header that speak of the parent. */
void parent_ref_describe(const struct parent_ref *ref, struct header *header);

/* The same, but for the locators. */
void parent_ref_name(const struct parent_ref *ref, struct header *header);

int parent_ref_write(const struct parent_ref *ref, struct newfile *file,
                     struct vhd_error *err);

#endif

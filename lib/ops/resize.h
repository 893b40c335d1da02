/* SPDX-License-Identifier: BSD-2-Clause */
/* resize.h: what the two parts of vhd_resize() share: resize.c, which works on
 * the opened image, and resize_file.c, which works on its file.  One thread. */
#ifndef OPS_RESIZE_H
#define OPS_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/layout.h"
#include "ops/edit.h"
#include "vhdkit.h"

/* What a dynamic or differencing image needs for a size: the table, and behind
 * it Xen's batmap where it has one, whose place is there. */
struct table_plan {
  uint32_t entries;  /* of the table */
  uint64_t from;     /* here it ends now */
  uint64_t end;      /* here it is to end */
  uint32_t map_nsec; /* sectors of the batmap; 0: none, or it stays as it is */
  uint64_t way_end;  /* all up to here must be free for it */
};

void resize_plan_table(const struct layout *layout, uint64_t size,
                       struct table_plan *plan);

struct resize_file {
  const char *path;
  uint64_t size;  /* of the disk, new */
  bool full;      /* fixed: all new space is set aside */
  bool keep_time; /* the file's children are to see no change */
};

/* Changes headers, footers, table and length of the file, in which nothing is
 * in the way any more, wholly or not at all.  Takes edit over. */
int resize_change_file(struct edit *edit, const struct resize_file *change,
                       struct vhd_error *err);

#endif

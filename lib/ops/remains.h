/* SPDX-License-Identifier: BSD-2-Clause */
/* remains.h: a damaged image, opened to be looked at or rescued.  Owns its file
 * and what was read of it; one thread. */
#ifndef OPS_REMAINS_H
#define OPS_REMAINS_H

#include "base/progress.h"
#include "image/layout_salvage.h"
#include "vhdkit.h"

struct remains {
  struct layout_sink sink; /* first */
  const char *path;
  void (*found)(void *opaque, const struct vhd_finding *finding);
  void *opaque;
  struct vhd_file *file;
  struct salvage s;
  bool readable; /* .s is filled */
};

/* .path, .found and .opaque are set, all else is zero. */
int remains_open(struct remains *remains, const struct vhd_open_options *opt,
                 struct progress *progress, struct vhd_error *err);
void remains_close(struct remains *remains);
/* Tells of something else. */
void remains_tell(struct remains *remains, enum vhd_severity severity,
                  int code, const char *message);

#endif

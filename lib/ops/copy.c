/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.c: see copy.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ops/copy.h"
#include "ops/walk.h"

#define GRAIN 16384

int
copy_data(struct copy_target *to, const uint8_t *buf, size_t len,
          uint64_t off, struct vhd_error *err)
{
  while (len > 0) {
    bool zeros;
    const size_t n = data_stretch(buf, len, GRAIN, &zeros);
    int r = zeros ? 0 : to->write(to, buf, n, off, err);
    if (r < 0)
      return r;
    buf += n;
    off += n;
    len -= n;
  }
  return 0;
}

int
copy_disk(struct vhd_image *image, struct copy_target *to,
          struct progress *progress, struct vhd_error *err)
{
  CLEANUP_FREE uint8_t *buf = malloc(COPY_CHUNK);
  struct piece piece;
  struct walk w;
  int r;

  if (buf == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", progress->path);
  walk_begin(&w, image, vhd_size(image));
  for (;;) {
    /* Chunks end where those of the disk do, and so at ends of blocks. */
    r = walk_next(&w, COPY_CHUNK - w.at % COPY_CHUNK, &piece, err);
    if (r <= 0)
      return r;
    if (piece.file != NULL) {
      r = walk_read(&w, &piece, buf, err);
      if (r == 0)
        r = copy_data(to, buf, (size_t)piece.len, w.at - piece.len, err);
      if (r < 0)
        return r;
    }
    r = progress_add(progress, piece.len, err);
    if (r < 0)
      return r;
  }
}

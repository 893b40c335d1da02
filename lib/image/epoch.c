/* SPDX-License-Identifier: BSD-2-Clause */
/* epoch.c: pinning a request to the epoch in which it began; see image.h.  Any
 * thread, but for image_try_advance(). */
#include "config.h"

#include <assert.h>

#include "image/image.h"

uint32_t
image_pin(struct vhd_image *img)
{
  for (;;) {
    uint32_t epoch = atomic_load(&img->epoch);
    atomic_fetch_add(&img->inflight[epoch & 1], 1);
    if (atomic_load(&img->epoch) == epoch)
      return epoch;
    atomic_fetch_sub(&img->inflight[epoch & 1], 1);
  }
}

bool
image_unpin(struct vhd_image *img, uint32_t epoch)
{
  uint32_t before = atomic_fetch_sub(&img->inflight[epoch & 1], 1);

  assert(before > 0);
  return before == 1;
}

void
image_try_advance(struct vhd_image *img)
{
  uint32_t epoch = atomic_load(&img->epoch);

  if (atomic_load(&img->inflight[(epoch + 1) & 1]) == 0)
    atomic_store(&img->epoch, epoch + 1);
}

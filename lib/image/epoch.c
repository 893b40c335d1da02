/* SPDX-License-Identifier: BSD-2-Clause */
/* epoch.c: the epochs in which requests begin; see image.h, which has the
 * pinning, as each request pays for it. */
#include "config.h"

#include "image/image.h"

void
image_try_advance(struct vhd_image *img)
{
  uint32_t epoch = atomic_load(&img->epoch);

  if (atomic_load(&img->inflight[(epoch + 1) & 1]) == 0)
    atomic_store(&img->epoch, epoch + 1);
}

void
image_wake_epoch(struct vhd_image *img)
{
  pthread_mutex_lock(&img->top->lock);
  atomic_store(&img->epoch_awaited, false);
  struct vhd_request *woken = waiters_take(&img->epoch_waiting, NULL, NULL);
  pthread_mutex_unlock(&img->top->lock);
  waiters_wake(woken);
}

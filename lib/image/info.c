/* SPDX-License-Identifier: BSD-2-Clause */
/* info.c: telling what an opened image is. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "base/arith.h"
#include "format/geometry.h"
#include "format/guid.h"
#include "image/image.h"
#include "image/layout_vhdx.h"
#include "store/lock.h"

/* Four bytes of a file, for a person. */
static void
printable(const char *raw, char *text)
{
  for (int i = 0; i < 4; i++)
    text[i] = raw[i] >= 0x20 && raw[i] < 0x7f ? raw[i] : raw[i] ? '?' : ' ';
  text[4] = '\0';
  for (int i = 3; i >= 0 && text[i] == ' '; i--)
    text[i] = '\0';
}

static void
fill_sparse(struct vhd_image *img, struct vhd_info *info)
{
  const struct layer *top = img->top;
  const struct header *h = &top->header;

  info->block_size = 1U << top->block_shift;
  info->nblk = top->nblk;
  info->bat_entries = top->layout.vhdx ? top->nblk : h->max_table_entries;
  info->nblk_allocated = top->nallocated;
  info->aligned = top->layout.aligned;
  info->batmap = top->layout.has_batmap;
  if (top->type != VHD_DIFFERENCING)
    return;
  memcpy(info->parent_id,
         top->layout.vhdx ? top->layout.vhdx->link[0] : h->parent_id,
         sizeof info->parent_id);
  layer_parent_id_text(top, info->parent_id_text);
  if (h->parent_timestamp)
    info->parent_timestamp = (int64_t)h->parent_timestamp + VHD_EPOCH;
}

static void
fill_vhd(struct vhd_image *img, struct vhd_info *info)
{
  const struct footer *f = &img->top->footer;
  struct geometry g = { f->cylinders, f->heads, f->sectors };

  info->original_size = f->original_size;
  info->geometry_size = geometry_size(g);
  info->cylinders = g.cylinders;
  info->heads = g.heads;
  info->sectors_per_track = g.sectors;
  memcpy(info->id, f->id, sizeof info->id);
  info->id_little_endian = guid_text(f->id, info->id_text);
  printable(f->creator, info->creator);
  printable(f->creator_os, info->creator_os);
  info->creator_version = f->creator_version;
  info->features = f->features;
  if (f->type)
    info->timestamp = (int64_t)f->timestamp + VHD_EPOCH;
  info->saved_state = f->saved_state;
  info->sector_size = VHD_SECTOR_SIZE;
}

static void
fill_vhdx(struct vhd_image *img, struct vhd_info *info)
{
  const struct layout_vhdx *x = img->top->layout.vhdx;

  info->original_size = info->size;
  memcpy(info->id, x->data_id, sizeof info->id);
  layer_id_text(img->top, info->id_text);
  info->id_little_endian = true;
  guid_text_windows(x->disk_id, info->disk_id_text);
  info->sector_size = x->sector_size;
  info->physical_sector_size = x->physical_sector_size;
}

/* Up to here a layer has something, as far as its table shows. */
static uint64_t
end_of(struct layer *l)
{
  if (l->fixed)
    return l->size;
  pthread_mutex_lock(&l->lock);
  const uint32_t end = bat_end(&l->bat, l->nblk);
  pthread_mutex_unlock(&l->lock);
  return MIN((uint64_t)end << l->block_shift, l->size);
}

/* A layer shows through those above it up to where they end. */
static void
fill_chain(struct vhd_image *img, struct vhd_info *info)
{
  const uint32_t epoch = image_pin(img);
  const struct layers *layers = atomic_load(&img->layers);
  uint64_t most = 512, size = layers->size;

  for (unsigned i = 0; i < layers->n; i++) {
    size = MIN(size, layers->layer[i]->size);
    most = MAX(most, MIN(end_of(layers->layer[i]), size));
  }
  info->depth = layers->n - 1;
  info->minimum_size = img->orphan ? 0 : most;
  image_unpin(img, epoch);
}

void
vhd_get_info(struct vhd_image *img, struct vhd_info *info)
{
  memset(info, 0, sizeof *info);
  info->path = img->top->path;
  info->parent_name = img->top->parent_name;
  info->format = img->top->format;
  info->type = img->top->type;
  info->size = vhd_size(img);
  info->file_size = img->top->layout.file_size;
  if (info->format == VHD_FORMAT_VHDX)
    fill_vhdx(img, info);
  else
    fill_vhd(img, info);
  info->read_only = !img->writable;
  info->aligned = true;
  fill_chain(img, info);
  info->device = img->top->file->dev;
  info->inode = img->top->file->ino;
  if (file_allocated(img->top->file, &info->actual_size) < 0)
    info->actual_size = 0;
  if (img->top->file->fd >= 0)
    info->held = lock_look(img->top->file->fd);
  if (!img->top->fixed)
    fill_sparse(img, info);
}

uint64_t
vhd_size(const struct vhd_image *img)
{
  return atomic_load(&img->size);
}

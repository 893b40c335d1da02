/* SPDX-License-Identifier: BSD-2-Clause */
/* layer.c: see layer.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/error.h"
#include "base/table.h"
#include "base/utf.h"
#include "format/guid.h"
#include "image/layer.h"
#include "image/layout_vhdx.h"
#include "image/request.h"
#include "image/shared.h"

/* --------------------------------------------------------- coming and going */

void
layer_warn(struct layer *l, const char *text)
{
  if (l->nwarning < LAYER_WARNINGS &&
      (l->warning[l->nwarning] = strdup(text)) != NULL)
    l->nwarning++;
}

struct warning_sink {
  struct layout_sink sink;
  struct layer *layer;
};

static void
collect_warning(struct layout_sink *sink, enum vhd_severity severity, int code,
                const char *message)
{
  struct warning_sink *w = (struct warning_sink *)sink;

  (void)severity;
  (void)code;
  layer_warn(w->layer, message);
}

/* UTF-16 takes at most 3 bytes of UTF-8 for each of its 2. */
#define NAME_UTF8 (HEADER_NAME_SIZE / 2 * 3 + 1)

/* The name of the parent that the child stores, malloc()ed. */
static char *
stored_name(const struct header *header)
{
  char name[NAME_UTF8];

  utf16_decode(header->parent_name, HEADER_NAME_SIZE, true, name, sizeof name);
  return strdup(name);
}

static void
fill_from_vhd(struct layer *l)
{
  const struct layout *layout = &l->layout;

  l->footer = layout->footer;
  l->type = l->footer.type ? (enum vhd_type)l->footer.type : VHD_RAW;
  l->fixed = l->type == VHD_FIXED || l->type == VHD_RAW;
  if (l->fixed)
    return;
  l->header = layout->header;
  l->block_shift = (unsigned)__builtin_ctz(layout->header.block_size);
  l->slot_shift = l->sector_shift = 9;
}

static void
fill_from_vhdx(struct layer *l)
{
  const struct layout_vhdx *x = l->layout.vhdx;

  l->format = VHD_FORMAT_VHDX;
  l->type = x->type;
  l->block_shift = (unsigned)__builtin_ctz(x->block_size);
  l->slot_shift = VHDX_UNIT_SHIFT;
  l->sector_shift = (unsigned)__builtin_ctz(x->sector_size);
}

static void
fill_from_layout(struct layer *l)
{
  const struct layout *layout = &l->layout;

  l->size = layout->disk_size;
  l->bytes = layout_bytes(&l->layout, l->file);
  if (layout->vhdx)
    fill_from_vhdx(l);
  else
    fill_from_vhd(l);
  if (l->fixed)
    return;
  l->nblk = layout->nblk;
  l->spb = layout->spb;
  l->bitmap_sec = layout->bitmap_sec;
  l->nspare = layout->nspare;
  /* With blocks behind it, the disk was longer once, and so was its last. */
  l->own_size = layout->beyond ? (uint64_t)l->nblk << l->block_shift
                              : layout->own_size;
}

static void
forget_warnings(struct layer *l)
{
  while (l->nwarning > 0)
    free(l->warning[--l->nwarning]);
}

/* Of a file that another program writes to meanwhile, parts may be read that do
 * not fit together; the next time they do. */
static int
read_layout(struct layer *l, uint32_t flags, bool vhdx, struct vhd_error *err)
{
  struct warning_sink w = { { collect_warning, false }, l };
  unsigned tries = flags & VHD_OPEN_UNLOCKED ? TORN_TRIES : 1;
  int e;

  do {
    forget_warnings(l);
    e = vhdx ? layout_vhdx_read(l->file, &w.sink, &l->layout, err)
        : flags & LAYER_HEAD
          ? layout_read_head(l->file, &w.sink, &l->layout, err)
          : layout_read(l->file, flags, &w.sink, &l->layout, err);
  } while (e < 0 && --tries > 0);
  return e;
}

static int
read_any_layout(struct layer *l, uint32_t flags, enum layer_formats formats,
                struct vhd_error *err)
{
  enum vhd_format format =
    formats == LAYER_VHDX ? VHD_FORMAT_VHDX : VHD_FORMAT_VHD;

  if (flags & VHD_OPEN_RAW)
    return layout_read_raw(l->file, &l->layout, err);
  int e = formats == LAYER_ANY ? layout_format(l->file, &format, err) : 0;
  if (e < 0)
    return e;
  if (format == VHD_FORMAT_VHDX && !(flags & VHD_OPEN_READONLY))
    return vhd_fail(err, VHD_READ_ONLY, EROFS,
                    "%s: this is a VHDX image, which can only be read here; to "
                    "write to its disk, convert it to a VHD", l->path);
  return read_layout(l, flags, format == VHD_FORMAT_VHDX, err);
}

static char *
name_of_parent(const struct layer *l)
{
  const struct layout_vhdx *x = l->layout.vhdx;

  if (l->type != VHD_DIFFERENCING)
    return strdup("");
  return x ? strdup(x->parent_name ? x->parent_name : "")
           : stored_name(&l->header);
}

static int
take_layout(struct layer *l, struct vhd_error *err)
{
  fill_from_layout(l);
  l->parent_name = name_of_parent(l);
  return l->parent_name ? 0 : vhd_fail_sys(err, ENOMEM, "%s", l->path);
}

static int
read_layer(struct layer *l, uint32_t flags, enum layer_formats formats,
           struct vhd_error *err)
{
  if (file_stamp(l->file, &l->stamp) < 0)
    l->stamp = (struct file_stamp){ 0 };
  int e = read_any_layout(l, flags, formats, err);
  return e < 0 ? e : take_layout(l, err);
}

/* Takes the file over, also on failure. */
static struct layer *
layer_alloc(struct vhd_file *file, struct vhd_error *err)
{
  struct layer *l = calloc(1, sizeof *l);

  if (!l) {
    file_close(file);
    vhd_fail_sys(err, ENOMEM, "layer");
    return NULL;
  }
  pthread_mutex_init(&l->lock, NULL);
  atomic_init(&l->refs, 1);
  l->file = file;
  l->path = file->path;
  return l;
}

int
layer_new(struct vhd_file *file, uint32_t flags, enum layer_formats formats,
          struct layer **layer, struct vhd_error *err)
{
  struct layer *l = layer_alloc(file, err);

  if (!l)
    return -ENOMEM;
  int e = read_layer(l, flags, formats, err);
  if (e < 0)
    layer_unref(l);
  else
    *layer = l;
  return e;
}

int
layer_of_child(struct vhd_file *file, const struct layout *layout,
               struct layer **layer, struct vhd_error *err)
{
  struct layer *l = layer_alloc(file, err);

  if (!l)
    return -ENOMEM;
  l->layout = *layout;
  l->layout.bat = (struct bat){ 0 };
  l->layout.slots = (struct slots){ 0 };
  l->layout.batmap_bits = NULL;
  int e = take_layout(l, err);
  if (e < 0)
    layer_unref(l);
  else
    *layer = l;
  return e;
}

/* As one I/O reads it. */
static uint32_t
layer_bitmap_bytes(const struct layer *l)
{
  return l->format == VHD_FORMAT_VHDX ? l->spb / 8 : l->bitmap_sec * 512;
}

uint64_t
layer_bitmap_off(const struct layer *l, uint32_t blk, uint32_t slot)
{
  const struct layout_vhdx *x = l->layout.vhdx;

  if (!x)
    return (uint64_t)slot * 512;
  return (uint64_t)x->chunk[blk / x->chunk_blocks] * VHDX_UNIT +
         (uint64_t)(blk % x->chunk_blocks) * (l->spb / 8);
}

int
layer_make_table(struct layer *l, bool writable)
{
  if (l->fixed)
    return 0;
  l->bat = l->layout.bat;
  l->layout.bat = (struct bat){ 0 };
  l->nallocated = l->layout.nallocated;
  if (l->layout.vhdx) {
    l->state = (_Atomic uint8_t *)l->layout.vhdx->state;
    l->layout.vhdx->state = NULL;
  } else {
    l->state = table_zeroed(l->nblk, sizeof *l->state);
  }
  if (!l->state)
    return -ENOMEM;
  return bitmaps_init(&l->bitmaps, l->nblk, layer_bitmap_bytes(l), writable);
}

struct layer *
layer_find(struct vhd_file *file, uint32_t flags, const char *journal_dir)
{
  struct shared_key key = {
    flags, journal_dir ? (char *)(uintptr_t)journal_dir : (char[]){ "" },
  };
  struct file_stamp stamp;

  return file_stamp(file, &stamp) < 0 ? NULL : shared_find(file, &stamp, &key);
}

void
layer_share(struct layer **layer, uint32_t flags, const char *journal_dir)
{
  struct layer *l = *layer;

  if (l->shared || l->stamp.ctime == 0)
    return;
  l->key.flags = flags;
  l->key.journal_dir = strdup(journal_dir ? journal_dir : "");
  if (!l->key.journal_dir)
    return; /* it is as good unshared */
  *layer = shared_add(l);
  if (*layer != l)
    layer_unref(l);
}

struct layer *
layer_ref(struct layer *l)
{
  atomic_fetch_add(&l->refs, 1);
  return l;
}

void
layer_unref(struct layer *l)
{
  if (!l)
    return;
  if (l->shared ? !shared_unref(l) : atomic_fetch_sub(&l->refs, 1) > 1)
    return;
  free(l->key.journal_dir);
  layout_free(&l->layout);
  bitmaps_destroy(&l->bitmaps);
  bat_free(&l->bat);
  table_free((void *)l->state, l->nblk, sizeof *l->state);
  free(l->parent_name);
  forget_warnings(l);
  pthread_mutex_destroy(&l->lock);
  file_close(l->file);
  free(l);
}

/* ------------------------------------------------------------------ parents */

bool
layer_is_parent(const struct layer *child, const struct layer *l)
{
  const struct layout_vhdx *x = child->layout.vhdx;

  if (child->format != l->format)
    return false;
  if (!x)
    return memcmp(l->footer.id, child->header.parent_id, 16) == 0;
  for (unsigned i = 0; i < x->nlink; i++)
    if (memcmp(x->link[i], l->layout.vhdx->data_id, 16) == 0)
      return true;
  return false;
}

void
layer_id_text(const struct layer *l, char *text)
{
  if (l->layout.vhdx)
    guid_text_windows(l->layout.vhdx->data_id, text);
  else
    guid_text(l->footer.id, text);
}

void
layer_parent_id_text(const struct layer *l, char *text)
{
  if (l->layout.vhdx)
    guid_text_windows(l->layout.vhdx->link[0], text);
  else
    guid_text(l->header.parent_id, text);
}

/* ------------------------------------------------------------- block table */

/* A lockless reader sees a block's entry and state as they were together: the
 * sequence is odd while they change.  The stores between are releases, so none
 * can be seen before the odd value. */
static uint32_t
table_open(struct layer *l)
{
  uint32_t seq = atomic_load_explicit(&l->table_seq, memory_order_relaxed);

  atomic_store_explicit(&l->table_seq, seq + 1, memory_order_relaxed);
  return seq + 2;
}

static void
table_close(struct layer *l, uint32_t seq)
{
  atomic_store_explicit(&l->table_seq, seq, memory_order_release);
}

void
layer_set_block(struct layer *l, uint32_t blk, uint32_t slot,
                enum summary summary)
{
  uint8_t state = (l->state[blk] & ~BITS_MASK) | summary;
  bool had = layer_slot(l, blk) != NO_SLOT, has = slot != NO_SLOT;
  uint32_t seq = table_open(l);

  bat_set(&l->bat, blk, slot);
  atomic_store_explicit(&l->state[blk], state, memory_order_release);
  table_close(l, seq);
  l->nallocated += (uint32_t)has - had;
}

void
layer_set_flags(struct layer *l, uint32_t blk, uint8_t set, uint8_t clear)
{
  uint8_t state = (l->state[blk] & ~clear) | set;

  atomic_store_explicit(&l->state[blk], state, memory_order_release);
}

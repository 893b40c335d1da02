/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: see image.h. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/image.h"

/* --------------------------------------------------------- coming and going */

static struct layers *
layers_alloc(unsigned n)
{
  struct layers *layers;

  layers = malloc(sizeof *layers + n * sizeof layers->layer[0]);
  if (layers)
    layers->n = n;
  return layers;
}

static void
layers_free(struct layers *layers)
{
  for (unsigned i = 0; layers && i < layers->n; i++)
    layer_unref(layers->layer[i]);
  free(layers);
}

/* An image of these layers, which it takes over, also on failure. */
static struct vhd_image *
image_of(struct layers *layers)
{
  struct vhd_image *img = calloc(1, sizeof *img);

  if (!img) {
    layers_free(layers);
    return NULL;
  }
  img->layers = layers;
  img->top = layers->layer[0];
  img->epoch = 2;
  return img;
}

int
image_new(struct vhd_file *file, uint32_t flags, struct vhd_image **image,
          struct vhd_error *err)
{
  struct layers *layers = layers_alloc(1);

  if (!layers) {
    file_close(file);
    return vhd_fail_sys(err, ENOMEM, "image");
  }
  int e = layer_new(file, flags, &layers->layer[0], err);
  if (e < 0) {
    free(layers);
    return e;
  }
  *image = image_of(layers);
  if (!*image)
    return vhd_fail_sys(err, ENOMEM, "image");
  (*image)->writable = !(flags & VHD_OPEN_READONLY);
  (*image)->orphan = (*image)->top->footer.type == VHD_DIFFERENCING;
  return 0;
}

int
image_set_parent(struct vhd_image *img, struct vhd_image *parent)
{
  struct layers *layers = layers_alloc(1 + parent->layers->n);

  if (layers) {
    layers->layer[0] = layer_ref(img->top);
    for (unsigned i = 0; i < parent->layers->n; i++)
      layers->layer[1 + i] = layer_ref(parent->layers->layer[i]);
    layers_free(img->layers);
    img->layers = layers;
    img->orphan = false;
  }
  image_free(parent);
  return layers ? 0 : -ENOMEM;
}

struct vhd_image *
vhd_parent(struct vhd_image *img)
{
  struct vhd_image *parent = atomic_load(&img->parent), *other = NULL;

  if (parent || !image_is_child(img))
    return parent;
  struct layers *layers = layers_alloc(img->layers->n - 1);
  if (!layers)
    return NULL;
  for (unsigned i = 0; i < layers->n; i++)
    layers->layer[i] = layer_ref(img->layers->layer[1 + i]);
  parent = image_of(layers);
  if (!parent || atomic_compare_exchange_strong(&img->parent, &other, parent))
    return parent;
  image_free(parent); /* another thread was quicker */
  return other;
}

void
image_free(struct vhd_image *img)
{
  while (img) {
    struct vhd_image *parent = img->parent;
    space_destroy(&img->space);
    commit_destroy(&img->commit);
    journal_file_close(&img->journal_file, false);
    layers_free(img->layers);
    free(img);
    img = parent;
  }
}

/* ------------------------------------------------------------------ epochs */

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

void
image_unpin(struct vhd_image *img, uint32_t epoch)
{
  uint32_t before = atomic_fetch_sub(&img->inflight[epoch & 1], 1);

  assert(before > 0);
}

void
image_try_advance(struct vhd_image *img)
{
  uint32_t epoch = atomic_load(&img->epoch);

  if (atomic_load(&img->inflight[(epoch + 1) & 1]) == 0)
    atomic_store(&img->epoch, epoch + 1);
}

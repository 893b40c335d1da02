/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: see image.h. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/image.h"

/* --------------------------------------------------------- coming and going */

/* n layers, each of which is yet to be set. */
static struct layers *
layers_alloc(unsigned n)
{
  struct layers *layers;

  layers = malloc(sizeof *layers + n * sizeof layers->layer[0]);
  if (layers)
    *layers = (struct layers){ .n = n };
  return layers;
}

static void
layers_free(struct layers *layers)
{
  for (unsigned i = 0; layers && i < layers->n; i++)
    layer_unref(layers->layer[i]);
  free(layers);
}

static void
set_layers(struct vhd_image *img, struct layers *layers)
{
  layers->size = layers->layer[0]->size;
  atomic_store(&img->layers, layers);
  atomic_store(&img->size, layers->size);
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
  set_layers(img, layers);
  img->top = layers->layer[0];
  img->child = layers->n > 1;
  img->epoch = 2;
  return img;
}

struct vhd_image *
image_of_layer(struct layer *top, bool writable)
{
  struct layers *layers = layers_alloc(1);

  if (!layers) {
    layer_unref(top);
    return NULL;
  }
  layers->layer[0] = top;
  struct vhd_image *img = image_of(layers);
  if (!img)
    return NULL;
  img->writable = writable;
  img->orphan = img->top->type == VHD_DIFFERENCING;
  return img;
}

int
image_new(struct vhd_file *file, uint32_t flags, struct vhd_image **image,
          struct vhd_error *err)
{
  struct layer *layer;

  int e = layer_new(file, flags, LAYER_ANY, &layer, err);
  if (e < 0)
    return e;
  *image = image_of_layer(layer, !(flags & VHD_OPEN_READONLY));
  return *image ? 0 : vhd_fail_sys(err, ENOMEM, "image");
}

int
image_set_parent(struct vhd_image *img, struct vhd_image *parent)
{
  struct layers *below = atomic_load(&parent->layers);

  int e = image_exchange(img, below->layer, below->n);
  image_free(parent);
  return e;
}

struct vhd_image *
vhd_parent(struct vhd_image *img)
{
  struct vhd_image *parent = atomic_load(&img->parent), *other = NULL;

  if (parent || !image_is_child(img))
    return parent;
  uint32_t epoch = image_pin(img);
  struct layers *from = atomic_load(&img->layers);
  struct layers *layers = layers_alloc(from->n - 1);
  for (unsigned i = 0; layers && i < layers->n; i++)
    layers->layer[i] = layer_ref(from->layer[1 + i]);
  image_unpin(img, epoch);
  parent = layers ? image_of(layers) : NULL;
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
    journal_file_close(&img->journal_file, img->top->file, false);
    for (struct layers *next, *l = img->retired; l; l = next) {
      next = l->next;
      layers_free(l);
    }
    layers_free(img->layers);
    free(img);
    img = parent;
  }
}

/* ----------------------------------------------------------------- exchange */

int
image_exchange(struct vhd_image *img, struct layer *const *lower, unsigned n)
{
  struct layers *layers = layers_alloc(1 + n);

  if (!layers)
    return -ENOMEM;
  assert(n > 0 || !img->child);
  layers->layer[0] = layer_ref(img->top);
  for (unsigned i = 0; i < n; i++)
    layers->layer[1 + i] = layer_ref(lower[i]);
  pthread_mutex_lock(&img->top->lock);
  struct layers *old = atomic_load(&img->layers);
  set_layers(img, layers);
  old->epoch = atomic_load(&img->epoch);
  old->next = img->retired;
  img->retired = old;
  if (!img->child && n > 0) { /* it is being opened: nobody looks yet */
    img->child = true;
    img->orphan = false;
  }
  pthread_mutex_unlock(&img->top->lock);
  image_settle(img);
  return 0;
}

bool
image_settle(struct vhd_image *img)
{
  struct layers **link = &img->retired, *old = NULL, *next;

  pthread_mutex_lock(&img->top->lock);
  for (int i = 0; i < 2 && *link; i++)
    image_try_advance(img);
  while ((next = *link) != NULL) {
    if ((int32_t)(atomic_load(&img->epoch) - next->epoch) < 2 ||
        atomic_load(&next->holds) > 0) {
      link = &next->next;
      continue;
    }
    *link = next->next;
    next->next = old;
    old = next;
  }
  bool none = img->retired == NULL;
  pthread_mutex_unlock(&img->top->lock);
  for (; old; old = next) {
    next = old->next;
    layers_free(old);
  }
  return none;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* settle.c: see settle.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "image/image.h"
#include "image/open.h"
#include "ops/inplace.h"
#include "ops/settle.h"

int
settle_image(const char *path, const struct vhd_open_options *opt,
             struct vhd_error *err)
{
  struct vhd_error why = { 0 };
  struct inplace in = { 0 };

  int r = image_open_alone(path, opt, &in.image, &why);
  if (r == 0) {
    inplace_take_stamp(&in);
    inplace_keep_time(&in);
    r = inplace_close(&in, 0, true, &why);
  }
  return r < 0 ? vhd_fail(err, why.code, -r,
                          "%s: a killed program left changes of it in memory "
                          "alone, and they cannot be written down: %s", path,
                          why.message) : 0;
}

static const struct layer *
find_journaled(const struct vhd_image *image)
{
  const struct layers *layers = atomic_load(&image->layers);

  for (unsigned i = 0; i < layers->n; i++)
    if (layers->layer[i]->journaled)
      return layers->layer[i];
  return NULL;
}

int
settle_open_parent(const char *path, const struct vhd_open_options *opt,
                   struct vhd_image **parent, struct vhd_error *err)
{
  struct vhd_open_options open = *opt;
  const struct layer *layer;

  open.flags |= VHD_OPEN_READONLY;
  int r = vhd_open(path, &open, parent, err);
  while (r == 0 && (layer = find_journaled(*parent)) != NULL) {
    CLEANUP_FREE char *name = strdup(layer->path);
    vhd_close(*parent, NULL);
    *parent = NULL;
    r = name ? settle_image(name, &open, err)
             : vhd_fail_sys(err, ENOMEM, "%s", path);
    if (r == 0)
      r = vhd_open(path, &open, parent, err);
  }
  return r;
}

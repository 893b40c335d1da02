/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: see image.h. */
#include "config.h"

#include <errno.h>
#include <stdint.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "exports.h"
#include "image.h"
#include "roots.h"

void
image_tell(const struct vhd_error *err)
{
  nbdkit_error("%s", err->message);
  nbdkit_set_error(err->code == VHD_BUSY ? EBUSY
                   : err->sys ? err->sys : EINVAL);
}

static int
warn_of_child(void *opaque, const char *child)
{
  nbdkit_error("warning: '%s' is the parent of '%s', which is damaged by any "
               "change to it", (const char *)opaque, child);
  return 1; /* one is enough */
}

/* What opening noticed, of the image and of all that it stands on: who does
 * not debug must hear of it too, and of nbdkit's messages that is an error. */
static void
tell_warnings(struct vhd_image *image)
{
  for (; image; image = vhd_parent(image)) {
    struct vhd_info info;
    const char *warning;
    vhd_get_info(image, &info);
    for (unsigned i = 0; (warning = vhd_warning(image, i)) != NULL; i++)
      nbdkit_error("warning: %s: %s", info.path, warning);
  }
}

bool
image_find_roots(struct roots *roots, const char *path, const char *base)
{
  return roots_find(roots, path, base, (const char *const *)params.roots,
                    params.nroots);
}

void
image_no_memory(struct vhd_error *err)
{
  *err = (struct vhd_error){ .code = VHD_SYSTEM, .sys = ENOMEM,
                             .message = "out of memory" };
}

struct vhd_image *
image_open_with(const char *path, const char *base, uint32_t flags,
          struct vhd_error *err)
{
  struct vhd_image *image = NULL;
  struct roots roots;

  if (!image_find_roots(&roots, path, base)) {
    image_no_memory(err);
    return NULL;
  }
  const struct vhd_open_options opt = {
    .flags = flags | (params.size_chs ? VHD_OPEN_SIZE_CHS : 0),
    .roots = roots.path,
    .nroots = roots.n,
  };
  if (vhd_open(path, &opt, &image, err) < 0)
    image = NULL;
  roots_free(&roots);
  return image;
}

bool
image_is_read_only(struct vhd_image *image)
{
  struct vhd_info info;

  vhd_get_info(image, &info);
  return info.read_only;
}

struct vhd_image *
image_open(const char *path, const char *base, bool readonly)
{
  struct vhd_error err;
  struct vhd_image *image =
    image_open_with(path, base, readonly ? VHD_OPEN_READONLY : 0, &err);

  if (!image && !readonly && err.code == VHD_READ_ONLY) {
    nbdkit_debug("%s; serving it read-only", err.message);
    image = image_open_with(path, base, VHD_OPEN_READONLY, &err);
  }
  if (!image)
    image_tell(&err);
  tell_warnings(image);
  if (image && !readonly && !params.dir && !image_is_read_only(image))
    vhd_find_children(image, NULL, VHD_FIND_LIMIT, warn_of_child,
                      (void *)(uintptr_t)path);
  return image;
}

void
image_close(struct vhd_image *image)
{
  struct vhd_error err;

  if (image && vhd_close(image, &err) < 0)
    nbdkit_error("%s", err.message);
}

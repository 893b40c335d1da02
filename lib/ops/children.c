/* SPDX-License-Identifier: BSD-2-Clause */
/* children.c: finding an image's children among the files of a folder.
 *
 * A parent does not know of its children, so files are looked at: each one's
 * footer and header, no more, without a lock.  What cannot be read is nobody's
 * child.  Blocks; any thread. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/image.h"
#include "ops/children.h"
#include "store/folder.h"
#include "store/local.h"

struct search {
  const uint8_t *id; /* of the parent */
  int (*found)(void *opaque, const char *path);
  void *opaque;
};

static int
read_at(struct vhd_file *file, uint64_t off, struct footer *footer)
{
  uint8_t buf[FOOTER_SIZE];

  int r = file_read(file, buf, sizeof buf, off);
  return r < 0 ? r : footer_parse(buf, file->path, "footer", footer, NULL);
}

/* The footer at the end, or else its copy. */
static int
read_footer(struct vhd_file *file, struct footer *footer)
{
  uint64_t size;

  int r = file_size(file, &size);
  if (r < 0 || size < FOOTER_SIZE)
    return -ENOENT;
  if (read_at(file, size - FOOTER_SIZE, footer) == 0)
    return 0;
  r = read_at(file, 0, footer);
  return r == 0 && footer->type == VHD_FIXED ? -ENOENT : r;
}

static bool
is_child(struct vhd_file *file, const uint8_t *id)
{
  uint8_t buf[HEADER_SIZE];
  struct footer footer;
  struct header header;

  return read_footer(file, &footer) == 0 &&
         footer.type == VHD_DIFFERENCING &&
         file_read(file, buf, sizeof buf, footer.data_offset) == 0 &&
         header_parse(buf, file->path, footer.current_size, &header,
                      NULL) == 0 &&
         memcmp(header.parent_id, id, sizeof header.parent_id) == 0;
}

static int
look(void *opaque, const char *path)
{
  const struct search *search = opaque;
  struct vhd_file *file;

  if (local_open(path, LOCAL_UNLOCKED, &file, NULL) < 0)
    return 0;
  bool child = is_child(file, search->id);
  file_close(file);
  return child ? search->found(search->opaque, path) : 0;
}

int
vhd_find_children(const struct vhd_image *image, const char *folder,
                  unsigned limit, int (*found)(void *opaque, const char *path),
                  void *opaque)
{
  const struct layer *top = image->top;
  CLEANUP_FREE char *own = folder == NULL ? folder_of(top->path) : NULL;
  struct search search = { top->footer.id, found, opaque };

  if (folder == NULL && own == NULL)
    return -ENOMEM;
  if (top->footer.type == 0)
    return 0; /* a raw file has no id */
  return folder_each(folder != NULL ? folder : own, limit, look, &search);
}

static int
refuse(void *opaque, const char *path)
{
  return vhd_fail(opaque, VHD_STATE, EBUSY,
                  "it is the parent of '%s', which would be lost with it; "
                  "remove that first", path);
}

int
children_refuse_loss(struct vhd_file *file, struct vhd_error *err)
{
  CLEANUP_FREE char *folder = folder_of(file->path);
  struct vhd_error why = { 0 };
  struct footer footer;

  if (folder == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  if (read_footer(file, &footer) < 0)
    return 0;
  struct search search = { footer.id, refuse, &why };
  if (folder_each(folder, VHD_FIND_LIMIT, look, &search) != -EBUSY)
    return 0;
  return vhd_fail(err, why.code, why.sys, "%s: %s", file->path, why.message);
}

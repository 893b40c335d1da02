/* SPDX-License-Identifier: BSD-2-Clause */
/* children.c: finding an image's children among the files of a folder.
 *
 * A parent does not know of its children, so files are looked at: each one's
 * footer and header, without a lock.  What cannot be read is nobody's child.
 *
 * A child names its parent twice: by id, and by places where it may lie.  A
 * copy of the parent has its id, so the id alone does not tell which of the two
 * is lost.  Of a file with the right id the places are therefore looked at: it
 * is a child of the file that one of them leads to, wherever that lies and
 * whichever is tried first; the opener's folders are not known here.  Where
 * none leads to any image with that id, whatever has the id may be the parent
 * that was moved, and counts.  Blocks; any thread. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/image.h"
#include "image/parent.h"
#include "ops/children.h"
#include "store/folder.h"
#include "store/local.h"
#include "store/names.h"
#include "store/newfile.h"

struct search {
  const struct vhd_file *parent;
  const uint8_t *id; /* the parent's */
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
names_id(struct vhd_file *file, const uint8_t *id)
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

enum place {
  LEADS_NOWHERE,
  LEADS_ELSEWHERE,
  LEADS_TO_COPY,
  LEADS_TO_PARENT,
};

/* What a place that the child names leads to. */
static enum place
look_at_place(const struct search *search, struct vhd_file *child,
              const char *name, unsigned nth)
{
  static char top[] = "/", *everywhere[] = { top };
  static const struct file_roots roots = { everywhere, 1 };
  enum place place = LEADS_ELSEWHERE;
  struct footer footer;
  struct vhd_file *file;

  if (file_beside(child, name, nth, &roots, &file, NULL) < 0)
    return LEADS_NOWHERE;
  if (file_same(file, search->parent))
    place = LEADS_TO_PARENT;
  else if (read_footer(file, &footer) == 0 &&
           memcmp(footer.id, search->id, sizeof footer.id) == 0)
    place = LEADS_TO_COPY;
  file_close(file);
  return place;
}

/* Does a child of that id belong to a copy of the parent? */
static bool
is_of_copy(const struct search *search, struct layer *child)
{
  enum place best = LEADS_NOWHERE;
  struct parent_search places;
  const char *name;

  if (parent_search_begin(&places, child) == 0)
    while (best != LEADS_TO_PARENT &&
           (name = parent_search_next(&places)) != NULL) {
      enum place place = look_at_place(search, child->file, name, places.nth);
      if (place != LEADS_NOWHERE)
        parent_search_more(&places);
      if (place > best)
        best = place;
    }
  parent_search_end(&places);
  return best == LEADS_TO_COPY;
}

/* Takes the file over. */
static bool
is_child(const struct search *search, struct vhd_file *file)
{
  struct layer *child;

  if (!names_id(file, search->id)) {
    file_close(file);
    return false;
  }
  /* One that cannot be opened now may be mended. */
  if (layer_new(file, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED, &child,
                NULL) < 0)
    return true;
  const bool of_copy = is_of_copy(search, child);
  layer_unref(child);
  return !of_copy;
}

static int
look(void *opaque, const char *path)
{
  const struct search *search = opaque;
  struct vhd_file *file;

  /* What a killed program had not made yet is nobody's, and is removed by the
   * next one that makes something there. */
  const char *slash = strrchr(path, '/');
  if (newfile_is_temporary(slash != NULL ? slash + 1 : path) ||
      local_open(path, LOCAL_UNLOCKED, &file, NULL) < 0)
    return 0;
  return is_child(search, file) ? search->found(search->opaque, path) : 0;
}

int
vhd_find_children(const struct vhd_image *image, const char *folder,
                  unsigned limit, int (*found)(void *opaque, const char *path),
                  void *opaque)
{
  const struct layer *top = image->top;
  CLEANUP_FREE char *path = folder == NULL ? names_own(top->file) : NULL;
  CLEANUP_FREE char *own = path != NULL ? folder_of(path) : NULL;
  struct search search = { top->file, top->footer.id, found, opaque };

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
children_beside(struct vhd_file *file,
                int (*found)(void *opaque, const char *path), void *opaque)
{
  CLEANUP_FREE char *path = names_own(file);
  CLEANUP_FREE char *folder = path != NULL ? folder_of(path) : NULL;
  struct footer footer;

  if (folder == NULL)
    return -ENOMEM;
  if (read_footer(file, &footer) < 0)
    return 0;
  struct search search = { file, footer.id, found, opaque };
  return folder_each(folder, UINT_MAX, look, &search);
}

int
children_refuse_loss(struct vhd_file *file, struct vhd_error *err)
{
  struct vhd_error why = { 0 };

  int r = children_beside(file, refuse, &why);
  if (r == -ENOMEM)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  return r != -EBUSY ? 0 : vhd_fail(err, why.code, why.sys, "%s: %s",
                                    file->path, why.message);
}

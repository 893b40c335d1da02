/* SPDX-License-Identifier: BSD-2-Clause */
/* children.c: finding an image's children among the files of a folder.
 *
 * A parent does not know of its children, so files are looked at: each one's
 * head, without a lock.  What cannot be read is nobody's child.
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
#include "base/rules.h"
#include "image/image.h"
#include "image/parent.h"
#include "ops/children.h"
#include "store/folder.h"
#include "store/local.h"
#include "store/names.h"
#include "store/newfile.h"
#include "store/patched.h"
#include "store/redo.h"

struct search {
  const struct vhd_file *parent;
  const uint8_t *id; /* the parent's */
  int (*found)(void *opaque, const char *path);
  void *opaque;
};

static void
ignore(struct layout_sink *sink, enum vhd_severity severity, int code,
       const char *message)
{
  (void)sink;
  (void)severity;
  (void)code;
  (void)message;
}

/* Past all that is wrong with it and can be passed over. */
static int
read_head(struct vhd_file *file, struct layout *head)
{
  struct layout_sink any = { ignore, true };

  return layout_read_head(file, &any, head, NULL);
}

/* Its id is known, whatever is wrong with the rest. */
static bool
has_id(struct vhd_file *file, const uint8_t *id)
{
  struct layout head;

  read_head(file, &head);
  return head.footer.type != 0 &&
         memcmp(head.footer.id, id, sizeof head.footer.id) == 0;
}

/* Does it say that its parent has this id? */
static bool
names_id(struct vhd_file *file, const uint8_t *id, struct layout *head)
{
  return read_head(file, head) == 0 &&
         head->footer.type == VHD_DIFFERENCING &&
         memcmp(head->header.parent_id, id, sizeof head->header.parent_id) == 0;
}

static int
lay_over(void *opaque, const void *bytes, size_t len, uint64_t off)
{
  return patched_add(opaque, bytes, len, off);
}

/* One whose change was interrupted may say nothing now: did it, or will it? */
static bool
named_id(struct vhd_file *file, const uint8_t *id)
{
  struct layout head;
  bool names = false;

  for (int after = 0; after < 2 && !names && RULE(REDO_CHILD); after++) {
    struct patched over;
    patched_init(&over, file);
    names = redo_look(file, after, lay_over, &over) > 0 &&
            names_id(&over.file, id, &head);
    patched_free(&over);
  }
  return names;
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
  struct vhd_file *file;

  if (file_beside(child, name, nth, &roots, &file, NULL) < 0)
    return LEADS_NOWHERE;
  if (file_same(file, search->parent))
    place = LEADS_TO_PARENT;
  else if (has_id(file, search->id))
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
  struct layout head;
  struct layer *child;

  if (!names_id(file, search->id, &head)) {
    const bool named = named_id(file, search->id);
    file_close(file);
    return named;
  }
  if (layer_of_child(file, &head, &child, NULL) < 0)
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
  struct layout head;

  if (folder == NULL)
    return -ENOMEM;
  read_head(file, &head);
  if (head.footer.type == 0)
    return 0;
  struct search search = { file, head.footer.id, found, opaque };
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

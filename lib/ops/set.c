/* SPDX-License-Identifier: BSD-2-Clause */
/* set.c: vhd_set(), what an image says of itself beside its disk: id, creator,
 * geometry, time, where its parent lies.  One thread a call.
 *
 * All of it stands in the footer, of which there are two, and in the header; it
 * is changed in one step (store/redo.h), and nothing of the disk is touched. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/geometry.h"
#include "format/guid.h"
#include "ops/children.h"
#include "ops/reparent.h"
#include "store/patched.h"

#define FOOTER_FLAGS \
  (VHD_SET_ID | VHD_SET_VERSION | VHD_SET_GEOMETRY | VHD_SET_TIME)
#define SET_FLAGS (FOOTER_FLAGS | VHD_SET_CHILDREN)

struct setting {
  const char *path;
  const struct vhd_set_options *opt;
  struct edit edit;
  struct footer footer; /* as it is to be */
  struct vhd_error *err;
};

static bool
changes_footer(const struct vhd_set_options *opt)
{
  return opt->flags & FOOTER_FLAGS || opt->creator != NULL ||
         opt->creator_os != NULL;
}

/* ------------------------------------------------------------------- fields */

static int
set_id(struct setting *s)
{
  const struct layout *l = &s->edit.layout;
  char text[GUID_TEXT_SIZE];

  if (!(s->opt->flags & VHD_SET_ID))
    return 0;
  if (s->opt->id == NULL)
    guid_generate(s->footer.id);
  else if (guid_parse(s->opt->id, guid_text(l->footer.id, text),
                      s->footer.id) < 0 || guid_is_null(s->footer.id))
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: '%s' is no id; one has 32 hexadecimal digits, as in "
                    "%s, and not only zeros", s->path, s->opt->id, text);
  if (l->footer.type == VHD_DIFFERENCING &&
      memcmp(s->footer.id, l->header.parent_id, sizeof s->footer.id) == 0)
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: this is the id of its parent, which it would seem to "
                    "be itself", s->path);
  return 0;
}

/* Four characters, with blanks behind them; but Xen's own, by which its batmap
 * is known, has a zero there. */
static int
set_word(struct setting *s, const char *word, char *field, const char *what)
{
  const size_t len = word != NULL ? strlen(word) : 0;

  if (word == NULL)
    return 0;
  for (size_t i = 0; i < len; i++)
    if (word[i] < 0x20 || word[i] > 0x7e)
      return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                      "%s: the %s must be of printable ASCII characters",
                      s->path, what);
  if (len == 0 || len > 4)
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: the %s has 1 to 4 characters; '%s' has %zu", s->path,
                    what, word, len);
  memset(field, strcmp(word, "tap") == 0 ? 0 : ' ', 4);
  memcpy(field, word, len);
  return 0;
}

static int
set_geometry(struct setting *s)
{
  const struct vhd_set_options *opt = s->opt;
  const uint64_t size = s->edit.layout.footer.current_size;
  struct geometry g = geometry_for_size(size);

  if (!(opt->flags & VHD_SET_GEOMETRY))
    return 0;
  if (opt->cylinders != 0 || opt->heads != 0 || opt->sectors_per_track != 0) {
    if (opt->cylinders - 1 >= UINT16_MAX || opt->heads - 1 >= UINT8_MAX ||
        opt->sectors_per_track - 1 >= UINT8_MAX)
      return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                      "%s: a geometry has 1 to 65535 cylinders, 1 to 255 heads "
                      "and 1 to 255 sectors", s->path);
    g = (struct geometry){ (uint16_t)opt->cylinders, (uint8_t)opt->heads,
                           (uint8_t)opt->sectors_per_track };
  }
  /* The largest there is says nothing. */
  if (geometry_size(g) > size &&
      !(g.cylinders == 65535 && g.heads == 16 && g.sectors == 255))
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: the geometry %u/%u/%u makes %" PRIu64 " bytes, and "
                    "the disk has %" PRIu64, s->path, g.cylinders, g.heads,
                    g.sectors, geometry_size(g), size);
  s->footer.cylinders = g.cylinders;
  s->footer.heads = g.heads;
  s->footer.sectors = g.sectors;
  return 0;
}

static int
set_time(struct setting *s)
{
  const int64_t time = s->opt->timestamp;

  if (!(s->opt->flags & VHD_SET_TIME))
    return 0;
  if (time < VHD_EPOCH || time > (int64_t)VHD_EPOCH + UINT32_MAX)
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: a VHD records a time from 2000 to 2136", s->path);
  s->footer.timestamp = (uint32_t)(time - VHD_EPOCH);
  return 0;
}

static int
set_fields(struct setting *s)
{
  s->footer = s->edit.layout.footer;
  int e = set_id(s);
  if (e == 0)
    e = set_word(s, s->opt->creator, s->footer.creator, "creator");
  if (e == 0)
    e = set_word(s, s->opt->creator_os, s->footer.creator_os,
                 "creator's system");
  if (e == 0 && s->opt->flags & VHD_SET_VERSION)
    s->footer.creator_version = s->opt->creator_version;
  if (e == 0)
    e = set_geometry(s);
  return e < 0 ? e : set_time(s);
}

/* ----------------------------------------------------------------- refusing */

static int
refuse_child(void *opaque, const char *child)
{
  const struct setting *s = opaque;

  return vhd_fail(s->err, VHD_STATE, EBUSY,
                  "%s: it is the parent of '%s', which knows it by its id and "
                  "its time; allow that with --with-children", s->path, child);
}

static int
refuse_children(struct setting *s)
{
  const struct footer *f = &s->edit.layout.footer;

  if (s->opt->flags & VHD_SET_CHILDREN ||
      (memcmp(f->id, s->footer.id, sizeof f->id) == 0 &&
       f->timestamp == s->footer.timestamp))
    return 0;
  int e = children_beside(s->edit.file, refuse_child, s);
  return e < 0 && e != -EBUSY ? vhd_fail_sys(s->err, -e, "%s", s->path) : e;
}

/* By the creator it is told whether there is a batmap.  One that nobody keeps
 * meanwhile must not come to count one day. */
static int
refuse_batmap(struct setting *s, const struct layout *then)
{
  if (then->has_batmap == s->edit.layout.has_batmap)
    return 0;
  return vhd_fail(s->err, VHD_BATMAP, EINVAL,
                  "%s: with this creator and version, what lies behind its "
                  "block table would %s as Xen's batmap", s->path,
                  then->has_batmap ? "count" : "no longer count");
}

/* What would there be?  It must be read like any other. */
static int
look_ahead(struct setting *s)
{
  const bool fixed = s->footer.type == VHD_FIXED;
  struct patched over;
  struct layout then;
  uint8_t buf[FOOTER_SIZE];

  footer_format(&s->footer, buf);
  patched_init(&over, s->edit.file);
  int e = patched_add(&over, buf, sizeof buf, s->edit.layout.footer_off);
  if (e == 0 && !fixed)
    e = patched_add(&over, buf, sizeof buf, 0);
  if (e < 0) {
    vhd_fail_sys(s->err, -e, "%s", s->path);
  } else {
    e = layout_read(&over.file, 0, NULL, &then, s->err);
    if (e == 0) {
      e = refuse_batmap(s, &then);
      layout_free(&then);
    }
  }
  patched_free(&over);
  return e;
}

/* ----------------------------------------------------------------- changing */

static int
change_footers(struct setting *s)
{
  struct redo *redo;

  int e = redo_begin(s->edit.file, &redo, s->err);
  if (e < 0)
    return e;
  edit_keep_time(&s->edit, redo);
  e = edit_add_footers(&s->edit, redo, &s->footer, s->edit.layout.footer_off);
  e = e < 0 ? vhd_fail_sys(s->err, -e, "%s", s->path)
            : redo_commit(redo, s->err);
  redo_free(redo);
  return e;
}

/* The parent that it has, in another place. */
static int
change_parent(struct setting *s, struct vhd_image *parent)
{
  const struct layout *l = &s->edit.layout;
  struct vhd_info info;

  vhd_get_info(parent, &info);
  const int e = parent_ref_check(info.path, &info, s->err);
  if (e < 0)
    return e;
  if (l->footer.type != VHD_DIFFERENCING)
    return vhd_fail(s->err, VHD_ARGUMENT, EINVAL,
                    "%s: is no differencing image, and has no parent",
                    s->path);
  if (memcmp(info.id, l->header.parent_id, sizeof info.id) != 0)
    return vhd_fail(s->err, VHD_PARENT_ID, EINVAL,
                    "%s: '%s' is another image than its parent, by their ids; "
                    "vhdkit rebase makes it the parent", s->path, info.path);
  s->edit.layout.footer = s->footer;
  return reparent(&s->edit, info.path, &info,
                  REPARENT_SAME_DISK | REPARENT_MOVED | REPARENT_FOOTERS,
                  s->err);
}

static int
change(struct setting *s, struct vhd_image *parent)
{
  int e = set_fields(s);
  if (e == 0)
    e = refuse_children(s);
  if (e == 0)
    e = look_ahead(s);
  if (e < 0)
    return e;
  return parent != NULL ? change_parent(s, parent) : change_footers(s);
}

/* --------------------------------------------------------------------- all */

static int
check_options(const char *path, const struct vhd_set_options *opt,
              struct vhd_error *err)
{
  int e = vhd_check_flags(opt->flags, SET_FLAGS, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0)
    e = vhd_check_open(&opt->open, 0, path, err);
  if (e == 0 && !changes_footer(opt) && opt->parent == NULL)
    e = vhd_fail(err, VHD_ARGUMENT, EINVAL,
                 "%s: nothing is said that is to be changed", path);
  return e;
}

/* Whatever its own parent is: only its id is asked for. */
static int
open_parent(const struct vhd_set_options *opt, struct vhd_image **parent,
            struct vhd_error *err)
{
  struct vhd_open_options open = opt->open;

  open.flags = VHD_OPEN_READONLY | VHD_OPEN_NO_PARENT;
  return vhd_open(opt->parent, &open, parent, err);
}

int
vhd_set(const char *path, const struct vhd_set_options *opt,
        struct vhd_error *err)
{
  struct setting s = { .path = path, .opt = opt, .err = err };
  struct vhd_image *parent = NULL;

  int e = check_options(path, opt, err);
  if (e == 0 && opt->parent != NULL)
    e = open_parent(opt, &parent, err);
  if (e == 0)
    e = edit_open(&s.edit, path, &opt->open, err);
  if (e == 0) {
    e = change(&s, parent);
    edit_close(&s.edit);
  }
  vhd_close(parent, NULL);
  return e;
}

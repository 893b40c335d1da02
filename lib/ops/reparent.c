/* SPDX-License-Identifier: BSD-2-Clause */
/* reparent.c: see reparent.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ops/reparent.h"
#include "store/names.h"
#include "store/times.h"

#define FILE_ALIGN 4096

_Static_assert(LOCATOR_MAX_LEN % VHD_SECTOR_SIZE == 0, "whole sectors of text");

struct new_locators {
  const struct edit *edit;
  const struct parent_ref *ref;
  struct header header;
  unsigned n;   /* locators that it has by now */
  uint64_t end; /* of what is put at the end of the file; 0: nothing is */
  unsigned how; /* enum reparent_how */
};

/* How much there is for the text of an old locator, or 0. */
static uint64_t
room_of(const struct layout *l, unsigned i)
{
  const struct region *region = layout_locator_region(l, i);

  return region ? region->len : 0;
}

static int
index_of(const struct layout *l, uint32_t code)
{
  for (unsigned i = 0; i < LOCATOR_COUNT; i++)
    if (l->header.locator[i].code == code)
      return (int)i;
  return -1;
}

/* Its text, with nothing left behind of the old one, which had this length.
 * Both are short, whatever the space for them is said to be. */
static int
add_text(struct redo *redo, const struct parent_path *path, uint64_t off,
         uint32_t old)
{
  uint8_t text[LOCATOR_MAX_LEN] = { 0 };

  memcpy(text, path->data, path->len);
  return redo_add(redo, text, MAX(path->space, round_up(old, VHD_SECTOR_SIZE)),
                  off);
}

static int
add_locator(struct new_locators *n, struct redo *redo,
            const struct parent_path *path)
{
  const struct layout *l = &n->edit->layout;
  const int old = index_of(l, path->code);
  const uint64_t room = old < 0 ? 0 : round_down(room_of(l, (unsigned)old),
                                                 VHD_SECTOR_SIZE);
  struct locator *new = &n->header.locator[n->n++];
  uint32_t had = 0;

  *new = (struct locator){
    .code = path->code, .len = path->len, .space = path->space,
  };
  if (room >= path->space) {
    had = l->locator[old].len;
    new->off = l->locator[old].off;
    new->space = (uint32_t)room;
    new->sectors = l->locator[old].sectors;
  } else {
    new->off = n->end ? n->end : round_up(l->footer_off, VHD_SECTOR_SIZE);
    n->end = new->off + new->space;
  }
  return add_text(redo, path, new->off, had);
}

/* The kinds of path that it has, beside the absolute one. */
static unsigned
ways_of(const struct layout *l)
{
  const bool url = index_of(l, LOCATOR_MACX) >= 0;
  const bool relative = index_of(l, LOCATOR_W2RU) >= 0 ||
                        index_of(l, LOCATOR_WI2R) >= 0 ||
                        index_of(l, LOCATOR_W2KU) < 0;

  return (relative ? REF_RELATIVE : 0) | (url ? REF_URL : 0);
}

/* In the order in which they stood; then those that are new. */
static int
add_locators(struct new_locators *n, struct redo *redo)
{
  const struct parent_path *path = n->ref->path;
  const struct layout *l = &n->edit->layout;
  bool done[PARENT_REF_PATHS] = { false };
  int r = 0;

  for (unsigned i = 0; r == 0 && i <= LOCATOR_COUNT; i++)
    for (unsigned k = 0; r == 0 && k < PARENT_REF_PATHS; k++)
      if (path[k].code != LOCATOR_NONE && !done[k] &&
          (i == LOCATOR_COUNT || l->header.locator[i].code == path[k].code)) {
        done[k] = true;
        r = add_locator(n, redo, &path[k]);
      }
  return r;
}

static int
fill(struct new_locators *n, struct redo *redo)
{
  const struct layout *l = &n->edit->layout;

  n->header = l->header;
  memset(n->header.locator, 0, sizeof n->header.locator);
  parent_ref_name(n->ref, &n->header);
  int r = add_locators(n, redo);
  if (r == 0)
    r = edit_add_header(n->edit, redo, &n->header);
  if (r == 0 && (n->end || n->how & REPARENT_FOOTERS))
    r = edit_add_footers(n->edit, redo, &l->footer,
                         n->end ? round_up(n->end + FOOTER_SIZE, FILE_ALIGN) -
                                    FOOTER_SIZE
                                : l->footer_off);
  return r;
}

/* A parent that was last changed within the second in which this file was made,
 * and later, looks as if it had been changed since (parent_time.h): better no
 * time is recorded. */
static uint32_t
time_to_record(const struct edit *edit, uint32_t timestamp)
{
  struct file_times times;

  return file_times(edit->file, &times) == 0 &&
             times.born.sec == (int64_t)timestamp + VHD_EPOCH
           ? 0 : timestamp;
}

int
reparent(struct edit *edit, const char *path, const struct vhd_info *info,
         unsigned how, struct vhd_error *err)
{
  CLEANUP_FREE struct parent_ref *ref = calloc(1, sizeof *ref);
  struct new_locators n = { .edit = edit, .ref = ref, .how = how };
  struct redo *redo;

  CLEANUP_FREE char *child = names_own(edit->file);
  if (!ref || !child)
    return vhd_fail_sys(err, ENOMEM, "%s", edit->file->path);
  int r = parent_ref_make(ref, child, path, info,
                          ways_of(&edit->layout), err);
  if (r < 0)
    return r;
  ref->timestamp = how & REPARENT_MOVED
                     ? edit->layout.header.parent_timestamp
                     : time_to_record(edit, ref->timestamp);
  r = redo_begin(edit->file, &redo, err);
  if (r < 0)
    return r;
  if (how & REPARENT_SAME_DISK)
    edit_keep_time(edit, redo);
  r = fill(&n, redo);
  r = r < 0 ? vhd_fail_sys(err, -r, "%s", edit->file->path)
            : redo_commit(redo, err);
  redo_free(redo);
  return r;
}

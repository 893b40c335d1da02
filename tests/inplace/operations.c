/* SPDX-License-Identifier: BSD-2-Clause */
/* operations.c: what is done in place, on which images, and what is to come of
 * it; see scene.h.  One thread. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/footer.h"
#include "format/header.h"
#include "scene.h"

#define KIB 1024ULL
#define SIZE (96 * KIB) /* 24 blocks */
#define IMAGE "image.vhd"
#define BASE "base.vhd"
#define OTHER "other.vhd"
#define MIDDLE "middle.vhd"
#define UPPER "upper.vhd"
#define NEW_ID "12345678-9abc-4def-8123-456789abcdef"

/* ---------------------------------------------------------------- families */

static void
make_dynamic(struct scene *s)
{
  scene_create(s, IMAGE, VHD_DYNAMIC, SIZE, NULL);
  scene_fill(s, IMAGE, 2, 3);
  scene_fill(s, IMAGE, 3, 2);
  scene_keeps(s, IMAGE);
}

static void
make_base(struct scene *s, const char *name)
{
  scene_create(s, name, VHD_DYNAMIC, SIZE, NULL);
  scene_fill(s, name, 2, 4);
}

static void
make_child(struct scene *s, const char *name, const char *parent)
{
  scene_create(s, name, VHD_DIFFERENCING, SIZE, parent);
  scene_fill(s, name, 2, 2);
}

static void
make_pair(struct scene *s)
{
  scene_image(s, IMAGE);
  make_base(s, BASE);
  make_child(s, IMAGE, BASE);
  scene_keeps(s, BASE);
  scene_keeps(s, IMAGE);
}

static void
make_fixed(struct scene *s)
{
  scene_create(s, IMAGE, VHD_FIXED, 24 * KIB, NULL);
  scene_fill(s, IMAGE, 1, 3);
}

/* ----------------------------------------------------------------- compact */

static int
run_compact(struct scene *s, struct vhd_error *err)
{
  const struct vhd_compact_options opt = { .open = scene_open };

  (void)s;
  return vhd_compact(world_path(IMAGE), &opt, NULL, err);
}

/* ------------------------------------------------------------------ resize */

static int
run_resize(struct scene *s, struct vhd_error *err)
{
  const struct vhd_resize_options opt = {
    .open = scene_open, .flags = VHD_RESIZE_SHRINK,
  };

  return vhd_resize(world_path(IMAGE), scene_image(s, IMAGE)->after.size, &opt,
                    err);
}

static void
becomes(struct scene *s, uint64_t size)
{
  struct image *image = scene_image(s, IMAGE);

  free(image->after.disk);
  if (size < image->before.size)
    scene_zero(s, IMAGE, size);
  scene_resizes(s, IMAGE, size);
}

static void
make_growing(struct scene *s)
{
  make_dynamic(s);
  becomes(s, SIZE + 3 * KIB);
}

/* The table grows over blocks. */
static void
make_growing_far(struct scene *s)
{
  make_dynamic(s);
  becomes(s, 2600 * KIB);
}

static void
make_shrinking(struct scene *s)
{
  make_dynamic(s);
  becomes(s, SIZE / 2 + 512);
}

/* ... and over locators. */
static void
make_child_growing(struct scene *s)
{
  make_pair(s);
  becomes(s, 700 * KIB);
}

static void
make_child_shrinking(struct scene *s)
{
  make_pair(s);
  becomes(s, SIZE / 2);
}

static void
make_fixed_growing(struct scene *s)
{
  make_fixed(s);
  becomes(s, 40 * KIB);
}

static void
make_fixed_growing_little(struct scene *s)
{
  make_fixed(s);
  becomes(s, 24 * KIB + 512);
}

static void
make_fixed_shrinking(struct scene *s)
{
  make_fixed(s);
  becomes(s, 9 * KIB);
}

/* ------------------------------------------------------------------- merge */

static int
run_merge(struct scene *s, struct vhd_error *err)
{
  const struct vhd_chain_options opt = { .open = scene_open };

  (void)s;
  return vhd_merge(world_path(IMAGE), &opt, err);
}

static void
goes(struct image *image)
{
  free(image->after.disk);
  image->after = (struct view){ .there = false };
}

/* The parent holds then what the child does. */
static void
takes_up(struct scene *s)
{
  struct image *base = scene_image(s, BASE);

  memcpy(base->after.disk, scene_image(s, IMAGE)->before.disk, SIZE);
  base->mixed = true;
  goes(scene_image(s, IMAGE));
}

static void
make_merging(struct scene *s)
{
  make_pair(s);
  takes_up(s);
}

static void
make_merging_middle(struct scene *s)
{
  make_pair(s);
  takes_up(s);
  make_child(s, UPPER, IMAGE);
  make_child(s, OTHER, IMAGE);
  scene_keeps(s, UPPER);
  scene_keeps(s, OTHER);
}

/* ------------------------------------------------------------------ rebase */

static int
rebase(uint32_t flags, struct vhd_error *err)
{
  const struct vhd_chain_options opt = { .open = scene_open, .flags = flags };

  return vhd_rebase(world_path(IMAGE), world_path(OTHER), &opt, err);
}

static int
run_rebase(struct scene *s, struct vhd_error *err)
{
  (void)s;
  return rebase(0, err);
}

static int
run_rebase_copy(struct scene *s, struct vhd_error *err)
{
  (void)s;
  return rebase(VHD_REBASE_COPY, err);
}

static int
run_rebase_unchecked(struct scene *s, struct vhd_error *err)
{
  (void)s;
  return rebase(VHD_REBASE_UNCHECKED, err);
}

/* The new parent holds what the old one does, and is a child of it. */
static void
make_rebasing(struct scene *s)
{
  make_pair(s);
  scene_create(s, OTHER, VHD_DIFFERENCING, SIZE, BASE);
  scene_keeps(s, OTHER);
}

static void
make_rebasing_copy(struct scene *s)
{
  make_pair(s);
  make_base(s, OTHER);
  scene_keeps(s, OTHER);
}

/* It holds nothing itself: so it comes to hold what the other does. */
static void
make_rebasing_unchecked(struct scene *s)
{
  make_base(s, BASE);
  make_base(s, OTHER);
  scene_create(s, IMAGE, VHD_DIFFERENCING, SIZE, BASE);
  scene_keeps(s, BASE);
  scene_keeps(s, OTHER);
  scene_keeps(s, IMAGE);
  memcpy(scene_image(s, IMAGE)->after.disk,
         scene_image(s, OTHER)->before.disk, SIZE);
}

/* ------------------------------------------------------------------ repair */

static int
repair(uint32_t flags, struct vhd_error *err)
{
  const struct vhd_repair_options opt = { .open = scene_open, .flags = flags };
  struct vhd_repair_result result;

  return vhd_repair(world_path(IMAGE), &opt, NULL, NULL, &result, err);
}

static int
run_repair(struct scene *s, struct vhd_error *err)
{
  (void)s;
  return repair(0, err);
}

static int
run_undo(struct scene *s, struct vhd_error *err)
{
  (void)s;
  return repair(VHD_REPAIR_UNDO, err);
}

/* The copy of the footer is gone, and so is the end of the table. */
static void
make_damaged(struct scene *s)
{
  static const uint8_t zeros[FOOTER_SIZE];
  uint8_t buf[HEADER_SIZE];
  struct header header;

  make_dynamic(s);
  scene_read(IMAGE, FOOTER_SIZE, buf, sizeof buf);
  if (header_parse(buf, IMAGE, SIZE, &header, NULL) < 0)
    abort();
  header.max_table_entries = 100;
  header_format(&header, buf);
  scene_patch(IMAGE, FOOTER_SIZE, buf, sizeof buf);
  scene_patch(IMAGE, header.table_offset + 4 * (SIZE / 4096), zeros,
              4 * (100 - SIZE / 4096));
  scene_patch(IMAGE, 0, zeros, sizeof zeros);
  s->leaves = IMAGE ".vhdkit-undo";
}

/* The checksum of its header is wrong, too. */
static void
make_closed(struct scene *s)
{
  static const uint8_t byte[1] = { 0x55 };

  make_damaged(s);
  scene_patch(IMAGE, FOOTER_SIZE + 37, byte, sizeof byte);
  scene_image(s, IMAGE)->before.code = VHD_HEADER_CHECKSUM;
}

/* After that it is to be as it was before. */
static void
make_repaired(struct scene *s)
{
  struct vhd_error err;
  struct state state;

  make_damaged(s);
  world_take(&state, false);
  const struct state_file *f =
    &state.file[names_find(&state.names, IMAGE)];
  struct view *after = &scene_image(s, IMAGE)->after;
  free(after->disk);
  after->disk = malloc(f->size);
  memcpy(after->disk, f->bytes, f->size);
  after->size = f->size;
  after->raw = true;
  state_free(&state);
  if (repair(0, &err) < 0)
    abort();
  s->leaves = NULL;
}

/* --------------------------------------------------------- set and relink */

static int
run_set(struct scene *s, struct vhd_error *err)
{
  const struct vhd_set_options opt = {
    .open = scene_open, .flags = VHD_SET_ID | VHD_SET_VERSION, .id = NEW_ID,
    .creator_version = 0x70007, .creator = "test",
  };

  (void)s;
  return vhd_set(world_path(IMAGE), &opt, err);
}

static int
run_set_parent(struct scene *s, struct vhd_error *err)
{
  const struct vhd_set_options opt = {
    .open = scene_open, .parent = world_path(OTHER), .creator = "test",
  };

  (void)s;
  return vhd_set(world_path(IMAGE), &opt, err);
}

static void
make_setting(struct scene *s)
{
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_info info;
  struct image *i;

  make_pair(s);
  i = scene_image(s, IMAGE);
  if (vhd_open(world_path(IMAGE), &scene_open, &image, &err) < 0)
    abort();
  vhd_get_info(image, &info);
  memcpy(i->before.id, info.id_text, sizeof info.id_text);
  snprintf(i->after.id, sizeof i->after.id, NEW_ID);
  vhd_close(image, NULL);
  scene_date(IMAGE);
}

/* The parent has come to lie elsewhere. */
static void
move_parent(struct scene *s)
{
  struct image *base = scene_image(s, BASE);

  if (rename(world_path(BASE), world_path(OTHER)) < 0)
    abort();
  snprintf(base->name, NAME_ROOM, "%s", OTHER);
  scene_image(s, IMAGE)->before.code = VHD_PARENT_MISSING;
}

static void
make_moved(struct scene *s)
{
  make_pair(s);
  move_parent(s);
}

static void
make_relinking(struct scene *s)
{
  make_pair(s);
  make_child(s, UPPER, BASE);
  make_child(s, MIDDLE, BASE);
  scene_keeps(s, UPPER);
  scene_keeps(s, MIDDLE);
  move_parent(s);
  scene_image(s, UPPER)->before.code = VHD_PARENT_MISSING;
  scene_image(s, MIDDLE)->before.code = VHD_PARENT_MISSING;
}

/* What one image is refused for is told of by the callback alone. */
static void
note_left(void *opaque, const struct vhd_relink_item *item)
{
  struct vhd_error *err = opaque;

  if (item->code == VHD_OK)
    return;
  err->code = item->code;
  snprintf(err->message, sizeof err->message, "%s", item->message);
}

static int
run_relink(struct scene *s, struct vhd_error *err)
{
  const struct vhd_relink_options opt = { .open = scene_open };
  const char *folder = world_folder;
  struct vhd_relink_result result;
  struct vhd_error why = { 0 };

  (void)s;
  int r = vhd_relink(&folder, 1, &opt, note_left, &why, &result, err);
  if (r == 0 && result.left > 0) {
    *err = why;
    r = -1;
  }
  return r;
}

/* ---------------------------------------------------- snapshot and revert */

static int
run_snapshot(struct scene *s, struct vhd_error *err)
{
  const struct vhd_chain_options opt = { .open = scene_open };

  (void)s;
  return vhd_snapshot(world_path(IMAGE), world_path(OTHER), &opt, err);
}

static int
run_revert(struct scene *s, struct vhd_error *err)
{
  const struct vhd_chain_options opt = { .open = scene_open };

  (void)s;
  return vhd_revert(world_path(IMAGE), &opt, err);
}

static void
make_snapshot(struct scene *s)
{
  make_pair(s);
  struct image *image = scene_image(s, IMAGE);
  struct image *frozen = scene_image(s, OTHER);
  frozen->after = image->before;
  frozen->after.disk = malloc(SIZE);
  memcpy(frozen->after.disk, image->before.disk, SIZE);
}

static void
make_reverting(struct scene *s)
{
  make_pair(s);
  memcpy(scene_image(s, IMAGE)->after.disk, scene_image(s, BASE)->before.disk,
         SIZE);
}

/* -------------------------------------------------------------------- all */

const struct operation operations[] = {
  { "compact, dynamic", make_dynamic, run_compact, false },
  { "compact, child", make_pair, run_compact, false },
  { "resize, dynamic, longer", make_growing, run_resize, false },
  { "resize, dynamic, a table in the way", make_growing_far, run_resize,
    false },
  { "resize, dynamic, shorter", make_shrinking, run_resize, false },
  { "resize, child, longer", make_child_growing, run_resize, false },
  { "resize, child, shorter", make_child_shrinking, run_resize, false },
  { "resize, fixed, longer", make_fixed_growing, run_resize, false },
  { "resize, fixed, a sector longer", make_fixed_growing_little, run_resize,
    false },
  { "resize, fixed, shorter", make_fixed_shrinking, run_resize, false },
  { "merge, the last", make_merging, run_merge, false },
  { "merge, one in the middle", make_merging_middle, run_merge, false },
  { "rebase", make_rebasing, run_rebase, false },
  { "rebase, copying", make_rebasing_copy, run_rebase_copy, false },
  { "rebase, unchecked", make_rebasing_unchecked, run_rebase_unchecked,
    false },
  { "repair", make_damaged, run_repair, false },
  { "repair, what cannot be opened", make_closed, run_repair, false },
  { "repair, undone", make_repaired, run_undo, false },
  { "repair, no nameless files", make_damaged, run_repair, true },
  { "set", make_setting, run_set, false },
  { "set, parent", make_moved, run_set_parent, false },
  { "relink", make_relinking, run_relink, false },
  { "snapshot", make_snapshot, run_snapshot, false },
  { "snapshot, no nameless files", make_snapshot, run_snapshot, true },
  { "revert", make_reverting, run_revert, false },
  { "revert, no nameless files", make_reverting, run_revert, true },
};

const unsigned noperations = sizeof operations / sizeof operations[0];

/* SPDX-License-Identifier: BSD-2-Clause */
/* open.c: opening images and chains of them, and closing.
 *
 * An open for writing begins with a sync: what we read is then what a power cut
 * would leave, whoever wrote it.  What a killed process left in the journal is
 * made durable too before anything else is done, so that no slot it freed is
 * used again while the disk still leads to it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/error.h"
#include "base/rules.h"
#include "image/chain.h"
#include "image/open.h"
#include "image/parent_time.h"
#include "image/recover.h"
#include "image/replay.h"
#include "image/request.h"

#define FILE_ALIGN 4096

const char *
vhd_warning(const struct vhd_image *image, unsigned i)
{
  return i < image->top->nwarning ? image->top->warning[i] : NULL;
}

/* ----------------------------------------------------------------- one file */

/* A power cut while the file grew may have kept its size, and not the footer at
 * its end, of which there is a copy.  Where there is no space for one, the file
 * grows no more either. */
static int
restore_end_footer(struct vhd_image *img)
{
  struct layout *l = &img->top->layout;
  uint64_t off = round_up(l->footer_off, FOOTER_SIZE);
  uint8_t footer[FOOTER_SIZE];

  if (l->end_footer)
    return 0;
  footer_format(&l->footer, footer);
  int64_t begun =
    img->pulse ? journal_begin(img->pulse, off + FOOTER_SIZE) : 0;
  int e = file_write(img->top->file, footer, FOOTER_SIZE, off);
  if (img->pulse)
    journal_end(img->pulse, begun, e == 0);
  if (e < 0)
    return request_lacks_space(e) ? 0 : e;
  l->footer_off = off;
  l->file_size = MAX(l->file_size, off + FOOTER_SIZE);
  l->end_footer = true;
  return 0;
}

static int
start_writing(struct vhd_image *img, struct vhd_error *err)
{
  int e = img->top->fixed ? 0 : restore_end_footer(img);
  if (e == 0 && !img->top->fixed)
    e = space_init(img, &img->top->layout);
  if (e == 0 && RULE(OPEN_SYNC))
    e = file_do(img->top->file, VHD_IO_SYNC, 0, 0, 0);
  if (e == 0)
    e = vhd_flush(img);
  /* That may have found nothing to do: then the records were written down
   * before, and must not speak of slots that are others' from now on. */
  if (e == 0 && img->journal)
    commit_trim(img, journal_mark(img->journal));
  return e < 0 ? vhd_fail_sys(err, -e, "%s: cannot be made ready for writing",
                              img->top->path) : 0;
}

int
image_start(struct vhd_image *img, struct journal *journal, bool keep,
            struct vhd_error *err)
{
  bool replay = journal && !img->top->fixed && !journal_empty(journal);

  int e = layer_make_table(img->top, img->writable);
  if (e == 0 && img->writable)
    e = commit_init(img);
  if (e < 0)
    return vhd_fail_sys(err, -e, "%s", img->top->path);
  img->pulse = keep ? journal : NULL;
  if (replay) {
    if (img->writable)
      commit_begin(img); /* without the journal that is replayed */
    e = replay_journal(img, journal, err);
    if (e < 0)
      return e;
  }
  img->journal = keep ? journal : NULL;
  img->write_through = img->writable && !img->top->fixed && !img->journal;
  if (img->writable) {
    commit_begin(img);
    e = start_writing(img, err);
    if (e < 0)
      return e;
    if (!img->top->fixed &&
        (replay || img->journal_file.found == JOURNAL_LEFT))
      space_give_back(img);
  }
  slots_free(&img->top->layout.slots);
  return 0;
}

/* ------------------------------------------------------------------ journal */

static int
start_with_journal(struct vhd_image *img, const char *dir,
                   struct vhd_error *err)
{
  struct journal *journal;

  int e = recover_journal(img, dir, &journal, err);
  if (e == 0)
    e = image_start(img, journal, img->writable, err);
  if (e == 0)
    recover_end(img);
  return e;
}

/* ---------------------------------------------------------------- the chain */

/* Opening an image, a small step at a time: the files of its chain are found
 * and read from the top down, then made ready from the bottom up. */
struct opening {
  struct chain chain;
  struct vhd_image *image; /* once the chain is whole */
  unsigned started;        /* layers from here on are ready */
  bool below;              /* the image is to be what is below the top */
  bool alone;              /* without its parents, to be written all the same */
};

static void
warn_of_parent(struct layer *child, const struct layer *parent)
{
  char text[1024];

  if (parent_time(child, parent, text, sizeof text) != PARENT_AS_RECORDED)
    layer_warn(child, text);
  if (parent->journaled) {
    snprintf(text, sizeof text, "the parent '%.200s' has changes that a killed "
             "program left, and that would be lost from under the child with a "
             "power cut; open it once for writing to write them down",
             parent->path);
    layer_warn(child, text);
  }
}

/* A parent with what a killed process left for it is a layer like any other. */
static int
start_parent(struct chain *c, unsigned i, struct vhd_error *err)
{
  struct layer **l = &c->layer[i];
  bool raw = (*l)->type == VHD_RAW;
  uint32_t flags = VHD_OPEN_READONLY | c->parent_flags |
                   (raw ? VHD_OPEN_RAW : 0);

  if ((*l)->shared)
    return 0;
  if (i + 1 < c->n)
    warn_of_parent(*l, c->layer[i + 1]);
  if (raw)
    (*l)->size = round_down((*l)->size, 512);
  struct vhd_image *img = image_of_layer(layer_ref(*l), false);
  if (!img)
    return vhd_fail_sys(err, ENOMEM, "%s", (*l)->path);
  img->unlocked = c->parent_flags & VHD_OPEN_UNLOCKED;
  img->orphan = false;
  int e = start_with_journal(img, c->opt->journal_dir, err);
  image_free(img);
  if (e == 0 && !(c->parent_flags & VHD_OPEN_UNLOCKED))
    layer_share(l, flags, c->opt->journal_dir);
  return e < 0 ? chain_blame(c, e == -ENOENT ? -EINVAL : e, err) : 0;
}

/* All below the top are ready, and that is all that is wanted. */
static int
start_below(struct opening *o, struct vhd_error *err)
{
  struct chain *c = &o->chain;
  struct layer *top = c->layer[1];

  warn_of_parent(c->layer[0], top);
  o->image = image_of_layer(layer_ref(top), false);
  if (!o->image ||
      (c->n > 2 && image_exchange(o->image, c->layer + 2, c->n - 2) < 0))
    return vhd_fail_sys(err, ENOMEM, "%s", top->path);
  o->image->orphan = false;
  o->image->unlocked = c->opt->flags & VHD_OPEN_UNLOCKED;
  return 0;
}

/* All below the top are ready: now the image. */
static int
start_image(struct opening *o, struct vhd_error *err)
{
  struct chain *c = &o->chain;
  uint32_t flags = c->opt->flags;
  struct layer *top = c->layer[0];

  if (c->n > 1)
    warn_of_parent(top, c->layer[1]);
  o->image = image_of_layer(layer_ref(top), !(flags & VHD_OPEN_READONLY));
  if (!o->image)
    return vhd_fail_sys(err, ENOMEM, "%s", top->path);
  o->image->unlocked = flags & VHD_OPEN_UNLOCKED;
  o->image->orphan = o->image->orphan && !o->alone;
  if (c->n > 1 && image_exchange(o->image, c->layer + 1, c->n - 1) < 0)
    return vhd_fail_sys(err, ENOMEM, "%s", top->path);
  return start_with_journal(o->image, c->opt->journal_dir, err);
}

/* 1 there is more to do, 0 the image is open, or -errno. */
static int
opening_step(struct opening *o, struct vhd_error *err)
{
  struct chain *c = &o->chain;

  if (o->started == 0) {
    int e = chain_step(c, err);
    o->started = e == 0 ? c->n : 0;
    return e < 0 ? e : 1;
  }
  if (o->started == 1)
    return o->below ? start_below(o, err) : start_image(o, err);
  int e = start_parent(c, --o->started, err);
  return e < 0 ? e : 1;
}

/* Takes o, whose chain was begun with the result e, to its end, and frees
 * it. */
static int
open_all(struct opening *o, int e, struct vhd_image **image,
         struct vhd_error *err)
{
  if (e == 0)
    do
      e = opening_step(o, err);
    while (e == 1);
  chain_end(&o->chain);
  if (e == 0)
    *image = o->image;
  else
    image_free(o->image);
  free(o);
  return e;
}

/* ------------------------------------------------------------------- public */

int
vhd_open(const char *path, const struct vhd_open_options *opt,
         struct vhd_image **image, struct vhd_error *err)
{
  static const struct vhd_open_options defaults;

  if (!opt)
    opt = &defaults;
  int known = vhd_check_open(opt, OPEN_FLAGS, path, err);
  if (known < 0)
    return known;
  if (opt->flags & (VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT) &&
      !(opt->flags & VHD_OPEN_READONLY))
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: to open it without locks or without its parent, open "
                    "it read-only", path);
  struct opening *o = calloc(1, sizeof *o);
  if (!o)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  return open_all(o, chain_begin(&o->chain, path, opt, err), image, err);
}

/* What the journal tells of is all in the file itself, whoever the parents
 * are. */
int
image_open_alone(const char *path, const struct vhd_open_options *opt,
                 struct vhd_image **image, struct vhd_error *err)
{
  struct vhd_open_options open = *opt;
  struct opening *o = calloc(1, sizeof *o);

  if (!o)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  open.flags = VHD_OPEN_NO_PARENT;
  o->alone = true;
  return open_all(o, chain_begin(&o->chain, path, &open, err), image, err);
}

int
image_open_parents(struct layer *child, const struct vhd_open_options *opt,
                   struct vhd_image **parent, struct vhd_error *err)
{
  struct opening *o = calloc(1, sizeof *o);

  if (!o) {
    layer_unref(child);
    return vhd_fail_sys(err, ENOMEM, "parents");
  }
  o->below = true;
  return open_all(o, chain_begin_below(&o->chain, child, opt, err), parent,
                  err);
}

/* Gives back the runway: a footer where the file is to end, and once it is
 * durable, the end. */
static int
shrink(struct vhd_image *img)
{
  struct space *s = &img->space;
  uint64_t now;

  if (img->top->fixed || !s->touched)
    return 0;
  int e = file_size(img->top->file, &now);
  if (e < 0)
    return e;
  uint64_t size = round_up(space_used_end(img) + FOOTER_SIZE, FILE_ALIGN);
  if (size >= now)
    return 0;
  e = file_write(img->top->file, s->footer, FOOTER_SIZE, size - FOOTER_SIZE);
  if (request_lacks_space(e))
    return 0; /* the file stays as long as it is */
  if (e == 0)
    e = file_do(img->top->file, VHD_IO_SYNC, 0, 0, 0);
  if (e == 0)
    e = file_do(img->top->file, VHD_IO_TRUNCATE, size, 0, 0);
  return e < 0 ? e : file_do(img->top->file, VHD_IO_SYNC, 0, 0, 0);
}

int
image_finish(struct vhd_image *img)
{
  if (!img->writable)
    return 0;
  int e = vhd_flush(img);
  if (e == 0)
    e = sync_reclaim(img);
  return e < 0 ? e : shrink(img);
}

int
vhd_close(struct vhd_image *image, struct vhd_error *err)
{
  if (!image)
    return 0;
  int e = image_finish(image);
  if (e < 0)
    vhd_fail_sys(err, -e, "%s: cannot be closed cleanly; what was written "
                 "since the last flush may be lost", image->top->path);
  else if (image->writable)
    journal_file_close(&image->journal_file, image->top->file, true);
  image_free(image);
  return e;
}

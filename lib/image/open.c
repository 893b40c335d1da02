/* SPDX-License-Identifier: BSD-2-Clause */
/* open.c: opening images and chains of them, and closing.
 *
 * An open for writing begins with a sync: what we read is then what a power cut
 * would leave, whoever wrote it.  What a killed process left in the journal is
 * made durable too before anything else is done, so that no slot it freed is
 * used again while the disk still leads to it. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/guid.h"
#include "image/open.h"
#include "image/parent.h"
#include "image/replay.h"
#include "store/local.h"

#define FILE_ALIGN 4096

const char *
vhd_warning(const struct vhd_image *image, unsigned i)
{
  return i < image->top->nwarning ? image->top->warning[i] : NULL;
}

/* ----------------------------------------------------------------- one file */

/* The journal's blocks may lie where the file, as it was read, had none. */
static int
recheck(struct vhd_image *img, struct vhd_error *err)
{
  img->top->layout.bat = (uint32_t *)img->top->bat;
  int e = layout_recheck(img->top->file, &img->top->layout, err);
  img->top->layout.bat = NULL;
  if (e < 0)
    return vhd_fail(err, VHD_JOURNAL, EIO,
                    "%s: a killed server left changes of this image in memory, "
                    "but the image was changed since by another program; if "
                    "those changes are not wanted, remove its journal",
                    img->top->path);
  return 0;
}

static int
start_writing(struct vhd_image *img, struct vhd_error *err)
{
  int e = img->top->fixed ? 0 : space_init(img, &img->top->layout);
  if (e == 0 && RULE(OPEN_SYNC))
    e = file_do(img->top->file, VHD_IO_SYNC, 0, 0, 0);
  if (e == 0)
    e = vhd_flush(img);
  return e < 0 ? vhd_fail_sys(err, -e, "%s: cannot be made ready for writing",
                              img->top->path) : 0;
}

int
image_start(struct vhd_image *img, struct journal *journal, bool keep,
            struct vhd_error *err)
{
  bool replay = journal && !img->top->fixed && !journal_empty(journal);

  int e = layer_make_table(img->top, img->writable);
  if (e == 0 && (img->writable || replay))
    e = commit_init(img);
  if (e < 0)
    return vhd_fail_sys(err, -e, "%s", img->top->path);
  if (replay) {
    e = replay_journal(img, journal, err);
    if (e == 0)
      e = recheck(img, err);
    if (e < 0)
      return e;
  }
  img->journal = keep ? journal : NULL;
  img->write_through = img->writable && !img->top->fixed && !img->journal;
  if (img->writable) {
    e = start_writing(img, err);
    if (e < 0)
      return e;
    img->space.touched |= replay;
  }
  slots_free(&img->top->layout.slots);
  return 0;
}

/* ---------------------------------------------------------------- the chain */

/* The files from the child down to here, to find circles. */
struct link {
  dev_t dev;
  ino_t ino;
  const struct link *child;
  unsigned depth;
};

struct descent {
  const struct chain *chain;
  const struct vhd_image *child;
  const struct link *link;
  struct vhd_image *parent; /* the answer */
};

static int open_parents(struct vhd_image *img, const struct chain *chain,
                        const struct link *child, struct vhd_error *err);
static int start_with_journal(struct vhd_image *img, const char *dir,
                              struct vhd_error *err);

/* What went wrong in an ancestor is told with the name of the image that was
 * to be opened; once, however many lie between. */
static int
in_parent(const struct descent *d, int e, struct vhd_error *err)
{
  static const int own[] = { VHD_BUSY, VHD_CHAIN_CYCLE, VHD_LIMIT, VHD_SYSTEM,
                             VHD_PARENT_MISSING, VHD_PARENT_ID,
                             VHD_PARENT_DENIED, VHD_CHAIN_PARENT };
  int code = VHD_CHAIN_PARENT;

  if (!err || d->link->depth > 0)
    return e;
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (err->code == own[i])
      code = own[i];
  vhd_fail(err, code, err->sys ? err->sys : EINVAL, "%s: in its parent: %s",
           d->child->top->path, err->message);
  return e;
}

static int
try_parent(void *opaque, const char *path, struct vhd_error *err)
{
  struct descent *d = opaque;
  struct vhd_file *file;
  struct stat st;

  if (stat(path, &st) < 0)
    return -ENOENT;
  for (const struct link *l = d->link; l; l = l->child)
    if (l->dev == st.st_dev && l->ino == st.st_ino)
      return vhd_fail(err, VHD_CHAIN_CYCLE, ELOOP,
                      "%s: its chain of parents is a circle, which closes at "
                      "'%s'", d->child->top->path, path);
  bool unlocked = d->chain->flags & VHD_OPEN_UNLOCKED;
  int e = local_open(path, unlocked ? LOCAL_UNLOCKED : LOCAL_READ, &file, err);
  if (e < 0)
    return e == -ENOENT ? e : in_parent(d, e, err);

  char real[PATH_MAX];
  if (local_real_path(file, real, sizeof real) < 0 ||
      strcmp(real, path) != 0) {
    file_close(file);
    return vhd_fail(err, VHD_PARENT_DENIED, ENOENT,
                    "%s: '%s' was moved while it was opened",
                    d->child->top->path, path);
  }
  struct vhd_image *parent;
  e = image_new(file, VHD_OPEN_READONLY | d->chain->flags, &parent, err);
  if (e < 0)
    return in_parent(d, e, err);
  if (memcmp(parent->top->footer.id, d->child->top->header.parent_id,
             16) != 0) {
    char want[GUID_TEXT_SIZE], have[GUID_TEXT_SIZE];
    guid_text(d->child->top->header.parent_id, want);
    guid_text(parent->top->footer.id, have);
    vhd_fail(err, VHD_PARENT_ID, EINVAL,
             "%s: its parent has the id %s, but '%s' has %s: it is another "
             "image, or was replaced", d->child->top->path, want, path, have);
    image_free(parent);
    return -ENOENT; /* perhaps elsewhere */
  }
  /* This is the parent: whatever goes wrong from here on is final. */
  e = open_parents(parent, d->chain, d->link, err);
  if (e == 0)
    e = start_with_journal(parent, NULL, err);
  if (e < 0) {
    e = in_parent(d, e == -ENOENT ? -EINVAL : e, err);
    image_free(parent);
    return e;
  }
  d->parent = parent;
  return 0;
}

static void
warn_of_parent(struct vhd_image *img)
{
  const struct layer *parent = img->layers->layer[1];
  uint32_t ts = img->top->header.parent_timestamp;
  char text[400];

  if (ts != 0 && (int64_t)ts != parent->mtime - VHD_EPOCH &&
      ts != parent->footer.timestamp) {
    snprintf(text, sizeof text, "the parent '%.200s' has another timestamp "
             "than recorded: if it was written to since the child was made, "
             "the child is damaged", parent->path);
    layer_warn(img->top, text);
  }
}

/* A Xen child of a raw disk. */
static int
try_raw_parent(void *opaque, const char *path, struct vhd_error *err)
{
  struct descent *d = opaque;
  struct vhd_file *file;

  int e = local_open(path, LOCAL_READ, &file, err);
  if (e < 0)
    return e;
  struct vhd_image *parent;
  e = image_new(file, VHD_OPEN_READONLY | VHD_OPEN_RAW, &parent, err);
  if (e < 0)
    return e;
  parent->top->size = round_down(parent->top->size, 512);
  d->parent = parent;
  return 0;
}

static int
open_parents(struct vhd_image *img, const struct chain *chain,
             const struct link *child, struct vhd_error *err)
{
  struct link link = { img->top->file->dev, img->top->file->ino, child,
                       child ? child->depth + 1 : 0 };
  struct descent d = { chain, img, &link, NULL };

  if (!img->orphan || chain->flags & VHD_OPEN_NO_PARENT)
    return 0;
  if (link.depth >= VHD_MAX_DEPTH)
    return vhd_fail(err, VHD_LIMIT, ELOOP,
                    "%s: the chain of parents is longer than %d",
                    img->top->path, VHD_MAX_DEPTH);
  bool raw = guid_is_null(img->top->header.parent_id);
  if (raw && !(chain->flags & VHD_OPEN_RAW_PARENT))
    return vhd_fail(err, VHD_PARENT_ID, EINVAL,
                    "%s: it names no VHD as its parent but a raw file ('%s'); "
                    "this must be allowed explicitly", img->top->path,
                    img->top->parent_name);
  int e = parent_find(img, chain, raw ? try_raw_parent : try_parent, &d, err);
  if (e < 0)
    return e;
  if (image_set_parent(img, d.parent) < 0)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  warn_of_parent(img);
  return 0;
}

/* ------------------------------------------------------------------ journal */

static int
start_with_journal(struct vhd_image *img, const char *dir,
                   struct vhd_error *err)
{
  struct journal_file *jf = &img->journal_file;
  struct journal *journal = NULL;

  if (img->top->fixed || img->orphan || img->unlocked)
    return image_start(img, NULL, false, err);
  int e = journal_file_open(dir, img->top->file, img->top->footer.id,
                            journal_bytes(JOURNAL_RECORDS),
                            !img->writable, jf, err);
  if (e < 0 && e != -ENOENT)
    return e;
  if (e == 0 && jf->left_over)
    journal = journal_adopt(jf->mem, jf->bytes);
  if (e == 0 && !journal && img->writable)
    journal = journal_format(jf->mem, jf->bytes);
  return image_start(img, journal, img->writable, err);
}

/* ------------------------------------------------------------------- public */

static int
canonical_roots(const char *path, const struct vhd_open_options *opt,
                struct chain *chain, struct vhd_error *err)
{
  CLEANUP_FREE char *real = realpath(path, NULL);
  char *slash = real ? strrchr(real, '/') : NULL;

  chain->flags = opt->flags & (VHD_OPEN_RAW_PARENT | VHD_OPEN_UNLOCKED |
                               VHD_OPEN_NO_PARENT);
  chain->roots = calloc(opt->nroots + 1, sizeof *chain->roots);
  if (!chain->roots || !slash)
    return vhd_fail_sys(err, slash ? ENOMEM : errno, "%s", path);
  slash[slash == real] = '\0';
  if (opt->nroots == 0)
    chain->roots[chain->nroots++] = STEAL(real);
  for (size_t i = 0; i < opt->nroots; i++) {
    char *root = realpath(opt->roots[i], NULL);
    if (!root)
      return vhd_fail_sys(err, errno, "%s", opt->roots[i]);
    chain->roots[chain->nroots++] = root;
  }
  return 0;
}

static int
open_image(const char *path, const struct vhd_open_options *opt,
           const struct chain *chain, struct vhd_image **image,
           struct vhd_error *err)
{
  bool readonly = opt->flags & VHD_OPEN_READONLY;
  enum local_mode mode = opt->flags & VHD_OPEN_UNLOCKED ? LOCAL_UNLOCKED
                         : readonly ? LOCAL_READ : LOCAL_WRITE;
  struct vhd_file *file;

  int e = local_open(path, mode, &file, err);
  if (e < 0)
    return e;
  e = image_new(file, opt->flags, image, err);
  if (e < 0)
    return e;
  (*image)->unlocked = mode == LOCAL_UNLOCKED;
  e = open_parents(*image, chain, NULL, err);
  if (e == 0)
    e = start_with_journal(*image, opt->journal_dir, err);
  if (e < 0)
    image_free(*image);
  return e;
}

int
vhd_open(const char *path, const struct vhd_open_options *opt,
         struct vhd_image **image, struct vhd_error *err)
{
  static const struct vhd_open_options defaults;
  struct chain chain = { 0 };

  if (!opt)
    opt = &defaults;
  if (opt->flags & (VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT) &&
      !(opt->flags & VHD_OPEN_READONLY))
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: to open it without locks or without its parent, open "
                    "it read-only", path);
  struct vhd_image *img = NULL;
  int e = canonical_roots(path, opt, &chain, err);
  if (e == 0)
    e = open_image(path, opt, &chain, &img, err);
  for (size_t i = 0; i < chain.nroots; i++)
    free(chain.roots[i]);
  free(chain.roots);
  if (e == 0)
    *image = img;
  return e;
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
    journal_file_close(&image->journal_file, true);
  image_free(image);
  return e;
}

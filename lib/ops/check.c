/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c: vhd_check(), everything that can be wrong with an image and its
 * chain.  One thread a call; only reads.
 *
 * Each file of the chain is read by the reader that opening uses, told to go on
 * past what is broken, and then looked at more closely than opening has time
 * for: odd footers, leaked space, every bitmap.  Whether the chain holds
 * together is not judged here a second time: it is opened. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "format/geometry.h"
#include "image/image.h"
#include "image/layout.h"
#include "image/layout_vhdx.h"
#include "image/open.h"
#include "image/parent_time.h"
#include "ops/check.h"
#include "store/local.h"
#include "store/redo.h"
#include "vhdkit.h"

/* So that layout_read() can report through a struct checker. */
struct check_sink {
  struct layout_sink sink; /* first */
  struct checker *c;
};

static void
hear(struct layout_sink *sink, enum vhd_severity severity, int code,
     const char *message)
{
  struct checker *c = ((struct check_sink *)sink)->c;

  c->nheard++;
  checker_tell(c, severity, code, message);
}

/* Is this error about what the file holds, rather than about getting at it? */
static bool
is_about_content(const struct vhd_error *err)
{
  return err->code != VHD_OK && err->code != VHD_BUSY &&
         err->code != VHD_SYSTEM && err->code != VHD_ARGUMENT &&
         err->code != VHD_METADATA_READ && err->code != VHD_READ_ONLY;
}

/* Messages name the file they are about; findings have that apart. */
static const char *
without_path(const char *message, const char *path)
{
  size_t len = strlen(path);

  if (strncmp(message, path, len) == 0 && strncmp(message + len, ": ", 2) == 0)
    return message + len + 2;
  return message;
}

void
check_footer(struct checker *c)
{
  const struct footer *f = &c->layout.footer;
  struct geometry geometry = { f->cylinders, f->heads, f->sectors };

  if (f->saved_state)
    layout_tell(&c->sink, VHD_NOTE, VHD_STATE,
                "the state of a virtual machine was saved with it: it must "
                "not change until the machine goes on");
  if (f->hidden)
    layout_tell(&c->sink, VHD_NOTE, VHD_STATE, "Xen marked it as hidden");
  if (!(f->features & 2))
    layout_tell(&c->sink, VHD_NOTE, VHD_FOOTER_CORRUPT,
                "the feature bit that is always set is not");
  /* The specification shows 32 bits of ones in this field of 64. */
  if (f->type == VHD_FIXED && f->data_offset != UINT64_MAX &&
      f->data_offset != UINT32_MAX)
    layout_tell(&c->sink, VHD_NOTE, VHD_FOOTER_CORRUPT,
                "it names a dynamic header at %" PRIu64 ", which a fixed "
                "disk does not have", f->data_offset);
  if (f->features & 1)
    layout_tell(&c->sink, VHD_NOTE, VHD_STATE, "it is marked as temporary");
  if ((int64_t)f->timestamp + VHD_EPOCH > (int64_t)time(NULL) + 24 * 3600)
    layout_tell(&c->sink, VHD_NOTE, VHD_FOOTER_CORRUPT,
                "it was created in the future");
  if (geometry_size(geometry) > c->layout.disk_size &&
      !(f->cylinders == 65535 && f->heads == 16 && f->sectors == 255))
    layout_tell(&c->sink, VHD_NOTE, VHD_SIZE,
                "its geometry makes %" PRIu64 " bytes, more than the %"
                PRIu64 " of the disk", geometry_size(geometry),
                c->layout.disk_size);
}

/* By the reader of its format. */
static int
read_layout(struct checker *c, uint32_t flags, struct layout_sink *sink,
            struct vhd_error *fault)
{
  enum vhd_format format;

  int r = layout_format(c->file, &format, fault);
  if (r < 0)
    return r;
  return format == VHD_FORMAT_VHDX
           ? layout_vhdx_read(c->file, sink, &c->layout, fault)
           : layout_read(c->file, flags, sink, &c->layout, fault);
}

/* One opened file.  0, or -errno where it could not be read. */
static int
check_layout(struct checker *c, uint32_t flags, struct vhd_error *err)
{
  struct check_sink sink = {
    .sink = { .found = hear, .keep_going = true },
    .c = c,
  };
  struct vhd_error fault = { 0 };
  uint32_t errors = c->result->errors;

  memset(&c->layout, 0, sizeof c->layout);
  /* Between an interrupted change and its end nothing else can be said. */
  int r = flags & VHD_OPEN_UNLOCKED
            ? 0 : redo_finish(c->file, REDO_READER, &fault);
  if (r >= 0)
    r = read_layout(c, flags, &sink.sink, &fault);
  if (r < 0) {
    /* Another format is no broken VHD. */
    if (is_about_content(&fault) && fault.code != VHD_FORMAT_UNKNOWN) {
      checker_tell(c, VHD_BROKEN, fault.code,
                   without_path(fault.message, c->path));
      return 0;
    }
    if (err != NULL)
      *err = fault;
    return r;
  }
  if (c->layout.vhdx != NULL)
    return 0; /* all that is looked at its reader has seen */
  check_footer(c);
  if (c->layout.footer.type != VHD_FIXED) {
    if (c->result->errors == errors)
      r = check_adopt_journal(c, err);
    if (r < 0)
      return r;
    check_space(c);
    /* What a broken table leads to says nothing; and a small file may have it
     * lead to the same data millions of times. */
    if (c->result->errors == errors)
      r = check_bitmaps(c, err);
  }
  return r;
}

/* One file by its name, and as it is opened (layer, or NULL); sets *type, 0 if
 * it is not known. */
static int
check_file(struct checker *c, const char *path, struct layer *layer,
           uint32_t flags, uint32_t *nallocated, enum vhd_type *type,
           struct vhd_error *err)
{
  enum local_mode mode =
    flags & VHD_OPEN_UNLOCKED ? LOCAL_UNLOCKED : LOCAL_READ;

  c->path = path;
  c->layer = layer;
  c->nheard = 0;
  int r = local_open(path, mode, &c->file, err);
  if (r < 0)
    return r;
  const uint64_t from = c->progress.done;
  r = check_layout(c, flags, err);
  if (r == 0)
    r = progress_reach(&c->progress, from + c->layout.disk_size, err);
  *type = layout_type(&c->layout);
  *nallocated = c->layout.nallocated;
  layout_free(&c->layout);
  file_close(c->file);
  return r;
}

/* Is the parent what it was when the child was made?  text gets what opening
 * warned of. */
static void
check_parent_time(struct checker *c, const struct vhd_image *image, char *text,
                  size_t size)
{
  text[0] = '\0';
  if (!image_is_child(image))
    return;
  switch (parent_time(image->top, image->layers->layer[1], text, size)) {
  case PARENT_AS_RECORDED:
    break;
  case PARENT_OLDER:
    checker_tell(c, VHD_NOTE, VHD_PARENT_TIMESTAMP, text);
    break;
  case PARENT_CHANGED:
    checker_tell(c, VHD_DOUBTFUL, VHD_PARENT_TIMESTAMP, text);
    break;
  }
}

/* What opening has noticed of an image, past what its reader told both of us:
 * something about its parent. */
static void
tell_warnings(struct checker *c, const struct vhd_image *image)
{
  char about_time[sizeof ((struct vhd_error *)NULL)->message];
  const char *text;

  check_parent_time(c, image, about_time, sizeof about_time);
  for (unsigned i = c->nheard; (text = vhd_warning(image, i)) != NULL; i++)
    if (strcmp(text, about_time) != 0)
      checker_tell(c, VHD_NOTE, VHD_PARENT_TIMESTAMP,
                   without_path(text, c->path));
}

/* c->path is the child's. */
static void
compare_sizes(struct checker *c, struct vhd_image *child)
{
  struct vhd_image *parent = vhd_parent(child);

  if (parent != NULL && vhd_size(parent) != vhd_size(child))
    layout_tell(&c->sink, VHD_NOTE, VHD_PARENT_SIZE,
                "the disk has %" PRIu64 " bytes, its parent %" PRIu64,
                vhd_size(child), vhd_size(parent));
}

/* Can anything be wrong with it, in itself?  With a raw parent nothing. */
static bool
has_metadata(const struct vhd_image *image)
{
  return image->top->type != VHD_RAW;
}

/* Disks to look at, in bytes; 0: not known. */
static uint64_t
work_of(struct vhd_image *image)
{
  uint64_t work = 0;

  for (; image != NULL; image = vhd_parent(image))
    work += has_metadata(image) ? vhd_size(image) : 0;
  return work;
}

static int
check_parents(struct checker *c, struct vhd_image *image, uint32_t flags,
              struct vhd_error *err)
{
  while ((image = vhd_parent(image)) != NULL) {
    struct vhd_info info;
    enum vhd_type type = 0;
    uint32_t nallocated = 0;
    vhd_get_info(image, &info);
    if (!has_metadata(image))
      continue;
    int r = check_file(c, info.path, image->top, flags, &nallocated, &type,
                       err);
    if (r < 0)
      return r;
    tell_warnings(c, image);
    compare_sizes(c, image);
  }
  return 0;
}

/* Can it be opened, leaving its parents aside? */
static bool
opens_alone(const char *path, const struct vhd_open_options *opt)
{
  struct vhd_open_options alone = *opt;
  struct vhd_image *image;

  alone.flags |= VHD_OPEN_NO_PARENT;
  if (vhd_open(path, &alone, &image, NULL) < 0)
    return false;
  vhd_close(image, NULL);
  return true;
}

/* What opening it finds beyond the one file: its parents.  image: NULL if it
 * did not open, which fault tells of. */
static int
check_chain(struct checker *c, const char *path, struct vhd_image *image,
            const struct vhd_error *fault, uint32_t flags,
            struct vhd_error *err)
{
  c->path = path;
  if (image == NULL) {
    /* A parent that is not there is what a check is for. */
    if (is_about_content(fault)) {
      checker_tell(c, VHD_BROKEN, fault->code,
                   without_path(fault->message, path));
      return 0;
    }
    if (err != NULL)
      *err = *fault;
    return fault->sys != 0 ? -fault->sys : -EINVAL;
  }
  tell_warnings(c, image);
  compare_sizes(c, image);
  return check_parents(c, image, flags, err);
}

/* image: opened as opt says, or NULL, and why. */
static int
check_image(struct checker *c, const char *path,
            const struct vhd_open_options *opt, struct vhd_image *image,
            const struct vhd_error *fault, struct vhd_error *err)
{
  enum vhd_type type = 0;
  uint32_t nallocated = 0;

  int r = check_file(c, path, image != NULL ? image->top : NULL, opt->flags,
                     &nallocated, &type, err);
  c->result->nblk_allocated = nallocated;
  if (r < 0 || opt->flags & VHD_OPEN_NO_PARENT)
    return r;
  if (c->result->errors > 0 && image == NULL && !opens_alone(path, opt)) {
    if (type == VHD_DIFFERENCING)
      layout_tell(&c->sink, VHD_NOTE, VHD_CHAIN_PARENT,
                  "its parents were not looked at, since it is broken "
                  "itself");
    return 0;
  }
  return check_chain(c, path, image, fault, opt->flags, err);
}

int
vhd_check(const char *path, const struct vhd_check_options *opt,
          void (*found)(void *opaque, const struct vhd_finding *finding),
          void *opaque, struct vhd_check_result *result,
          struct vhd_error *err)
{
  struct vhd_open_options options = { 0 };
  struct checker c = {
    .sink = { .found = checker_hear },
    .found = found,
    .opaque = opaque,
    .result = result,
  };
  struct vhd_error fault = { 0 };
  struct vhd_image *image = NULL;

  if (opt != NULL)
    options = opt->open;
  options.flags |= VHD_OPEN_READONLY;
  *result = (struct vhd_check_result){ 0 };
  int known = vhd_check_open(&options, OPEN_FLAGS, path, err);
  if (known == 0 && opt != NULL)
    known = CHECK_ROOM(opt, path, err);
  if (known < 0)
    return known;
  if (options.flags & VHD_OPEN_RAW)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a raw file has nothing that could be checked", path);

  if (vhd_open(path, &options, &image, &fault) < 0)
    image = NULL;
  int r = progress_begin(&c.progress, opt != NULL ? &opt->progress : NULL,
                         path, work_of(image), err);
  if (r == 0)
    r = check_image(&c, path, &options, image, &fault, err);
  if (r == 0)
    r = progress_end(&c.progress, err);
  vhd_close(image, NULL);
  return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* open.c: see open.h. */
#include "config.h"

#include "catalog/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"

/* Opens the image for a purpose that the flags tell. */
static int
open_as(const struct opening *how, uint32_t flags, struct vhd_image **image,
        struct vhd_error *err)
{
  struct vhd_open_options opt = *how->options;

  opt.flags &=
    ~(uint32_t)(VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | VHD_OPEN_RAW);
  opt.flags |= flags;
  if (how->origin->raw)
    opt.flags |= VHD_OPEN_RAW;
  return vhd_open(how->path, &opt, image, err);
}

static int
open_to_look(const struct opening *how, struct vhd_image **image,
             struct vhd_error *err)
{
  int r = -EAGAIN;

  /* What is being written may look torn, once. */
  for (int i = 0; i < 2 && r < 0; i++)
    r = open_as(how, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED, image, err);
  return r;
}

static enum vhd_holders
holders_of(struct vhd_image *image)
{
  struct vhd_info info;

  vhd_get_info(image, &info);
  return info.held;
}

/* Does somebody write to it or to an ancestor? */
static bool
is_written(struct vhd_image *image)
{
  while (image && holders_of(image) != VHD_HELD_WRITING)
    image = vhd_parent(image);
  return image != NULL;
}

/* The image of a folder could not be opened for writing: would it be in vain,
 * too, to try and open it read-only?  A try may take long, where the holder's
 * end is waited for. */
static bool
in_vain(const struct opening *how)
{
  struct vhd_image *image;
  struct vhd_error err;

  if (open_to_look(how, &image, &err) < 0)
    return true;
  const bool written = is_written(image);
  vhd_close(image, NULL);
  return written;
}

static bool
wants_readonly(const struct opening *how)
{
  return how->readonly || how->origin->readonly;
}

#define VHDX_NOTE "read-only: this is a VHDX image, which is only read"

/* What a client is told who may have wanted to write: no names. */
static const char *
note_of(int error, const struct vhd_error *why)
{
  if (why && why->code == VHD_READ_ONLY)
    return VHDX_NOTE;
  switch (error) {
  case -EACCES:
  case -EPERM:
    return "read-only: the server may not write to this image; its log says "
           "why, and what to do";
  case -EROFS:
    return "read-only: the image lies on a file system that is read-only";
  default:
    return NULL;
  }
}

/* An image of root's, say, that somebody made with sudo. */
static void
log_readonly(const struct opening *how, int r, const struct vhd_error *why)
{
  if (!log_cause_pass("'%s' is served read-only", how->path))
    return;
  if (r == -EACCES)
    log_warning("%s; serving it read-only.  If it is to be written, give it "
                "to the user that vhdkitd runs as (chown %lu %s), or run "
                "vhdkitd as its owner (--user)",
                why->message, (unsigned long)geteuid(), how->path);
  else
    log_notice("%s; serving it read-only", why->message);
}

/* *note: see struct export. */
static int
try_open(const struct opening *how, struct vhd_image **image,
         const char **note, struct vhd_error *err)
{
  struct vhd_error why = { .code = 0 };
  int for_writing = 0;

  *note = NULL;
  if (!wants_readonly(how)) {
    const int r = for_writing = open_as(how, 0, image, &why);
    const bool busy = r < 0 && why.code == VHD_BUSY && !how->origin->stays;
    if ((r != -EACCES && r != -EROFS && r != -EPERM && !busy) ||
        (busy && in_vain(how))) {
      *err = why;
      return r;
    }
  }
  const int r = open_as(how, VHD_OPEN_READONLY, image, err);
  if (r == 0 && for_writing < 0) {
    *note = note_of(for_writing, &why);
    log_readonly(how, for_writing, &why);
  }
  return r;
}

/* What opening noticed, of the image and of all that it stands on. */
static void
log_warnings(struct vhd_image *image)
{
  for (; image; image = vhd_parent(image)) {
    struct vhd_info info;
    const char *warning;
    if (vhd_warning(image, 0))
      vhd_get_info(image, &info);
    for (unsigned i = 0; (warning = vhd_warning(image, i)) != NULL; i++)
      if (log_cause_pass("the warnings of '%s'", info.path))
        log_warning("%s: %s", info.path, warning);
  }
}

/* -------------------------------------------------------------------- files */

int
file_id_of(const char *path, struct file_id *id)
{
  struct stat st;

  if (stat(path, &st) < 0)
    return -errno;
  *id = (struct file_id){ .device = st.st_dev, .inode = st.st_ino };
  return 0;
}

/* info: the image's own. */
static int
chain_of(struct vhd_image *image, const struct vhd_info *info,
         struct file_ids *files)
{
  struct vhd_info of = *info;

  files->n = 0;
  files->id = calloc(info->depth + 1, sizeof *files->id);
  if (!files->id)
    return -ENOMEM;
  for (;;) {
    files->id[files->n++] =
      (struct file_id){ .device = of.device, .inode = of.inode };
    image = vhd_parent(image);
    if (!image || files->n > info->depth)
      return 0;
    vhd_get_info(image, &of);
  }
}

int
image_look_chain(const struct opening *how, struct file_ids *files,
                 struct vhd_error *err)
{
  struct vhd_image *image;
  struct vhd_info info;
  int r = open_to_look(how, &image, err);

  if (r < 0)
    return r;
  vhd_get_info(image, &info);
  r = chain_of(image, &info, files);
  vhd_close(image, NULL);
  return r < 0 ? fail_system(err, -r, "%s", how->path) : 0;
}

/* What the attempt to open it for writing would meet: 0 or -errno. */
static int
denied_to_write(const char *path)
{
  const struct vhd_host *host = vhd_host();
  const int fd = host->open(host->opaque, AT_FDCWD, path, O_RDWR, 0);

  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

/* ------------------------------------------------------------------- public */

int
image_look(const struct opening *how, struct export_facts *facts,
           struct vhd_error *err)
{
  struct vhd_image *image;
  struct vhd_info info;
  const int r = open_to_look(how, &image, err);

  if (r < 0)
    return r;
  vhd_get_info(image, &info);
  const bool vhdx = info.format == VHD_FORMAT_VHDX;
  const bool writable = how->will_be && !wants_readonly(how);
  const int denied =
    writable || wants_readonly(how) ? 0 : denied_to_write(how->path);
  *facts = (struct export_facts){
    .description = how->origin->description,
    .note = vhdx && !wants_readonly(how) ? VHDX_NOTE : note_of(denied, NULL),
    .size = info.size,
    .readonly =
      wants_readonly(how) || denied < 0 || vhdx ||
      (!writable && (info.held != VHD_HELD_BY_NOBODY || is_written(image))),
    .tls_only = how->origin->tls_only,
    .depth = info.depth,
  };
  vhd_close(image, NULL);
  return 0;
}

int
image_open(const struct opening *how, struct generation *gen,
           struct vhd_error *err)
{
  struct vhd_image *image;
  struct vhd_info info;
  const char *note;
  int r = try_open(how, &image, &note, err);

  if (r < 0)
    return r;
  vhd_get_info(image, &info);
  r = chain_of(image, &info, &gen->files);
  if (r < 0) {
    vhd_close(image, NULL);
    return fail_system(err, -r, "%s", how->path);
  }
  descriptors_take_image(gen->files.n);
  gen->path = strdup(how->path);
  io_queue_limit(gen->export.queue, how->origin->quota);
  gen->stays = how->origin->stays;
  gen->export.image = image;
  gen->export.description = how->origin->description;
  gen->export.note = note;
  gen->export.size = info.size;
  gen->export.readonly = info.read_only;
  gen->export.tls_only = how->origin->tls_only;
  log_warnings(image);
  return 0;
}

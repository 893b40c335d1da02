/* SPDX-License-Identifier: BSD-2-Clause */
/* open.c: finding and opening the image of an export; see entry.h.
 *
 * Runs on threads of the entries' queues, and at start on the main thread. */
#include "config.h"

#include "catalog/entry.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/server_config.h"

/* Opens the image for a purpose that the flags tell. */
static int
open_as(const struct entry *entry, uint32_t flags, const char *path,
        struct vhd_image **image, struct vhd_error *err)
{
  struct vhd_open_options opt = entry->exports->config->open;

  opt.flags &= ~(uint32_t)(VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED |
                           VHD_OPEN_RAW);
  opt.flags |= flags;
  if (entry->raw)
    opt.flags |= VHD_OPEN_RAW;
  return vhd_open(path, &opt, image, err);
}

static int
open_to_look(const struct entry *entry, const char *path,
             struct vhd_image **image, struct vhd_error *err)
{
  int r = -EAGAIN;

  /* What is being written may look torn, once. */
  for (int i = 0; i < 2 && r < 0; i++)
    r = open_as(entry, VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED, path, image,
                err);
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
in_vain(const struct entry *entry, const char *path)
{
  struct vhd_image *image;
  struct vhd_error err;

  if (open_to_look(entry, path, &image, &err) < 0)
    return true;
  const bool written = is_written(image);
  vhd_close(image, NULL);
  return written;
}

static int
try_open(struct entry *entry, const char *path, struct vhd_error *err)
{
  struct vhd_image **image = &entry->export.image;
  struct vhd_error why = { .code = 0 };

  if (!entry->want_readonly) {
    const int r = open_as(entry, 0, path, image, &why);
    const bool busy = r < 0 && why.code == VHD_BUSY && !entry->path;
    if ((r != -EACCES && r != -EROFS && r != -EPERM && !busy) ||
        (busy && in_vain(entry, path))) {
      *err = why;
      return r;
    }
  }
  const int r = open_as(entry, VHD_OPEN_READONLY, path, image, err);
  if (r == 0 && !entry->want_readonly)
    log_notice("%s; serving it read-only", why.message);
  return r;
}

int
entry_look(const struct entry *entry, const char *path,
           struct export_facts *facts, struct vhd_error *err)
{
  struct vhd_image *image;
  const int r = open_to_look(entry, path, &image, err);

  if (r < 0)
    return r;
  *facts = (struct export_facts){
    .description = entry->export.description,
    .size = vhd_size(image),
    .readonly = entry->want_readonly || access(path, W_OK) < 0 ||
                holders_of(image) != VHD_HELD_BY_NOBODY || is_written(image),
    .tls_only = entry->export.tls_only,
  };
  vhd_close(image, NULL);
  return 0;
}

static int
warn_of_child(void *entry, const char *child)
{
  log_warning("export '%s': it is the parent of '%s', which is damaged by any "
              "change to it; --readonly would protect it",
              ((struct entry *)entry)->name, child);
  return 1; /* one is enough */
}

/* What opening noticed, of the image and of all that it stands on. */
static void
log_warnings(struct vhd_image *image)
{
  for (; image; image = vhd_parent(image)) {
    struct vhd_info info;
    const char *warning;
    vhd_get_info(image, &info);
    for (unsigned i = 0; (warning = vhd_warning(image, i)) != NULL; i++)
      log_warning("%s: %s", info.path, warning);
  }
}

int
entry_open_image(struct entry *entry, const char *path, struct vhd_error *err)
{
  struct vhd_info info;
  int r = try_open(entry, path, err);

  if (r < 0) {
    entry->export.image = NULL;
    return r;
  }
  vhd_get_info(entry->export.image, &info);
  entry->export.size = info.size;
  entry->export.readonly = info.read_only;
  log_warnings(entry->export.image);
  /* Not in a folder of exports, each of which would look at all the others. */
  if (entry->path && !info.read_only)
    vhd_find_children(entry->export.image, NULL, VHD_FIND_LIMIT, warn_of_child,
                      entry);
  return 0;
}

bool
entry_find_path(const struct entry *entry, char *path)
{
  static const char *const suffixes[] = { "vhd", "VHD" };
  const char *folder = entry->exports->config->directory;

  if (entry->path)
    return snprintf(path, PATH_MAX, "%s", entry->path) < PATH_MAX;
  for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
    if (snprintf(path, PATH_MAX, "%s/%s.%s", folder, entry->name,
                 suffixes[i]) < PATH_MAX &&
        access(path, F_OK) == 0)
      return true;
  errno = ENOENT;
  return false;
}

void
copy_without_folders(char *out, size_t size, const char *text,
                     const char *path)
{
  const char *slash = strrchr(path, '/');
  const size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
  size_t n = 0, word = 0;

  while (*text && n + 1 < size) {
    if (folder && strncmp(text, path, folder) == 0) {
      text += folder;
      continue;
    }
    if (*text == '/' && text[1] != ' ' && text[1] != '\0') {
      n = word; /* what came before the slash was a folder */
      text++;
      continue;
    }
    if (strchr(" '\"(:", *text))
      word = n + 1;
    out[n++] = *text++;
  }
  out[n] = '\0';
}

/* The entries that are this image, the parent of something that is served:
 * nobody may write to it, or the child is worth nothing. */
static void
spare_parent(struct exports *exports, const char *path, const char *child)
{
  struct entry *entry, *next;
  struct stat st;

  if (stat(path, &st) < 0)
    return;
  HASH_ITER(hh, exports->entries, entry, next)
    if (!entry->want_readonly && entry->file.st_ino == st.st_ino &&
        entry->file.st_dev == st.st_dev) {
      log_notice("export '%s': it is a parent of '%s', which is served too; "
                 "serving it read-only", entry->name, child);
      entry->want_readonly = true;
    }
}

void
exports_spare_parents(struct exports *exports)
{
  struct vhd_open_options opt = exports->config->open;
  struct entry *entry, *next;
  struct vhd_error err;
  struct vhd_image *image;
  struct vhd_info info;

  HASH_ITER(hh, exports->entries, entry, next)
    if (stat(entry->path, &entry->file) < 0)
      entry->file.st_ino = 0;
  opt.flags |= VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED;
  HASH_ITER(hh, exports->entries, entry, next) {
    if (entry->raw || vhd_open(entry->path, &opt, &image, &err) < 0)
      continue; /* told of when it is opened to be served */
    struct vhd_image *parent = image;
    while ((parent = vhd_parent(parent)) != NULL) {
      vhd_get_info(parent, &info);
      spare_parent(exports, info.path, entry->name);
    }
    vhd_close(image, NULL);
  }
}

/* ------------------------------------------------------------------ start */

static int
open_named(struct exports *exports, struct vhd_error *err)
{
  struct entry *entry, *next;

  if (exports->config->nexports > 1 && !exports->config->readonly)
    exports_spare_parents(exports);
  HASH_ITER(hh, exports->entries, entry, next) {
    const int r = entry_open_image(entry, entry->path, err);
    if (r < 0)
      return r;
    entry->state = OPEN;
  }
  return 0;
}

int
exports_open(struct exports *exports, struct vhd_error *err)
{
  return exports->entries ? open_named(exports, err) : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: see image.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "image.h"
#include "message.h"

static struct option_list roots;
static bool size_chs, raw_parent, unlocked;

const struct option_spec root_options[] = {
  { .name = "root", .kind = OPTION_LIST, .value = &roots, .argument = "DIR",
    .help = "parents may lie below DIR; may be given again "
            "(default: $VHDKIT_ROOTS, else the folder of the image)" },
  { .name = NULL },
};

const struct option_spec open_options[] = {
  { .name = "size-chs", .kind = OPTION_FLAG, .value = &size_chs,
    .help = "take the size of the disk from its geometry, as Virtual PC does" },
  { .name = "raw-parent", .kind = OPTION_FLAG, .value = &raw_parent,
    .help = "accept that a parent is a raw file (a Xen extension); only for "
            "images you trust" },
  { .name = NULL },
};

const struct option_spec look_options[] = {
  { .name = "unlocked", .kind = OPTION_FLAG, .value = &unlocked,
    .help = "look even if another program is writing to the image; what is "
            "seen may be torn" },
  { .name = NULL },
};

/* The library passes over folders that are not there; but one that was just
 * typed is a mistake. */
static void
check_given_roots(void)
{
  for (size_t i = 0; i < roots.n; i++)
    if (access(roots.item[i], F_OK) < 0) {
      complain_sys(errno, "--root %s", roots.item[i]);
      exit(exits_resolve(EXIT_FAILED));
    }
}

/* VHDKIT_ROOTS: folders with colons between them. */
static void
roots_from_environment(void)
{
  const char *env = getenv("VHDKIT_ROOTS");

  if (env == NULL || *env == '\0')
    return;
  /* Both live as long as the program. */
  char *copy = strdup(env);
  roots.item = calloc(strlen(env) / 2 + 1, sizeof *roots.item);
  if (copy == NULL || roots.item == NULL)
    abort();
  for (char *dir = strtok(copy, ":"); dir != NULL; dir = strtok(NULL, ":"))
    roots.item[roots.n++] = dir;
}

static void
find_roots(void)
{
  static bool found;

  if (!found && roots.n > 0)
    check_given_roots();
  else if (!found)
    roots_from_environment();
  found = true;
}

struct vhd_open_options
image_open_options(uint32_t flags)
{
  find_roots();
  if (size_chs)
    flags |= VHD_OPEN_SIZE_CHS;
  if (raw_parent)
    flags |= VHD_OPEN_RAW_PARENT;
  if (unlocked)
    flags |= VHD_OPEN_UNLOCKED;
  return (struct vhd_open_options){
    .flags = flags,
    .roots = roots.item,
    .nroots = roots.n,
  };
}

void
image_complain(const struct vhd_error *err, bool look)
{
  exits_note(exits_of_error(err));
  if (err->code == VHD_CANCELED)
    complain("interrupted");
  else
    complain("%s%s", err->message, look && err->code == VHD_BUSY
                                     ? "; --unlocked looks all the same" : "");
}

void
image_complain_new(const struct vhd_error *err, bool overwrite)
{
  exits_note(exits_of_error(err));
  if (err->code == VHD_CANCELED)
    complain("interrupted; nothing has changed");
  else
    complain("%s%s", err->message, !overwrite && err->sys == EEXIST
                                     ? "; --overwrite replaces it" : "");
}

struct vhd_image *
image_open(const char *path, uint32_t flags)
{
  struct vhd_open_options opt = image_open_options(flags);
  struct vhd_error err = { 0 };
  struct vhd_image *image;

  if (vhd_open(path, &opt, &image, &err) < 0) {
    image_complain(&err, flags & VHD_OPEN_READONLY);
    return NULL;
  }
  return image;
}

void
image_warn(struct vhd_image *image)
{
  const char *text;

  for (; image != NULL; image = vhd_parent(image))
    for (unsigned i = 0; (text = vhd_warning(image, i)) != NULL; i++)
      complain("warning: %s", text);
}

static int
warn_of_child(void *opaque, const char *path)
{
  struct vhd_info info;

  vhd_get_info(opaque, &info);
  complain("warning: %s: it is the parent of '%s', which is damaged by any "
           "change to it", info.path, path);
  return 1; /* one is enough */
}

void
image_warn_of_children(struct vhd_image *image)
{
  vhd_find_children(image, NULL, VHD_FIND_LIMIT, warn_of_child, image);
}

struct part {
  struct vhd_image *image;
  struct vhd_info info; /* of the part that was found */
};

/* Is the file the image or one of its parents? */
static bool
find_part(void *opaque, dev_t dev, ino_t ino)
{
  struct part *part = opaque;

  for (struct vhd_image *i = part->image; i != NULL; i = vhd_parent(i)) {
    struct stat st;
    vhd_get_info(i, &part->info);
    if (stat(part->info.path, &st) == 0 && st.st_dev == dev &&
        st.st_ino == ino)
      return true;
  }
  return false;
}

bool
image_refuse_self(struct vhd_image *image, const char *name, const char *path,
                  const struct stat *file, const char *done)
{
  struct part part = { .image = image };

  if (find_part(&part, file->st_dev, file->st_ino)) {
    complain_as(EXIT_REFUSED, "%s: this file is part of the image that is to "
                "be %s", name, done);
    return true;
  }
  if (S_ISBLK(file->st_mode) &&
      device_lies_on(file->st_rdev, path, find_part, &part)) {
    complain_as(EXIT_REFUSED, "%s: this device keeps its bytes in '%s', which "
                "is part of the image that is to be %s", name, part.info.path,
                done);
    return true;
  }
  return false;
}

int
image_close(struct vhd_image *image)
{
  struct vhd_error err = { 0 };

  if (vhd_close(image, &err) < 0) {
    image_complain(&err, false);
    return -1;
  }
  return 0;
}

struct vhd_image *
image_ancestor(struct vhd_image *image, unsigned depth)
{
  while (image != NULL && depth-- > 0)
    image = vhd_parent(image);
  return image;
}

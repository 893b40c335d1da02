/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c: vhdkit create.  Turns options into a wish for the library, and says
 * where a new child would not open as things are. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats.h"
#include "image.h"
#include "interrupt.h"
#include "label.h"
#include "message.h"
#include "progress.h"
#include "remote.h"
#include "verbs.h"

static uint64_t size, block_size;
static bool size_given, block_size_given;
static int type;
static const char *parent, *from, *like;
static int from_format = FORMAT_VHD;
static bool from_format_given;
static bool full, absolute, overwrite, protect;
static int label;

static const struct option_choice types[] = {
  { "fixed", VHD_FIXED },
  { "dynamic", VHD_DYNAMIC },
  { "differencing", VHD_DIFFERENCING },
  { NULL, 0 },
};

static const struct option_choice labels[] = {
  { "mbr", LABEL_MBR },
  { "gpt", LABEL_GPT },
  { NULL, 0 },
};

static const struct option_spec options[] = {
  { .name = "size", .kind = OPTION_SIZE, .value = &size,
    .given = &size_given, .argument = "SIZE",
    .help = "of the disk: a multiple of 512, as 512, 64K, 10G, 1.5T "
            "(default with --parent: the parent's)" },
  { .name = "type", .kind = OPTION_CHOICE, .value = &type, .choices = types,
    .argument = "TYPE",
    .help = "fixed, dynamic (default) or differencing (with --parent)" },
  { .name = "parent", .kind = OPTION_STRING, .value = &parent,
    .argument = "IMAGE",
    .help = "make a differencing image: what is not written to it is read from "
            "IMAGE, which must never change again" },
  { .name = "from", .kind = OPTION_STRING, .value = &from,
    .argument = "DISK",
    .help = "fill it with the content of DISK, an image, a raw file or an NBD "
            "URI; zeros take no space" },
  { .name = "from-format", .kind = OPTION_CHOICE, .value = &from_format,
    .choices = formats, .given = &from_format_given, .argument = "FORMAT",
    .help = "of DISK: vhd (default) or raw; never guessed" },
  { .name = "like", .kind = OPTION_STRING, .value = &like,
    .argument = "IMAGE",
    .help = "take size, type and block size from IMAGE, where they are not "
            "given (a differencing one stands for a dynamic one)" },
  { .name = "label", .kind = OPTION_CHOICE, .value = &label,
    .choices = labels, .argument = "KIND",
    .help = "give it an empty partition table: mbr or gpt" },
  { .name = "protect", .kind = OPTION_FLAG, .value = &protect,
    .help = "make the parent's file read-only" },
  { .name = "block-size", .kind = OPTION_SIZE, .value = &block_size,
    .given = &block_size_given, .argument = "SIZE",
    .help = "a power of two from 4K to 256M (default: 2M, or the parent's)" },
  { .name = "full", .kind = OPTION_FLAG, .value = &full,
    .help = "set aside all the space that the disk can need" },
  { .name = "absolute", .kind = OPTION_FLAG, .value = &absolute,
    .help = "record the parent's absolute path alone, not the one relative to "
            "the new image" },
  { .name = "overwrite", .kind = OPTION_FLAG, .value = &overwrite,
    .help = "replace a file that is there and not in use" },
  { .name = NULL },
};

/* The folder of the parent, for a person to name as a root. */
static const char *
parent_folder(char path[PATH_MAX])
{
  char *slash = realpath(parent, path) != NULL ? strrchr(path, '/') : NULL;

  if (slash == NULL)
    return "DIR";
  slash[slash == path] = '\0';
  return path;
}

/* A child whose parent lies elsewhere exists, but opens only with a root; and
 * what is amiss below it is so for the child, too.  An exit code. */
static int
try_child(const char *path)
{
  struct vhd_open_options opt = image_open_options(VHD_OPEN_READONLY);
  struct vhd_error err = { 0 };
  struct vhd_image *image;
  char folder[PATH_MAX];

  if (vhd_open(path, &opt, &image, &err) < 0) {
    exits_note(exits_of_error(&err));
    if (err.code == VHD_PARENT_DENIED)
      complain("created, but it opens only with --root '%s': %s",
               parent_folder(folder), err.message);
    else
      complain("created, but it does not open as things are: %s",
               err.message);
    return EXIT_FAILED;
  }
  image_warn(image);
  image_close(image);
  return EXIT_DONE;
}

static int
protect_parent(void)
{
  struct stat st;

  if (stat(parent, &st) == 0 &&
      chmod(parent, st.st_mode & 07777 & ~(mode_t)0222) == 0)
    return EXIT_DONE;
  complain_sys(errno, "created, but %s cannot be made read-only", parent);
  return EXIT_FAILED;
}

/* Takes from another image what was not given. */
static int
imitate(void)
{
  struct vhd_image *image =
    image_open(like, VHD_OPEN_READONLY | VHD_OPEN_NO_PARENT);
  struct vhd_info info;

  if (image == NULL)
    return -1;
  vhd_get_info(image, &info);
  if (!size_given && from == NULL)
    size = info.size;
  size_given |= from == NULL;
  if (type == 0)
    type = info.type == VHD_FIXED ? VHD_FIXED : VHD_DYNAMIC;
  if (!block_size_given && type == VHD_DYNAMIC)
    block_size = info.block_size;
  return image_close(image);
}

/* What the line says must go together.  NULL, or what is wrong. */
static const char *
find_fault(void)
{
  if (parent != NULL && (from != NULL || like != NULL))
    return "--parent goes with neither --from nor --like";
  if (!size_given && parent == NULL && from == NULL && like == NULL)
    return "--size is needed (or --parent, --from, --like)";
  if (size_given && size == 0)
    return "--size 0: a disk has at least 512 bytes";
  if (block_size_given && (block_size == 0 || block_size > UINT32_MAX))
    return "--block-size must be a power of two from 4K to 256M";
  if (absolute && parent == NULL)
    return "--absolute goes with --parent";
  if (protect && parent == NULL)
    return "--protect goes with --parent";
  if (label != LABEL_NONE && from != NULL)
    return "--label goes not with --from, whose table is copied";
  if (from_format_given && from == NULL)
    return "--from-format goes with --from";
  return NULL;
}

static int
create_from(const char *path, struct vhd_error *err)
{
  struct vhd_convert_options opt = {
    .open = image_open_options(VHD_OPEN_READONLY | format_flags(from_format)),
    .type = (enum vhd_type)type,
    .size = size,
    .block_size = (uint32_t)block_size,
    .flags = (full ? VHD_CONVERT_FULL : 0) |
             (overwrite ? VHD_CONVERT_OVERWRITE : 0),
  };

  if (remote_source(from, from_format_given, &opt.open) < 0)
    exit(exits_resolve(EXIT_FAILED));
  opt.progress = progress_of("created");
  return vhd_convert(from, path, &opt, err);
}

/* How large the disk is going to be; 0 after a complaint. */
static uint64_t
size_of_disk(void)
{
  if (size != 0 || parent == NULL)
    return size;
  struct vhd_image *image =
    image_open(parent, VHD_OPEN_READONLY | VHD_OPEN_NO_PARENT);
  const uint64_t found = image != NULL ? vhd_size(image) : 0;
  if (image != NULL)
    image_close(image);
  return found;
}

static int
create_empty(const char *path, struct vhd_error *err)
{
  const struct vhd_open_options open = image_open_options(0);
  struct vhd_content content[LABEL_PARTS] = { { 0 } };
  size_t ncontent = 0;

  if (label != LABEL_NONE) {
    const uint64_t whole = size_of_disk();
    if (whole == 0 ||
        label_make((enum label_kind)label, whole, content, &ncontent) < 0)
      exit(exits_resolve(EXIT_FAILED));
  }
  const struct vhd_create_options opt = {
    .type = (enum vhd_type)type,
    .size = size,
    .block_size = (uint32_t)block_size,
    .parent = parent,
    .flags = (full ? VHD_CREATE_FULL : 0) |
             (absolute ? VHD_CREATE_ABSOLUTE : 0) |
             (overwrite ? VHD_CREATE_OVERWRITE : 0),
    .roots = open.roots,
    .nroots = open.nroots,
    .progress = progress_of("created"),
    .content = content,
    .ncontent = ncontent,
  };

  const int r = vhd_create(path, &opt, err);
  label_free(content, ncontent);
  return r;
}

static int
run(char **args)
{
  const char *fault = find_fault();
  struct vhd_error err = { 0 };

  if (fault != NULL)
    return complain_usage("%s", fault);
  if (like != NULL && imitate() < 0)
    return EXIT_FAILED;
  const int r = from != NULL ? create_from(args[0], &err)
                             : create_empty(args[0], &err);
  progress_end();
  if (r < 0) {
    image_complain_new(&err, overwrite);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (parent == NULL)
    return EXIT_DONE;
  const int status = try_child(args[0]);
  const int protected = protect ? protect_parent() : EXIT_DONE;
  return status != EXIT_DONE ? status : protected;
}

const struct verb create_verb = {
  .name = "create",
  .summary = "create a fixed, dynamic or differencing image",
  .arguments = "NEW.vhd",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, progress_options },
  .about = "Either the whole image is there afterwards, or nothing is.",
  .run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c: vhdkit create.  Turns options into a wish for the library, and says
 * where a new child would not open as things are. */
#include "config.h"

#include <stdio.h>

#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "progress.h"
#include "verbs.h"

static uint64_t size, block_size;
static bool size_given, block_size_given;
static int type;
static const char *parent;
static bool full, absolute, overwrite;

static const struct option_choice types[] = {
  { "fixed", VHD_FIXED },
  { "dynamic", VHD_DYNAMIC },
  { "differencing", VHD_DIFFERENCING },
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

/* A child whose parent lies elsewhere exists, but opens only with a root; and
 * what is amiss below it is so for the child, too. */
static void
warn_of_child(const char *path)
{
  struct vhd_open_options opt = image_open_options(VHD_OPEN_READONLY);
  struct vhd_error err = { 0 };
  struct vhd_image *image;

  if (vhd_open(path, &opt, &image, &err) < 0) {
    complain("created, but it does not open as things are: %s", err.message);
    return;
  }
  image_warn(image);
  image_close(image);
}

static int
run(char **args)
{
  struct vhd_open_options open = image_open_options(0);
  struct vhd_create_options opt = {
    .type = (enum vhd_type)type,
    .size = size,
    .parent = parent,
    .flags = (full ? VHD_CREATE_FULL : 0) |
             (absolute ? VHD_CREATE_ABSOLUTE : 0) |
             (overwrite ? VHD_CREATE_OVERWRITE : 0),
    .roots = open.roots,
    .nroots = open.nroots,
  };
  struct vhd_error err = { 0 };

  if (!size_given && parent == NULL) {
    complain("--size is needed (or --parent)");
    return EXIT_FAILED;
  }
  if (size_given && size == 0) {
    complain("--size 0: a disk has at least 512 bytes");
    return EXIT_FAILED;
  }
  if (block_size_given && (block_size == 0 || block_size > UINT32_MAX)) {
    complain("--block-size must be a power of two from 4K to 256M");
    return EXIT_FAILED;
  }
  if (absolute && parent == NULL) {
    complain("--absolute goes with --parent");
    return EXIT_FAILED;
  }
  opt.block_size = (uint32_t)block_size;
  opt.progress = progress_of("created");
  const int r = vhd_create(args[0], &opt, &err);
  progress_end();
  if (r < 0) {
    image_complain_new(&err, overwrite);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (parent != NULL)
    warn_of_child(args[0]);
  return EXIT_DONE;
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* mount.c: vhdkit mount.  Attaches an image, and mounts a file system that is
 * inside, without the kernel's drivers and without root. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/client.h"
#include "attach/driver.h"
#include "attach/folder.h"
#include "attach/look.h"
#include "attach/session.h"
#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "verbs.h"

static bool readonly, size_chs, part_given;
static const char *partition;

static const struct option_spec options[] = {
  { .name = "partition", .kind = OPTION_STRING, .value = &partition,
    .argument = "N", .given = &part_given,
    .help = "which partition; needed where more than one could be meant" },
  { .name = "readonly", .kind = OPTION_FLAG, .value = &readonly,
    .help = "let nobody write" },
  { .name = "size-chs", .kind = OPTION_FLAG, .value = &size_chs,
    .help = "take the size of the disk from its geometry, as Virtual PC does" },
  { .name = NULL },
};

/* --------------------------------------------------------- which partition */

static int
refuse_many(const struct disk *disk)
{
  char text[400] = "";

  for (unsigned i = 0; i < disk->n; i++) {
    const size_t len = strlen(text);
    if (driver_of(disk->part[i].content))
      snprintf(text + len, sizeof text - len, "%s%u (%s)",
               len > 0 ? ", " : "", disk->part[i].number,
               disk->part[i].content);
  }
  complain_usage("more than one partition could be meant: %s; name one with "
                 "--partition", text);
  return -1;
}

static int
parse_number(unsigned *number)
{
  char *end;
  unsigned long value;

  errno = 0;
  value = strtoul(partition, &end, 10);
  if (partition[0] < '0' || partition[0] > '9' || *end != '\0' || errno != 0 ||
      value == 0 || value > UINT32_MAX) {
    complain_usage("--partition: %s is no number of a partition", partition);
    return -1;
  }
  *number = (unsigned)value;
  return 0;
}

/* The one that is named, else the only one that could be mounted. */
static const struct disk_part *
choose(const struct disk *disk, unsigned number)
{
  const struct disk_part *found = NULL;
  unsigned n = 0;

  if (number != 0) {
    found = disk_part(disk, number);
    if (!found)
      complain_as(EXIT_NOT_FOUND, "there is no partition %u; vhdkit attach "
                  "--list shows those of an image that is attached", number);
    return found;
  }
  for (unsigned i = 0; i < disk->n; i++)
    if (driver_of(disk->part[i].content)) {
      found = &disk->part[i];
      n++;
    }
  if (n > 1)
    return refuse_many(disk), NULL;
  if (n == 0 && disk->n == 1)
    found = &disk->part[0]; /* which says why not */
  else if (n == 0)
    complain_as(EXIT_NOT_FOUND, "no partition has a file system that could be "
                "mounted");
  return found;
}

static const struct driver *
driver_for(const struct disk_part *part)
{
  const struct driver *driver = driver_of(part->content);

  if (!driver && *part->content != '\0')
    complain("%s cannot be mounted: no driver for it is known here",
             part->content);
  else if (!driver)
    complain_as(EXIT_NOT_FOUND, "there is no file system that is known");
  return driver;
}

/* ----------------------------------------------------------------- mounting */

/* opaque: the number of the partition, 0 where none is named. */
static int
mount_part(void *opaque, const struct entry *entry, struct attachment *a)
{
  static struct look look;
  const unsigned number = *(const unsigned *)opaque;

  look_at(a, &look);
  if (!look.known) {
    complain("%s: cannot be looked into", a->image);
    return -1;
  }
  const struct disk_part *part = choose(&look.disk, number);
  const struct driver *driver = part ? driver_for(part) : NULL;
  if (!driver)
    return -1;
  if (part->number != 0) {
    a->part = part->number;
    a->off = part->off;
    a->len = part->len;
  }
  if (!driver->writable && !a->readonly) {
    complain("warning: %s is mounted read-only: its driver cannot write well",
             driver->content);
    a->readonly = true;
  } else if (a->readonly && !readonly)
    complain("warning: %s cannot be written to; mounted read-only", a->image);
  return session_mount(entry, a, driver);
}

static int
begin(const struct folder *folder, struct attachment *a, unsigned number)
{
  struct vhd_open_options open = image_open_options(0);
  struct session_options opt = { .roots = open.roots, .nroots = open.nroots,
                                 .size_chs = size_chs };

  return session_begin(folder, a, &opt, mount_part, &number);
}

static int
find_folder(const char *name, struct attachment *a)
{
  struct stat st;

  a->folder = realpath(name, NULL);
  if (!a->folder || stat(a->folder, &st) < 0) {
    complain_sys(errno, "%s", name);
    return -1;
  }
  if (!S_ISDIR(st.st_mode)) {
    complain_usage("%s: not a folder", name);
    return -1;
  }
  a->folder_dev = st.st_dev;
  return 0;
}

static int
mount_image(const char *name, const char *where)
{
  struct attachment a = { .with = WITH_FUSE, .readonly = readonly };
  struct folder folder;
  unsigned number = 0;

  interrupt_catch();
  if ((part_given && parse_number(&number) < 0) ||
      client_choose(&a.with) < 0 || client_find_image(name, &a) < 0 ||
      find_folder(where, &a) < 0 || folder_open(&folder, true) < 0) {
    attachment_free(&a);
    return EXIT_FAILED;
  }
  int r = begin(&folder, &a, number);
  folder_close(&folder);
  attachment_free(&a);
  interrupt_obey();
  return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
run(char **args)
{
  if (disk_can_look())
    return mount_image(args[0], args[1]);
  complain("this vhdkit was built without libblkid, and so cannot tell what is "
           "inside");
  return EXIT_FAILED;
}

const struct verb mount_verb = {
  .name = "mount",
  .summary = "mount a file system that is inside of an image, by FUSE",
  .arguments = "IMAGE FOLDER",
  .min_args = 2,
  .max_args = 2,
  .options = { options, root_options },
  .about = "Takes no root.  vhdkit unmount takes it away.",
  .run = run,
};

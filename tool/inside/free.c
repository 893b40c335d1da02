/* SPDX-License-Identifier: BSD-2-Clause */
/* free.c: see free.h. */
#include "config.h"

#include "inside/free.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inside/disk.h"
#include "inside/excerpt.h"
#include "inside/ext.h"
#include "inside/fat.h"
#include "inside/ntfs.h"
#include "message.h"

struct free_part {
  struct vhd_image *image;
  struct disk_part part;
  struct usage usage;
};

bool
free_can_look(void)
{
  return disk_can_look();
}

void
free_map_free(struct free_map *map)
{
  for (size_t i = 0; i < map->n; i++)
    usage_close(&map->part[i].usage);
  free(map->part);
  *map = (struct free_map){ .n = 0 };
}

static int
fail(struct vhd_error *err, int sys, const char *fmt, ...)
{
  va_list args;

  err->code = sys == EUCLEAN ? VHD_STATE : VHD_SYSTEM;
  err->sys = sys;
  va_start(args, fmt);
  vsnprintf(err->message, sizeof err->message, fmt, args);
  va_end(args);
  return -sys;
}

/* --------------------------------------------------------------- who knows */

static const struct usage_reader *
reader_of(const struct disk_part *part)
{
  const struct usage_reader *const readers[] = { ext_reader, &ntfs_reader,
                                                 &fat_reader };

  for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
    for (unsigned k = 0; readers[i] && readers[i]->contents[k]; k++)
      if (part->filesystem &&
          strcmp(part->content, readers[i]->contents[k]) == 0)
        return readers[i];
  return NULL;
}

/* Two that overlap are of a table that makes no sense; but those that are there
 * for it. */
static bool
overlaps_another(const struct disk *disk, unsigned i)
{
  const struct disk_part *a = &disk->part[i], *b = disk->part;

  for (unsigned k = 0; k < disk->n; k++)
    if (k != i && !b[k].extended && a->off < b[k].off + b[k].len &&
        b[k].off < a->off + a->len)
      return true;
  return false;
}

static int
read_part(void *opaque, void *buf, size_t len, uint64_t off)
{
  const struct free_part *p = opaque;

  return vhd_pread(p->image, buf, len, p->part.off + off);
}

/* r: of the reader. */
static int
fail_in(struct free_part *p, int r, struct vhd_error *err)
{
  char where[32] = "";

  if (p->part.number != 0)
    snprintf(where, sizeof where, " in partition %u", p->part.number);
  if (r == -EUCLEAN)
    return fail(err, EUCLEAN, "the %.10s file system%s %s, so what it uses is "
                "not known; %s", p->part.content, where, p->usage.what,
                p->usage.mend);
  return fail(err, -r, "the %.10s file system%s cannot be looked through: %s",
              p->part.content, where, strerror(-r));
}

static int
add_part(struct vhd_image *image, const struct disk_part *part,
         const struct usage_reader *reader, struct free_map *map,
         struct vhd_error *err)
{
  struct free_part *p = &map->part[map->n++];

  *p = (struct free_part){ .image = image, .part = *part };
  const struct source source = { read_part, p, part->len };
  int r = usage_open(&p->usage, reader, &source);
  return r < 0 ? fail_in(p, r, err) : 0;
}

static void
warn(const struct disk_part *part)
{
  if (part->number != 0 && !part->extended)
    complain("warning: partition %u (%s): what it does not use is not "
             "known, and stays", part->number,
             *part->content != '\0' ? part->content : "nothing known");
}

static int
find_in(struct vhd_image *image, struct disk *disk, struct free_map *map,
        struct vhd_error *err)
{
  int r = 0;

  for (unsigned i = 0; r == 0 && i < disk->n; i++) {
    struct disk_part *part = &disk->part[i];
    bool known = reader_of(part) != NULL && !overlaps_another(disk, i);
    if (known && (r = excerpt_look_at_part(image, part)) < 0)
      return fail(err, -r, "the disk cannot be looked into: %s", strerror(-r));
    if (known && reader_of(part))
      r = add_part(image, part, reader_of(part), map, err);
    else
      warn(part);
  }
  if (r == 0 && map->n == 0)
    complain("warning: nothing inside tells what it does not use; only zeros "
             "are dropped");
  return r;
}

static int
by_offset(const void *a, const void *b)
{
  const struct disk_part *x = a, *y = b;

  return (x->off > y->off) - (x->off < y->off);
}

static int
find(struct vhd_image *image, struct free_map *map, struct vhd_error *err)
{
  static struct disk disk;
  int r = excerpt_look(image, &disk);

  if (r < 0)
    return fail(err, -r, "the disk cannot be looked into: %s", strerror(-r));
  qsort(disk.part, disk.n, sizeof disk.part[0], by_offset);
  map->part = calloc((size_t)disk.n + 1, sizeof *map->part);
  if (!map->part)
    return fail(err, ENOMEM, "out of memory");
  return find_in(image, &disk, map, err);
}

/* ------------------------------------------------------------------- asking */

/* The same in a part, where offsets are those of the disk.  1, 0 or -errno. */
static int
next_in(struct free_part *p, uint64_t from, uint64_t *off, uint64_t *len,
        struct vhd_error *err)
{
  const uint64_t at = p->part.off;
  int r = from >= at + p->part.len
            ? 0
            : usage_next_free(&p->usage, from > at ? from - at : 0, off, len);

  if (r < 0)
    return fail_in(p, r, err);
  if (r == 1)
    *off += at;
  return r;
}

int
free_next(void *opaque, struct vhd_image *image, uint64_t from, uint64_t *off,
          uint64_t *len, struct vhd_error *err)
{
  struct free_map *map = opaque;
  int r = 0;

  if (!map->found) {
    if ((r = find(image, map, err)) < 0)
      return r;
    map->found = true;
  }
  /* Where little is free the last answer goes on to be the right one. */
  if (map->len == 0 || from < map->from || from >= map->off + map->len) {
    map->len = 0;
    for (size_t i = 0; r == 0 && i < map->n; i++)
      r = next_in(&map->part[i], from, &map->off, &map->len, err);
    if (r < 0)
      return r;
    if (r == 0) {
      map->off = UINT64_MAX - 1; /* nor does any later one have any */
      map->len = 1;
    }
    map->from = from;
  }
  *off = map->off;
  *len = map->len;
  return map->off != UINT64_MAX - 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* setup.c: see setup.h. */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

#define SPB (BLOCK / SECTOR)
#define HALF_BLOCKS (NBLK / 2)

struct setup setups[] = {
  { .name = "dynamic", .type = VHD_DYNAMIC, .sectors = NBLK * SPB },
  { .name = "child", .type = VHD_DIFFERENCING, .sectors = NBLK * SPB },
  { .name = "dynamic, cut short",
    .type = VHD_DYNAMIC,
    .sectors = NBLK * SPB - 25,
    .cut_short = true },
  { .name = "dynamic, cut short, with a neighbour",
    .type = VHD_DYNAMIC,
    .sectors = NBLK * SPB - 25,
    .cut_short = true,
    .neighbour = true },
  { .name = "fixed", .type = VHD_FIXED, .sectors = NBLK * SPB },
};
const unsigned nsetup = sizeof setups / sizeof setups[0];

static void
create(const char *path, enum vhd_type type, uint64_t size, const char *parent)
{
  struct vhd_error e;
  struct vhd_create_options opt = {
    .type = type,
    .size = parent ? 0 : size,
    .block_size = type == VHD_DYNAMIC ? BLOCK : 0,
    .parent = parent,
  };

  if (vhd_create(path, &opt, &e) < 0)
    errx(99, "create: %s", e.message);
}

/* A parent whose first two thirds hold value 1. */
static void
make_parent(const char *path, struct model *m)
{
  struct vhd_image *image;
  struct vhd_error e;
  uint8_t buf[SECTOR];
  uint64_t end = m->nsec * 2 / 3;

  create(path, VHD_DYNAMIC, m->nsec * SECTOR, NULL);
  if (vhd_open(path, NULL, &image, &e) < 0)
    errx(99, "parent: %s", e.message);
  for (uint64_t sec = 0; sec < end; sec++) {
    sector_fill(buf, sec, 1);
    if (vhd_pwrite(image, buf, SECTOR, sec * SECTOR, 0) < 0)
      errx(99, "parent: write");
  }
  if (vhd_close(image, &e) < 0)
    errx(99, "parent: %s", e.message);
  model_set(m, 0, end, 1, DURABLE);
}

/* Half of it is written; the last block last, so that it ends the file. */
static void
write_half(struct setup *s, const char *path)
{
  struct disk d = {
    .path = path, .m = s->model, .spb = SPB, .max_write = SPB * 2,
  };

  disk_open(&d, 0);
  for (unsigned i = 0; i < HALF_BLOCKS; i++)
    disk_write(&d, i * 2 * SPB + i, SPB - i, 0);
  disk_write(&d, s->sectors - SPB / 2, SPB / 2, 0);
  disk_close(&d);
}

static uint32_t
be32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
         p[3];
}

/* As some programs write it: the last block ends where the disk does, and the
 * footer follows at once. */
static void
cut_short(struct setup *s)
{
  const uint8_t *table = s->file + be32(s->file + 512 + 20);
  uint32_t slot = be32(table + (NBLK - 1) * 4);
  size_t end = ((size_t)slot + 1 + s->sectors % SPB) * SECTOR;

  if (end + SECTOR > s->len || end + BLOCK < s->len - 8192)
    errx(99, "the last block does not end the file");
  memcpy(s->file + end, s->file, SECTOR);
  s->len = end + SECTOR;
}

static void
load(struct setup *s, const char *path)
{
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, &st) < 0)
    err(99, "%s", path);
  s->len = (size_t)st.st_size;
  s->file = malloc(s->len);
  if (!s->file || pread(fd, s->file, s->len, 0) != (ssize_t)s->len)
    err(99, "%s", path);
  close(fd);
}

/* What was cut short is no longer the end of the file. */
static void
add_neighbour(struct setup *s, const char *path)
{
  struct disk d = {
    .path = path, .m = s->model, .spb = SPB, .max_write = SPB * 2,
  };
  int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

  if (fd < 0 || pwrite(fd, s->file, s->len, 0) != (ssize_t)s->len)
    err(99, "%s", path);
  close(fd);
  disk_open(&d, 0);
  disk_write(&d, SPB, SPB, 0);
  disk_close(&d);
  free(s->file);
  load(s, path);
}

static void
make(struct setup *s, unsigned i, const char *dir, const char *state)
{
  char parent[4096], path[4096], model[4096];

  snprintf(parent, sizeof parent, "%s/parent.vhd", dir);
  snprintf(path, sizeof path, "%s/made.vhd", dir);
  snprintf(model, sizeof model, "%s/model-%u", state, i);
  s->model = model_map(model, s->sectors, 7 + i);
  bool child = s->type == VHD_DIFFERENCING;
  if (child)
    make_parent(parent, s->model);
  create(path, s->type, (uint64_t)s->sectors * SECTOR, child ? parent : NULL);
  write_half(s, path);
  load(s, path);
  if (s->cut_short)
    cut_short(s);
  if (s->cut_short && s->neighbour)
    add_neighbour(s, path);
  unlink(path);
}

void
setup_make(const char *dir, const char *state)
{
  for (unsigned i = 0; i < nsetup; i++)
    make(&setups[i], i, dir, state);
}

void
setup_put(const struct setup *s, const char *path, struct model *m)
{
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || pwrite(fd, s->file, s->len, 0) != (ssize_t)s->len)
    err(99, "%s", path);
  close(fd);
  memcpy(m, s->model, sizeof *m + s->sectors * sizeof(struct known));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* scene.c: see scene.h. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arith.h"
#include "chance.h"
#include "scene.h"

#define BLOCK 4096
#define LONG_AGO 3600

struct vhd_open_options scene_open = { .journal_dir = world_journals };

static void
must(int r, const struct vhd_error *err)
{
  if (r >= 0)
    return;
  fprintf(stderr, "inplace: cannot make the images: %s\n", err->message);
  abort();
}

static void *
memory(size_t n)
{
  void *p = calloc(1, n + 1);

  if (!p)
    abort();
  return p;
}

struct image *
scene_image(struct scene *s, const char *name)
{
  for (int i = 0; i < s->n; i++)
    if (strcmp(s->image[i].name, name) == 0)
      return &s->image[i];
  if (s->n == SCENE_IMAGES)
    abort();
  snprintf(s->image[s->n].name, NAME_ROOM, "%s", name);
  return &s->image[s->n++];
}

void
scene_date(const char *name)
{
  const struct timespec then = { .tv_sec = time(NULL) - LONG_AGO };
  const struct timespec times[2] = { then, then };

  if (utimensat(AT_FDCWD, world_path(name), times, 0) < 0)
    abort();
}

void
scene_create(struct scene *s, const char *name, enum vhd_type type,
             uint64_t size, const char *parent)
{
  const struct vhd_create_options opt = {
    .type = type, .size = size,
    .block_size = type == VHD_FIXED ? 0 : BLOCK,
    .parent = parent ? world_path(parent) : NULL,
  };
  struct vhd_error err;
  const struct view *p = parent ? &scene_image(s, parent)->before : NULL;
  struct view *v = &scene_image(s, name)->before;

  must(vhd_create(world_path(name), &opt, &err), &err);
  *v = (struct view){ .there = true, .size = size };
  v->disk = memory(size);
  if (p)
    memcpy(v->disk, p->disk, MIN(size, p->size));
  scene_date(name);
}

/* Eight bytes again and again are as good as any others. */
static void
fill_block(uint8_t *block, bool zeros)
{
  const uint64_t word = zeros ? 0 : chance_random() | 1;

  for (unsigned i = 0; i < BLOCK; i += sizeof word)
    memcpy(block + i, &word, sizeof word);
}

static void
write_at(const char *name, const uint8_t *bytes, uint64_t off, uint64_t n)
{
  struct vhd_image *image;
  struct vhd_error err;

  must(vhd_open(world_path(name), &scene_open, &image, &err), &err);
  if (vhd_pwrite(image, bytes, n, off, 0) < 0)
    abort();
  must(vhd_close(image, &err), &err);
  scene_date(name);
}

/* Twice in each place of a block: what the first write left shows what is
 * stale. */
void
scene_fill(struct scene *s, const char *name, unsigned one_in,
           unsigned zeros_one_in)
{
  struct view *v = &scene_image(s, name)->before;
  struct vhd_image *image;
  struct vhd_error err;
  const unsigned nblk = (unsigned)(v->size / BLOCK);
  const unsigned first = (unsigned)chance_below(nblk);

  must(vhd_open(world_path(name), &scene_open, &image, &err), &err);
  for (unsigned i = 0; i < nblk; i++) {
    const unsigned blk = (first + i * 7) % nblk;
    if (!chance_one_in(one_in))
      continue;
    uint8_t *at = v->disk + (uint64_t)blk * BLOCK;
    fill_block(at, chance_one_in(zeros_one_in));
    if (vhd_pwrite(image, at, BLOCK, (uint64_t)blk * BLOCK, 0) < 0)
      abort();
  }
  must(vhd_close(image, &err), &err);
  scene_date(name);
}

void
scene_zero(struct scene *s, const char *name, uint64_t from)
{
  struct view *v = &scene_image(s, name)->before;

  memset(v->disk + from, 0, v->size - from);
  write_at(name, v->disk + from, from, v->size - from);
}

void
scene_patch(const char *name, uint64_t off, const void *bytes, size_t n)
{
  const int fd = open(world_path(name), O_WRONLY | O_CLOEXEC);

  if (fd < 0 || pwrite(fd, bytes, n, (off_t)off) != (ssize_t)n)
    abort();
  close(fd);
  scene_date(name);
}

void
scene_read(const char *name, uint64_t off, void *bytes, size_t n)
{
  const int fd = open(world_path(name), O_RDONLY | O_CLOEXEC);

  if (fd < 0 || pread(fd, bytes, n, (off_t)off) != (ssize_t)n)
    abort();
  close(fd);
}

void
scene_resizes(struct scene *s, const char *name, uint64_t size)
{
  struct image *i = scene_image(s, name);

  i->after = i->before;
  i->after.size = size;
  i->after.disk = memory(size);
  memcpy(i->after.disk, i->before.disk, MIN(size, i->before.size));
}

void
scene_keeps(struct scene *s, const char *name)
{
  scene_resizes(s, name, scene_image(s, name)->before.size);
}

void
scene_make(struct scene *s, const struct operation *op)
{
  *s = (struct scene){ .op = op };
  world_know_no_nameless(op->no_nameless);
  world_clear();
  op->make(s);
  world_take(&s->start, true);
  world_put(&s->start);
}

int
scene_run(struct scene *s, struct vhd_error *err)
{
  *err = (struct vhd_error){ 0 };
  return s->op->run(s, err);
}

void
scene_free(struct scene *s)
{
  for (int i = 0; i < s->n; i++) {
    free(s->image[i].before.disk);
    free(s->image[i].after.disk);
  }
  state_free(&s->start);
}

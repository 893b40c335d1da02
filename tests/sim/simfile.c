/* SPDX-License-Identifier: BSD-2-Clause */
/* simfile.c: see simfile.h. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/rules.h"
#include "clock.h"
#include "simfile.h"

static void *
must(void *p)
{
  if (!p)
    abort();
  return p;
}

/* ------------------------------------------------------------------ content */

static void
content_resize(struct content *c, uint64_t size)
{
  if (size > c->room) {
    c->room = round_up(size, 16384);
    c->bytes = must(realloc(c->bytes, c->room));
  }
  if (size > c->size)
    memset(c->bytes + c->size, 0, size - c->size);
  c->size = size;
}

static void
content_write(struct content *c, uint64_t off, const void *buf, uint64_t len)
{
  if (off + len > c->size)
    content_resize(c, off + len);
  memcpy(c->bytes + off, buf, len);
}

static void
content_copy(struct content *to, const struct content *from)
{
  content_resize(to, from->size);
  if (from->size)
    memcpy(to->bytes, from->bytes, from->size);
}

/* A change of bytes that lie beyond the file's end is lost with the change of
 * size that made room for them. */
static void
apply_unit(struct content *c, const struct unit *u)
{
  if (u->size_change)
    content_resize(c, u->off);
  else if (u->off < c->size)
    content_write(c, u->off, u->bytes, MIN(u->len, c->size - u->off));
}

/* ------------------------------------------------------------------ changes */

static struct unit *
add_unit(struct simfile *sf)
{
  if (sf->nunit == sf->room) {
    sf->room = sf->room ? sf->room * 2 : 64;
    sf->unit = must(realloc(sf->unit, sf->room * sizeof *sf->unit));
  }
  struct unit *u = &sf->unit[sf->nunit++];
  sf->mtime = sf->ctime = clock_now();
  u->seq = ++sf->seq;
  u->optional = false;
  u->size_change = false;
  return u;
}

static void
change_size(struct simfile *sf, uint64_t size)
{
  struct unit *u = add_unit(sf);

  u->size_change = true;
  u->off = size;
  u->len = 0;
  apply_unit(&sf->cache, u);
}

/* -------------------------------------------------------------------- space */

/* Gives the sectors of a range space on the disk below; true if there is
 * some for all. */
static bool
take_space(struct simfile *sf, uint64_t off, uint64_t len)
{
  for (uint64_t sec = off / 512; len > 0 && sec <= (off + len - 1) / 512;
       sec++) {
    if (sec >= sf->nspace) {
      uint64_t n = round_up(sec + 1, 256);
      sf->space = must(realloc(sf->space, n));
      memset(sf->space + sf->nspace, 0, n - sf->nspace);
      sf->nspace = n;
    }
    if (sf->space[sec])
      continue;
    if (sf->capacity && sf->used >= sf->capacity)
      return false;
    sf->space[sec] = 1;
    sf->used++;
  }
  return true;
}

static void
give_space(struct simfile *sf, uint64_t off, uint64_t len)
{
  uint64_t end = MIN((off + len) / 512, sf->nspace);

  for (uint64_t sec = DIV_ROUND_UP(off, 512); sec < end; sec++) {
    sf->used -= sf->space[sec];
    sf->space[sec] = 0;
  }
}

/* A disk writes whole sectors: a unit is one as the page cache had it.  buf
 * NULL: zeros.  torn: only some of the sectors.  False: the disk below is full,
 * and what there was space for is written. */
static bool
change_bytes(struct simfile *sf, uint64_t off, const uint8_t *buf, uint64_t len,
             bool torn)
{
  while (len > 0) {
    uint32_t n = (uint32_t)MIN(len, 512 - off % 512);
    if (!torn || sf->random() % 2) {
      if (!take_space(sf, off, n))
        return false;
      if (off + n > sf->cache.size)
        change_size(sf, off + n);
      struct unit *u = add_unit(sf);
      if (buf)
        memcpy(sf->cache.bytes + off, buf, n);
      else
        memset(sf->cache.bytes + off, 0, n);
      u->off = round_down(off, 512);
      u->len = (uint32_t)MIN(512, sf->cache.size - u->off);
      memcpy(u->bytes, sf->cache.bytes + u->off, u->len);
    }
    off += n;
    len -= n;
    if (buf)
      buf += n;
  }
  return true;
}

static void
make_durable(struct simfile *sf, uint64_t seq)
{
  uint32_t kept = 0;

  for (uint32_t i = 0; i < sf->nunit; i++) {
    struct unit *u = &sf->unit[i];
    if (u->seq <= seq && !u->optional)
      apply_unit(&sf->durable, u);
    else
      sf->unit[kept++] = *u;
  }
  sf->nunit = kept;
}

/* Later units of the same bytes must not be undone by an optional one that is
 * applied after them: it goes once they are durable. */
static void
drop_overwritten(struct simfile *sf, uint64_t seq)
{
  for (uint32_t i = 0; i < sf->nunit; i++)
    for (uint32_t j = i + 1; sf->unit[i].optional && j < sf->nunit; j++)
      if (sf->unit[j].seq <= seq && !sf->unit[j].optional &&
          !sf->unit[j].size_change &&
          sf->unit[j].off <= sf->unit[i].off &&
          sf->unit[j].off + sf->unit[j].len >=
            sf->unit[i].off + sf->unit[i].len)
        sf->unit[i].optional = false;
}

/* A failed sync: the pages are clean now, whatever the disk has. */
static void
drop_durability(struct simfile *sf, uint64_t seq)
{
  for (uint32_t i = 0; i < sf->nunit; i++)
    if (sf->unit[i].seq <= seq)
      sf->unit[i].optional = true;
}

/* A durable write: its bytes are, and the size that holds them; what was to
 * change the same bytes before comes first. */
static void
make_range_durable(struct simfile *sf, uint64_t off, uint64_t len)
{
  uint32_t kept = 0;

  for (uint32_t i = 0; i < sf->nunit; i++) {
    struct unit *u = &sf->unit[i];
    if (u->size_change || (u->off < off + len && off < u->off + u->len))
      apply_unit(&sf->durable, u);
    else
      sf->unit[kept++] = *u;
  }
  sf->nunit = kept;
}

/* A sync, which may be that of a durable write, ends.  Once one has failed all
 * do (store/file.h), so that nobody takes for durable what is not. */
static bool
sync_fails(struct simfile *sf, uint64_t seq, bool fail)
{
  if (fail) {
    drop_durability(sf, seq);
    sf->lost = RULE(FAILED_SYNC);
  }
  return fail || sf->lost;
}

/* A write, or the sync of a durable one, may fail. */
static int
perform_write(struct simfile *sf, struct vhd_io *io, bool fail)
{
  const bool durable = io->flags & VHD_IO_DURABLE;
  const bool torn = fail && !(durable && sf->random() % 2);

  if (!change_bytes(sf, io->off, io->buf, io->len, torn))
    return -ENOSPC;
  if (torn || !durable)
    return torn ? -EIO : 0;
  if (sync_fails(sf, sf->seq, fail)) {
    io->flags |= VHD_IO_LOST;
    return -EIO;
  }
  make_range_durable(sf, io->off, io->len);
  return 0;
}

/* PUNCH and ZERO read the same; only the former gives space back. */
static bool
clear(struct simfile *sf, const struct vhd_io *io, bool torn)
{
  uint64_t len = io->off < sf->cache.size
                   ? MIN(io->len, sf->cache.size - io->off) : 0;
  bool had = true;

  if (io->kind == VHD_IO_ZERO || sf->no_punch)
    return len == 0 || change_bytes(sf, io->off, NULL, len, torn);
  /* What has no space needs none to read as zeros. */
  for (uint64_t at = io->off, end = io->off + len; at < end;) {
    uint64_t n = MIN(end - at, 512 - at % 512);
    had = at / 512 < sf->nspace && sf->space[at / 512];
    if (had)
      change_bytes(sf, at, NULL, n, torn);
    at += n;
  }
  if (!torn)
    give_space(sf, io->off, len);
  return true;
}

/* New bytes read as zeros; RESERVE: they only get their space. */
static int
extend(struct simfile *sf, const struct vhd_io *io, bool fail)
{
  uint64_t end = io->off + io->len;

  if (io->flags & VHD_IO_RESERVE) {
    if (!fail && take_space(sf, io->off, io->len))
      return 0;
    if (end > sf->cache.size)
      give_space(sf, MAX(io->off, round_up(sf->cache.size, 512)),
                 sf->nspace * 512);
    return -ENOSPC;
  }
  if ((!fail || sf->moves_end) && end > sf->cache.size)
    change_size(sf, end);
  return fail ? -ENOSPC : 0;
}

int
simfile_perform(struct simfile *sf, struct vhd_io *io, uint64_t seq)
{
  bool fail = sf->fail_at != 0 && ++sf->nio == sf->fail_at;
  bool space = true;
  int r;
  int e = fail ? (sf->fail_errno ? -sf->fail_errno : -EIO) : 0;

  sf->failed |= fail;
  switch (io->kind) {
  case VHD_IO_READ:
    if (fail || !range_fits(io->off, io->len, sf->cache.size))
      return -EIO;
    memcpy(io->buf, sf->cache.bytes + io->off, io->len);
    return 0;
  case VHD_IO_WRITE:
    r = perform_write(sf, io, fail);
    return fail ? e : r;
  case VHD_IO_PUNCH:
  case VHD_IO_ZERO:
    space = clear(sf, io, fail);
    break;
  case VHD_IO_EXTEND:
    e = extend(sf, io, fail);
    break;
  case VHD_IO_TRUNCATE:
    if (fail)
      break;
    change_size(sf, io->off);
    give_space(sf, io->off, sf->nspace * 512);
    break;
  case VHD_IO_SYNC:
    if (sync_fails(sf, seq, fail))
      return fail ? e : -EIO;
    drop_overwritten(sf, seq);
    make_durable(sf, seq);
    break;
  default:
    abort();
  }
  return e < 0 || space ? e : -ENOSPC;
}

/* -------------------------------------------------------------------- files */

struct simfile *
simfile_new(uint64_t (*random)(void))
{
  struct simfile *sf = must(calloc(1, sizeof *sf));

  sf->random = random;
  sf->mtime = sf->ctime = clock_now();
  return sf;
}

void
simfile_free(struct simfile *sf)
{
  if (!sf)
    return;
  free(sf->cache.bytes);
  free(sf->durable.bytes);
  free(sf->unit);
  free(sf->space);
  free(sf);
}

void
simfile_put(struct simfile *sf, const void *buf, size_t len, uint64_t off)
{
  take_space(sf, off, len);
  content_write(&sf->cache, off, buf, len);
  content_write(&sf->durable, off, buf, len);
}

/* The disk below is the same one. */
static void
copy_disk(struct simfile *to, const struct simfile *from)
{
  to->capacity = from->capacity;
  to->no_punch = from->no_punch;
  to->moves_end = from->moves_end;
  to->used = from->used;
  to->nspace = from->nspace;
  if (from->nspace == 0)
    return;
  to->space = must(realloc(to->space, from->nspace));
  memcpy(to->space, from->space, from->nspace);
}

/* What was punched may be there again after a power cut, and has its space. */
static void
find_space(struct simfile *sf)
{
  static const uint8_t zeros[512];
  const struct content *c = &sf->cache;
  uint64_t capacity = sf->capacity;

  sf->capacity = 0;
  for (uint64_t off = 0; off < c->size; off += 512) {
    uint64_t n = MIN(512, c->size - off);
    if (memcmp(c->bytes + off, zeros, n) != 0)
      take_space(sf, off, n);
  }
  sf->capacity = capacity;
}

struct simfile *
simfile_crash(const struct simfile *sf, const bool *keep, struct simfile *old)
{
  struct simfile *c = old ? old : simfile_new(sf->random);

  content_copy(&c->durable, &sf->durable);
  for (uint32_t i = 0; i < sf->nunit; i++)
    if (keep[i])
      apply_unit(&c->durable, &sf->unit[i]);
  content_copy(&c->cache, &c->durable);
  copy_disk(c, sf);
  find_space(c);
  c->mtime = sf->mtime;
  c->ctime = sf->ctime;
  return c;
}

bool
simfile_diverged(const struct simfile *sf)
{
  for (uint32_t i = 0; i < sf->nunit; i++)
    if (sf->unit[i].optional)
      return true;
  return false;
}

struct simfile *
simfile_clone(const struct simfile *sf)
{
  struct simfile *c = simfile_new(sf->random);

  content_copy(&c->durable, &sf->durable);
  content_copy(&c->cache, &sf->cache);
  copy_disk(c, sf);
  c->mtime = sf->mtime;
  c->ctime = sf->ctime;
  c->seq = sf->seq;
  c->nunit = c->room = sf->nunit;
  if (sf->nunit) {
    c->unit = must(malloc(sf->nunit * sizeof *c->unit));
    memcpy(c->unit, sf->unit, sf->nunit * sizeof *c->unit);
  }
  return c;
}

struct file_stamp
simfile_stamp(const struct simfile *sf)
{
  return (struct file_stamp){ sf->cache.size, sf->mtime, sf->ctime };
}

void
simfile_restore(struct simfile *sf, const struct simfile *copy)
{
  content_copy(&sf->cache, &copy->cache);
  content_copy(&sf->durable, &copy->cache);
  sf->nunit = 0;
  find_space(sf);
  sf->ctime = clock_now();
  sf->mtime = copy->mtime - 3600 * SECOND;
}

struct handle {
  struct vhd_file file; /* first */
  struct simfile *sf;
};

struct simfile *
simfile_of(struct vhd_file *file)
{
  return ((struct handle *)file)->sf;
}

static int
perform(struct vhd_file *file, struct vhd_io *io)
{
  struct simfile *sf = simfile_of(file);

  return simfile_perform(sf, io, sf->seq);
}

static int
size(struct vhd_file *file, uint64_t *size)
{
  *size = simfile_of(file)->cache.size;
  return 0;
}

static void
close_handle(struct vhd_file *file)
{
  free(file->path);
  free(file);
}

struct vhd_file *
simfile_open(struct simfile *sf, const char *name, unsigned number)
{
  static const struct file_ops ops = {
    .perform = perform, .size = size, .close = close_handle,
  };
  struct handle *h = must(calloc(1, sizeof *h));

  sf->lost = false; /* to a new description nothing has been told */
  h->file.ops = &ops;
  h->file.fd = -1;
  h->file.path = must(strdup(name));
  h->file.can_punch = h->file.can_zero = !sf->no_punch;
  h->file.ino = number;
  h->sf = sf;
  return &h->file;
}

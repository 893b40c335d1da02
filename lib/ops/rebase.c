/* SPDX-License-Identifier: BSD-2-Clause */
/* rebase.c: vhd_rebase(): another parent for a child.  One thread a call.
 *
 * Where the child holds nothing its disk is what the chain below it says.  So
 * what the old and the new one say there is compared first, but for what both
 * take from one place of one file; and where they differ, the child gets the
 * old bytes for its own, if that is asked for: to do so changes nothing of what
 * its disk holds, and can be gone on with after a crash.  Then the child names
 * the new parent, in one step (reparent.h).  Both chains are held all the
 * while. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "image/image.h"
#include "ops/chain_options.h"
#include "ops/inplace.h"
#include "ops/parent_ref.h"
#include "ops/reparent.h"
#include "ops/settle.h"
#include "ops/walk.h"
#include "store/names.h"

#define CHUNK ((size_t)1 << 20)
#define PIECE ((size_t)4096)

struct rebase {
  const char *path;
  const struct vhd_chain_options *opt;
  struct vhd_image *child, *parent; /* the new one */
  struct progress progress;
  uint8_t *buf[2];                  /* CHUNK each */
  struct vhd_error *err;
};

/* ---------------------------------------------------------------- comparing */

/* Reads of a disk what lies beyond its end, too: zeros. */
static int
read_beyond(struct vhd_image *image, uint8_t *buf, size_t len, uint64_t off)
{
  const uint64_t size = vhd_size(image);
  const size_t there = off < size ? (size_t)MIN(len, size - off) : 0;

  memset(buf + there, 0, len - there);
  return there > 0 ? vhd_pread(image, buf, there, off) : 0;
}

static int
differ(const struct rebase *b, uint64_t off)
{
  return vhd_fail(b->err, VHD_STATE, EINVAL,
                  "%s: on this parent its disk would not hold what it does, "
                  "first in the 4 KiB at %" PRIu64 "; what differs can be "
                  "copied into it (--copy)", b->path, off);
}

/* A stretch that the child does not hold: pieces that differ are copied. */
static int
compare(const struct rebase *b, uint64_t off, size_t len)
{
  int r = vhd_pread(b->child, b->buf[0], len, off);

  if (r == 0)
    r = read_beyond(b->parent, b->buf[1], len, off);
  if (r < 0)
    return vhd_fail_sys(b->err, -r, "%s: cannot compare its parents at %"
                        PRIu64, b->path, off);
  for (size_t at = 0; at < len; at += PIECE) {
    const size_t n = MIN(PIECE, len - at);
    if (memcmp(b->buf[0] + at, b->buf[1] + at, n) == 0)
      continue;
    if (!(b->opt->flags & VHD_REBASE_COPY))
      return differ(b, off + at);
    r = vhd_pwrite(b->child, b->buf[0] + at, n, off + at, 0);
    if (r < 0)
      return vhd_fail_sys(b->err, -r, "%s: cannot write at %" PRIu64, b->path,
                          off + at);
  }
  return 0;
}

/* Does the new chain have the same there, as far as its map tells?  Shortens
 * *len to where it does, or to where it has to be looked at. */
static int
is_same(const struct rebase *b, const struct vhd_run *run, uint64_t off,
        uint64_t *len)
{
  struct vhd_run other = { .kind = VHD_RUN_HOLE };
  const uint64_t size = vhd_size(b->parent);
  unsigned n = 1;
  int r = 0;

  if (off < size) {
    r = vhd_map(b->parent, MIN(*len, size - off), off, &other, &n);
    *len = MIN(*len, other.len);
  }
  if (r < 0)
    return r;
  if (run->kind != VHD_RUN_DATA || other.kind != VHD_RUN_DATA)
    return run->kind != VHD_RUN_DATA && other.kind != VHD_RUN_DATA;
  return file_same(run->file, other.file) && run->file_off == other.file_off;
}

/* One run of the child's map. */
static int
compare_run(void *opaque, const struct vhd_run *whole, uint64_t off)
{
  struct rebase *b = opaque;
  struct vhd_run run = *whole;
  const bool own = run.depth == 0 && run.kind == VHD_RUN_DATA;
  uint64_t len;
  int r = 0;

  for (; r >= 0 && run.len > 0; run.len -= len, run.file_off += len,
                                off += len) {
    len = run.len;
    r = own ? 1 : is_same(b, &run, off, &len);
    if (r < 0)
      return vhd_fail_sys(b->err, -r, "%s: cannot be compared", b->path);
    if (r == 0) {
      len = MIN(len, CHUNK - off % CHUNK);
      r = compare(b, off, (size_t)len);
    }
    if (r >= 0)
      r = progress_add(&b->progress, len, b->err);
  }
  return r;
}

static int
compare_all(struct rebase *b)
{
  const uint64_t size = vhd_size(b->child);
  CLEANUP_FREE uint8_t *buf = malloc(2 * CHUNK);
  int r = progress_begin(&b->progress, &b->opt->progress, b->path, size,
                         b->err);

  if (!buf)
    return vhd_fail_sys(b->err, ENOMEM, "%s", b->path);
  b->buf[0] = buf;
  b->buf[1] = buf + CHUNK;
  if (r == 0)
    r = walk_runs(b->child, 0, size, compare_run, b, b->err);
  return r < 0 ? r : progress_end(&b->progress, b->err);
}

/* ----------------------------------------------------------------- changing */

/* The new parent must not stand upon the child. */
static int
check_parent(const char *path, struct vhd_image *parent, struct vhd_error *err)
{
  struct vhd_info info;

  vhd_get_info(parent, &info);
  if (info.type == VHD_RAW)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: only a VHD can become a parent", info.path);
  int r = parent_ref_check(info.path, &info, err);
  if (r < 0)
    return r;
  if (info.depth >= VHD_MAX_DEPTH)
    return vhd_fail(err, VHD_ARGUMENT, ELOOP,
                    "%s: has %u ancestors itself; a chain of more than %d "
                    "would not be opened", info.path, info.depth,
                    VHD_MAX_DEPTH);
  for (struct vhd_image *i = parent; i != NULL; i = vhd_parent(i)) {
    vhd_get_info(i, &info);
    if (names_same(info.path, path))
      return vhd_fail(err, VHD_CHAIN_CYCLE, ELOOP,
                      "%s: is itself part of the chain that is to become its "
                      "parent", path);
  }
  return 0;
}

static int
name_parent(struct edit *edit, const char *path, struct vhd_image *parent,
            bool same, struct vhd_error *err)
{
  struct vhd_info info;

  if (edit->layout.footer.type != VHD_DIFFERENCING)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: is no differencing image, and has no parent", path);
  vhd_get_info(parent, &info);
  return reparent(edit, info.path, &info, same ? REPARENT_SAME_DISK : 0,
                  err);
}

static int
rebase_checked(const char *path, struct vhd_image *parent,
               const struct vhd_chain_options *opt, struct vhd_error *err)
{
  struct rebase b = { .path = path, .opt = opt, .parent = parent, .err = err };
  struct inplace in;
  struct edit edit;

  int r = inplace_begin(path, &opt->open, &in, err);
  if (r < 0)
    return r;
  inplace_keep_time(&in);
  b.child = in.image;
  r = compare_all(&b);
  if (r < 0)
    return inplace_close(&in, r, true, err);
  r = edit_take(&edit, b.child, err);
  if (r < 0)
    return r;
  r = name_parent(&edit, path, parent, true, err);
  if (r < 0)
    edit_restore_time(&edit);
  edit_close(&edit);
  return r;
}

static int
rebase_unchecked(const char *path, struct vhd_image *parent,
                 const struct vhd_chain_options *opt, struct vhd_error *err)
{
  struct edit edit;

  int r = edit_open(&edit, path, &opt->open, err);
  if (r < 0)
    return r;
  r = name_parent(&edit, path, parent, false, err);
  edit_close(&edit);
  return r;
}

int
vhd_rebase(const char *path, const char *parent,
           const struct vhd_chain_options *opt, struct vhd_error *err)
{
  static const struct vhd_chain_options defaults;
  struct vhd_image *image;

  opt = opt ? opt : &defaults;
  int r = chain_check_options(opt, VHD_REBASE_COPY | VHD_REBASE_UNCHECKED,
                              path, err);
  if (r == 0)
    r = settle_open_parent(parent, &opt->open, &image, err);
  if (r < 0)
    return r;
  r = check_parent(path, image, err);
  if (r == 0)
    r = opt->flags & VHD_REBASE_UNCHECKED
          ? rebase_unchecked(path, image, opt, err)
          : rebase_checked(path, image, opt, err);
  vhd_close(image, NULL);
  return r;
}

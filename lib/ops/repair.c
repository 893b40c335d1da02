/* SPDX-License-Identifier: BSD-2-Clause */
/* repair.c: vhd_repair(), what of an image's own account of itself can be made
 * good from the rest of it.
 *
 * Nothing is written until all is known: what is to be changed is laid over the
 * file (patched.h), and the reader that opening uses looks at that again and
 * again.  Then what was there goes into an undo file, and the change is made in
 * one step (store/redo.h).  What a block holds is never guessed, and no entry
 * of a table is cleared that leads to one.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/open.h"
#include "store/local.h"
#include "store/names.h"
#include "store/patched.h"
#include "store/redo.h"

/* A table's room for entries that no disk needs is not gone through. */
#define PADDING_MAX (16U << 20)

struct repair {
  const char *path;
  struct vhd_file *file;
  struct patched over;
  struct layout layout;
  void (*found)(void *opaque, const struct vhd_finding *finding);
  void *opaque;
  struct vhd_repair_result *result;
  struct progress progress;
  struct vhd_error *err;
};

static int
fail(struct repair *r, int e)
{
  return e < 0 ? vhd_fail_sys(r->err, -e, "%s", r->path) : 0;
}

/* Lays it over the file, and says so. */
static int
mend(struct repair *r, int code, const void *bytes, size_t len, uint64_t off,
     const char *message)
{
  const struct vhd_finding finding = {
    .severity = VHD_BROKEN, .code = code, .path = r->path, .message = message,
  };

  int e = patched_add(&r->over, bytes, len, off);
  if (e < 0)
    return fail(r, e);
  r->result->repaired++;
  if (r->found != NULL)
    r->found(r->opaque, &finding);
  return 0;
}

/* ------------------------------------------------------------------ footers */

/* Of a dynamic or differencing image at its start. */
static bool
read_copy(struct repair *r, struct footer *footer)
{
  uint8_t buf[FOOTER_SIZE];

  return file_read(&r->over.file, buf, sizeof buf, 0) == 0 &&
         footer_parse(buf, r->path, "copy", footer, NULL) == 0 &&
         footer->type != VHD_FIXED;
}

/* r->layout is read: one of the two was good, and chosen. */
static int
mend_footers(struct repair *r)
{
  const struct layout *l = &r->layout;
  struct footer copy;
  uint8_t buf[FOOTER_SIZE], other[FOOTER_SIZE];

  if (l->footer.type == VHD_FIXED)
    return 0;
  footer_format(&l->footer, buf);
  if (!l->end_footer)
    return mend(r, VHD_FOOTER_MISSING, buf, sizeof buf,
                round_up(l->footer_off, FOOTER_SIZE),
                "the footer at the end of the file is written anew, from its "
                "copy at the start");
  if (!read_copy(r, &copy))
    return mend(r, VHD_FOOTER_CORRUPT, buf, sizeof buf, 0,
                "the copy of the footer at the start is written anew, from "
                "the one at the end of the file");
  footer_format(&copy, other);
  if (memcmp(buf, other, sizeof buf) == 0)
    return 0;
  if (footer_difference(&copy, &l->footer) != NULL)
    return 0; /* which of the two is right nobody can say */
  return mend(r, VHD_FOOTER_CORRUPT, buf, sizeof buf, 0,
              "the copy of the footer at the start was out of date");
}

/* ------------------------------------------------------------------- header */

/* All it says makes sense but its checksum. */
static int
mend_header(struct repair *r)
{
  uint8_t buf[HEADER_SIZE];
  struct footer footer;
  struct header header;
  uint64_t size;

  int e = file_size(&r->over.file, &size);
  if (e < 0)
    return fail(r, e);
  if (size < FOOTER_SIZE ||
      file_read(&r->over.file, buf, FOOTER_SIZE, size - FOOTER_SIZE) < 0 ||
      footer_parse(buf, r->path, "footer", &footer, NULL) < 0)
    if (!read_copy(r, &footer))
      return 0;
  if (footer.type == VHD_FIXED ||
      file_read(&r->over.file, buf, sizeof buf, footer.data_offset) < 0)
    return 0;
  header_mend(buf);
  if (header_parse(buf, r->path, footer.current_size, &header, NULL) < 0)
    return 0;
  return mend(r, VHD_HEADER_CHECKSUM, buf, sizeof buf, footer.data_offset,
              "the checksum of the dynamic header was wrong, and all else in "
              "it makes sense");
}

/* -------------------------------------------------------------------- table */

/* Entries past the disk's last block that lead nowhere. */
static int
mend_padding(struct repair *r)
{
  const struct layout *l = &r->layout;
  const uint64_t table = l->header.table_offset;
  const uint64_t from = table + l->nblk * 4ULL;
  const uint64_t len = l->header.max_table_entries * 4ULL - l->nblk * 4ULL;

  if (l->beyond || len == 0 || len > PADDING_MAX)
    return 0;
  CLEANUP_FREE uint8_t *bytes = malloc(len);
  int e = bytes == NULL ? -ENOMEM
                        : file_read(&r->over.file, bytes, len, from);
  if (e < 0 || bytes_all(bytes, len, 0xff))
    return fail(r, e);
  memset(bytes, 0xff, len);
  return mend(r, VHD_BAT_CORRUPT, bytes, len, from,
              "entries of the block table past the end of the disk, which "
              "could not be blocks, are unused now");
}

/* ------------------------------------------------------------------- batmap */

static int
is_full(struct repair *r, uint32_t blk, uint8_t *bits)
{
  const struct layout *l = &r->layout;
  const uint32_t slot = bat_slot(&l->bat, blk);
  const uint32_t nsec = layout_block_sectors(l, blk) - l->bitmap_sec;

  if (slot == NO_SLOT)
    return 0;
  int e = file_read(&r->over.file, bits, l->bitmap_sec * 512U, slot * 512ULL);
  return e < 0 ? e : bitmap_test(bits, 0) &&
                     bitmap_run(bits, 0, nsec) == nsec;
}

/* Clears what is untrue of the map; the number of bits, or -errno. */
static int64_t
clear_untrue(struct repair *r, uint8_t *map, size_t len)
{
  const struct layout *l = &r->layout;
  CLEANUP_FREE uint8_t *bits = malloc(l->bitmap_sec * 512U);
  int64_t n = 0;

  if (bits == NULL)
    return -ENOMEM;
  for (uint32_t blk = 0; blk < len * 8; blk++) {
    if (!bitmap_test(map, blk))
      continue;
    int full = blk < l->nblk ? is_full(r, blk, bits) : 0;
    if (full < 0)
      return full;
    if (!full) {
      bitmap_clear(map, blk, 1);
      n++;
    }
  }
  return n;
}

static int
mend_batmap(struct repair *r)
{
  const struct layout *l = &r->layout;
  const size_t len = (size_t)l->batmap.nsec * 512;
  uint8_t head[BATMAP_HEADER_SIZE];

  if (!l->has_batmap)
    return 0;
  CLEANUP_FREE uint8_t *map = malloc(len);
  if (map == NULL)
    return fail(r, -ENOMEM);
  memcpy(map, l->batmap_bits, len);
  int64_t n = clear_untrue(r, map, len);
  if (n < 0)
    return fail(r, (int)n);
  if (n == 0 && batmap_sum_ok(&l->batmap, map, len))
    return 0;
  batmap_format(&l->batmap, map, len, head);
  int e = mend(r, VHD_BATMAP, head, sizeof head, batmap_header_off(&l->header),
               "the batmap says of no block any more that it is full that is "
               "not, and its checksum is right");
  return e < 0 ? e : fail(r, patched_add(&r->over, map, len, l->batmap.off));
}

/* ------------------------------------------------------------- short blocks */

/* The table's entry, whatever it says. */
static int
raw_entry(struct repair *r, uint32_t blk, uint32_t *slot)
{
  struct be32 raw = { { 0 } };
  int e = file_read(&r->over.file, &raw, sizeof raw,
                    r->layout.header.table_offset + blk * 4ULL);

  *slot = be32_get(raw);
  return e;
}

/* The one block that begins in the file and does not end there, if no other
 * lies behind its beginning. */
static int
find_short(struct repair *r, uint32_t *blk, uint64_t *end)
{
  const struct layout *l = &r->layout;
  uint32_t slot, n = 0;
  int e = 0;

  for (uint32_t b = 0; e == 0 && b < l->nblk; b++) {
    if (bat_slot(&l->bat, b) != NO_SLOT)
      continue;
    e = raw_entry(r, b, &slot);
    if (e < 0 || slot == NO_SLOT)
      continue;
    const uint64_t off = slot * 512ULL;
    if (off + (l->bitmap_sec * 512ULL) > l->footer_off ||
        layout_slot_over(l, off, l->footer_off - off) != NO_SLOT ||
        layout_region_over(l, off, l->footer_off - off) != NULL)
      continue;
    *blk = b;
    *end = off + layout_block_sectors(l, b) * 512ULL;
    n++;
  }
  return e < 0 ? e : n == 1;
}

/* What is lost of it reads as zeros; so does the place of a footer in it. */
static int
mend_short_block(struct repair *r)
{
  static const uint8_t zeros[FOOTER_SIZE];
  const struct layout *l = &r->layout;
  uint8_t buf[FOOTER_SIZE];
  char text[200];
  uint32_t blk;
  uint64_t end;

  int n = find_short(r, &blk, &end);
  if (n <= 0)
    return fail(r, n);
  footer_format(&l->footer, buf);
  snprintf(text, sizeof text, "block %" PRIu32 " was cut short by the end of "
           "the file: its last %" PRIu64 " bytes, which are lost, are zeros",
           blk, end - l->footer_off);
  int e = mend(r, VHD_BAT_CORRUPT, buf, sizeof buf, end, text);
  if (e == 0 && l->end_footer)
    e = fail(r, patched_add(&r->over, zeros,
                            (size_t)(MIN(l->file_size, end) - l->footer_off),
                            l->footer_off));
  return e;
}

/* --------------------------------------------------------------------- all */

struct counting_sink {
  struct layout_sink sink; /* first */
  uint32_t broken;
};

static void
count_broken(struct layout_sink *sink, enum vhd_severity severity, int code,
             const char *message)
{
  (void)code;
  (void)message;
  ((struct counting_sink *)sink)->broken += severity == VHD_BROKEN;
}

/* Reads what there would be.  How much of it is broken; or -errno with *fault
 * set where it cannot even be gone through. */
static int
read_again(struct repair *r, struct vhd_error *fault)
{
  struct counting_sink counting = { { count_broken, true }, 0 };

  layout_free(&r->layout);
  int e = layout_read(&r->over.file, 0, &counting.sink, &r->layout, fault);
  return e < 0 ? e : (int)MIN(counting.broken, INT32_MAX);
}

static int
mend_all(struct repair *r)
{
  static int (*const parts[])(struct repair *) = {
    mend_short_block, mend_footers, mend_padding, mend_batmap,
  };
  struct vhd_error fault = { 0 };

  int n = read_again(r, &fault);
  if (n < 0 && fault.code == VHD_HEADER_CHECKSUM) {
    int e = mend_header(r);
    if (e < 0)
      return e;
    n = read_again(r, &fault);
  }
  for (size_t i = 0; n >= 0 && i < sizeof parts / sizeof *parts; i++) {
    if (r->layout.footer.type == VHD_FIXED)
      break;
    int e = parts[i](r);
    if (e < 0)
      return e;
    n = read_again(r, &fault);
  }
  if (n < 0 && r->result->repaired == 0) {
    if (r->err != NULL)
      *r->err = fault;
    return n;
  }
  r->result->left = n < 0 ? 1 : (uint32_t)n;
  return 0;
}

/* ---------------------------------------------------------------- undo file */

static char *
undo_path(const char *path)
{
  char *name;

  return asprintf(&name, "%s.vhdkit-undo", path) < 0 ? NULL : name;
}

/* A repair that was killed, or failed, may have left just that; but the times
 * of the file may be others now. */
static bool
is_written(const char *name, const uint8_t *buf, size_t size)
{
  struct vhd_file *file;
  uint64_t there = 0;

  if (local_open(name, LOCAL_READ, &file, NULL) < 0)
    return false;
  CLEANUP_FREE uint8_t *bytes = malloc(size);
  bool same = bytes != NULL && file_size(file, &there) == 0 &&
              there == size && file_read(file, bytes, size, 0) == 0 &&
              redo_same(bytes, buf, size);
  file_close(file);
  return same;
}

static int
write_undo(struct repair *r, struct redo *redo)
{
  CLEANUP_FREE char *name = undo_path(r->path);
  struct vhd_output *output;
  size_t size = 0;

  if (name == NULL)
    return fail(r, -ENOMEM);
  CLEANUP_FREE uint8_t *buf = redo_reverse(redo, &size);
  if (buf == NULL)
    return fail(r, -ENOMEM);
  if (is_written(name, buf, size))
    return 0;
  int e = vhd_output_open(name, 0, &output, r->err);
  if (e < 0)
    return e;
  if (pwrite(vhd_output_fd(output), buf, size, 0) != (ssize_t)size)
    e = vhd_fail_sys(r->err, ENOSPC, "%s: cannot be written", name);
  if (e == 0)
    e = vhd_output_commit(output, r->err);
  vhd_output_close(output);
  return e;
}

static int
commit(struct repair *r)
{
  struct redo *redo;

  if (r->over.n == 0)
    return 0;
  int e = redo_begin(r->file, &redo, r->err);
  if (e < 0)
    return e;
  for (size_t i = 0; e == 0 && i < r->over.n; i++)
    e = fail(r, redo_add(redo, r->over.patch[i].bytes, r->over.patch[i].len,
                         r->over.patch[i].off));
  if (e == 0 && RULE(UNDO_FIRST))
    e = write_undo(r, redo);
  if (e == 0)
    e = redo_commit(redo, r->err);
  redo_free(redo);
  return e;
}

/* Puts back what the undo file holds. */
static int
put_back(struct repair *r)
{
  CLEANUP_FREE char *name = undo_path(r->path);
  struct vhd_file *undo;
  struct redo *redo = NULL;
  uint64_t size = 0;

  if (name == NULL)
    return fail(r, -ENOMEM);
  int e = local_open(name, LOCAL_READ, &undo, r->err);
  if (e < 0)
    return e;
  e = file_size(undo, &size);
  CLEANUP_FREE uint8_t *buf = malloc(size + 1);
  if (e == 0)
    e = buf == NULL ? -ENOMEM : file_read(undo, buf, size, 0);
  e = e < 0 ? fail(r, e) : redo_of(r->file, buf, size, &redo, r->err);
  if (e == 0)
    e = redo_commit(redo, r->err);
  redo_free(redo);
  file_close(undo);
  e = MIN(e, 0); /* one who was killed may have come so far */
  return e < 0 ? e : names_remove(name, r->err);
}

/* What a killed repair has left half done: whoever reads the image is kept from
 * that. */
static int
finish_change(const char *path, struct vhd_error *err)
{
  struct vhd_file *file;

  int e = local_open(path, LOCAL_WRITE, &file, err);
  if (e < 0)
    return e;
  e = redo_finish(file, REDO_WRITER, err);
  file_close(file);
  return MIN(e, 0);
}

/* What a killed program left for it belongs to it, and comes first. */
static int
refuse_journal(const char *path, const struct vhd_open_options *opt,
               struct vhd_error *err)
{
  struct vhd_open_options look = *opt;
  struct vhd_image *image;
  struct vhd_error why = { 0 };
  int e = 0;

  look.flags |= VHD_OPEN_READONLY;
  if (vhd_open(path, &look, &image, &why) < 0) {
    if (why.code != VHD_JOURNAL && why.code != VHD_BUSY)
      return 0;
    if (err != NULL)
      *err = why;
    return why.sys > 0 ? -why.sys : -EIO;
  }
  if (image->top->journaled)
    e = vhd_fail(err, VHD_JOURNAL, EBUSY,
                 "%s: a killed program left changes of it; open it once for "
                 "writing, which writes them down", path);
  vhd_close(image, NULL);
  return e;
}

int
vhd_repair(const char *path, const struct vhd_repair_options *opt,
           void (*found)(void *opaque, const struct vhd_finding *finding),
           void *opaque, struct vhd_repair_result *result,
           struct vhd_error *err)
{
  static const struct vhd_repair_options none;
  struct repair r = {
    .path = path, .found = found, .opaque = opaque, .result = result,
    .err = err,
  };

  if (opt == NULL)
    opt = &none;
  *result = (struct vhd_repair_result){ 0 };
  int e = vhd_check_flags(opt->flags, VHD_REPAIR_UNDO, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0)
    e = vhd_check_open(&opt->open, OPEN_FLAGS, path, err);
  if (e == 0)
    e = finish_change(path, err);
  if (e == 0)
    e = refuse_journal(path, &opt->open, err);
  if (e == 0)
    e = local_open(path, LOCAL_WRITE, &r.file, err);
  if (e < 0)
    return e;
  patched_init(&r.over, r.file);
  e = MIN(redo_finish(r.file, REDO_WRITER, err), 0);
  if (e == 0)
    e = progress_begin(&r.progress, &opt->progress, path, 0, err);
  if (e == 0 && opt->flags & VHD_REPAIR_UNDO)
    e = put_back(&r);
  else if (e == 0)
    e = mend_all(&r);
  if (e == 0)
    e = progress_end(&r.progress, err);
  if (e == 0)
    e = commit(&r);
  layout_free(&r.layout);
  patched_free(&r.over);
  file_close(r.file);
  return e;
}

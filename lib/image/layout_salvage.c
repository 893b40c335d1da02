/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_salvage.c: see layout_salvage.h: the footers and the header of a
 * damaged image.  layout_salvage_guess.c makes up for a lost header,
 * layout_salvage_table.c sees to the entries, and layout_salvage_strays.c to
 * blocks that no entry leads to. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "image/layout_reader.h"
#include "image/layout_salvage.h"
#include "image/layout_vhdx.h"

/* How far before the end of the file a footer is looked for, where something
 * was put behind it; and how far from the beginning a header. */
#define SEARCH (64U << 10)

/* ------------------------------------------------------------------ footers */

/* What lies at one of the places of a footer. */
struct candidate {
  enum vhd_part part;
  bool usable; /* .footer makes sense: good, or but for its checksum */
  struct footer footer;
  uint64_t off;
};

static void
judge_footer(struct reader *r, uint64_t off, size_t size, const char *place,
             struct candidate *c)
{
  uint8_t buf[FOOTER_SIZE] = { 0 };
  struct vhd_error why = { 0 };

  *c = (struct candidate){ .part = VHD_PART_MISSING, .off = off };
  if (!range_fits(off, size, r->l->file_size))
    return;
  if (file_read(r->file, buf, size, off) < 0) {
    reader_report(r, VHD_BROKEN, VHD_METADATA_READ,
                  "the %s cannot be read", place);
    return;
  }
  if (footer_parse(buf, r->file->path, place, &c->footer, &why) == 0) {
    c->part = VHD_PART_GOOD;
    c->usable = true;
    return;
  }
  const bool cookie = footer_has_cookie(buf);
  footer_mend(buf);
  c->usable =
    footer_parse(buf, r->file->path, place, &c->footer, NULL) == 0;
  if (!cookie && !c->usable)
    return;
  c->part = VHD_PART_BAD;
  reader_report(r, VHD_BROKEN, why.code, "%s", why.message);
}

/* One that something was put behind, such as zeros by a copy. */
static void
search_end(struct reader *r, struct candidate *c)
{
  const uint64_t size = round_down(r->l->file_size, FOOTER_SIZE);
  uint8_t buf[FOOTER_SIZE];

  for (uint64_t n = FOOTER_SIZE; n <= MIN(size, SEARCH); n += FOOTER_SIZE) {
    struct candidate found = { VHD_PART_GOOD, true, .off = size - n };
    if (found.off == 0 ||
        file_read(r->file, buf, sizeof buf, found.off) < 0 ||
        footer_parse(buf, r->file->path, "footer", &found.footer, NULL) < 0 ||
        (found.footer.type == VHD_FIXED &&
         found.footer.current_size != found.off))
      continue;
    *c = found;
    reader_report(r, VHD_BROKEN, VHD_FILE_SIZE,
                  "a footer lies at %" PRIu64 ", and %" PRIu64 " bytes behind "
                  "it, which are left out", c->off,
                  r->l->file_size - c->off - FOOTER_SIZE);
    return;
  }
}

static void
take_footer(struct salvage *s, const struct candidate *c, uint64_t end,
            bool sure)
{
  s->layout.footer = c->footer;
  s->layout.footer_off = end;
  s->layout.disk_size = c->footer.current_size;
  s->sure = sure;
}

/* Does a damaged footer say what the length of the file says as well? */
static bool
is_fixed_by_length(const struct candidate *end)
{
  return end->footer.type == VHD_FIXED &&
         end->footer.current_size == end->off;
}

static void
choose_footer(struct reader *r, struct salvage *s, struct candidate *end,
              struct candidate *start)
{
  const uint64_t bound =
    end->part == VHD_PART_MISSING ? r->l->file_size : end->off;

  if (end->part == VHD_PART_GOOD) {
    const char *field = start->part != VHD_PART_GOOD ||
                            end->footer.type == VHD_FIXED
                          ? NULL : footer_difference(&end->footer,
                                                     &start->footer);
    if (field)
      reader_report(r, VHD_BROKEN, VHD_FOOTER_CORRUPT,
                    "the footer at the end of the file and its copy at the "
                    "start differ in the %s; which is right is not known, and "
                    "the one at the end is taken", field);
    take_footer(s, end, end->off, field == NULL);
    r->l->end_footer = true;
  } else if (start->part == VHD_PART_GOOD &&
             !(end->usable && end->footer.type == VHD_FIXED)) {
    take_footer(s, start, bound, true);
  } else if (end->usable) {
    take_footer(s, end, end->off, is_fixed_by_length(end));
    s->size_guessed = !s->sure;
  } else if (start->usable) {
    take_footer(s, start, bound, false);
    s->size_guessed = true;
  } else {
    s->layout.footer_off = bound;
    s->size_guessed = true;
  }
}

static void
find_footers(struct reader *r, struct salvage *s)
{
  const uint64_t size = r->l->file_size;
  struct candidate end, start;

  judge_footer(r, size - FOOTER_SIZE, FOOTER_SIZE,
               "footer at the end of the file", &end);
  if (end.part == VHD_PART_MISSING) {
    struct candidate old;
    judge_footer(r, size - FOOTER_SIZE_OLD, FOOTER_SIZE_OLD,
                 "footer at the end of the file", &old);
    if (old.part == VHD_PART_GOOD)
      end = old;
  }
  judge_footer(r, 0, FOOTER_SIZE, "copy of the footer at offset 0", &start);
  /* The first sector of a fixed disk is the guest's. */
  if (start.usable && start.footer.type == VHD_FIXED)
    start = (struct candidate){ .part = VHD_PART_MISSING };
  if (end.part == VHD_PART_MISSING && start.part != VHD_PART_GOOD)
    search_end(r, &end);
  s->end_footer = end.part;
  s->start_footer = start.part;
  choose_footer(r, s, &end, &start);
  if (r->l->footer.type != VHD_FIXED) {
    if (end.part == VHD_PART_MISSING)
      reader_report(r, VHD_BROKEN, VHD_FOOTER_MISSING,
                    "there is no footer at the end of the file");
    if (start.part == VHD_PART_MISSING)
      reader_report(r, VHD_BROKEN, VHD_FOOTER_MISSING,
                    "there is no copy of the footer at the start");
  }
}

/* ------------------------------------------------------------------- header */

static int
parse_header(struct reader *r, const uint8_t *buf, uint64_t disk_size,
             struct header *header, struct vhd_error *why)
{
  int e = header_parse(buf, r->file->path, disk_size, header, why);

  return e == 0 && header->max_table_entries == 0 ? -EINVAL : e;
}

/* disk_size: 512, the least there is, where it is not known. */
static enum vhd_part
judge_header(struct reader *r, uint64_t off, uint64_t disk_size,
             struct header *header)
{
  uint8_t buf[HEADER_SIZE];
  struct vhd_error why = { 0 };

  if (off < FOOTER_SIZE || !range_fits(off, HEADER_SIZE, r->l->file_size) ||
      file_read(r->file, buf, sizeof buf, off) < 0)
    return VHD_PART_MISSING;
  if (parse_header(r, buf, disk_size, header, &why) == 0)
    return VHD_PART_GOOD;
  header_mend(buf);
  if (parse_header(r, buf, disk_size, header, NULL) < 0 &&
      parse_header(r, buf, VHD_SECTOR_SIZE, header, NULL) < 0)
    return VHD_PART_MISSING;
  reader_report(r, VHD_BROKEN, why.code, "%s", why.message);
  return VHD_PART_BAD;
}

/* Where the footer says; else where it mostly lies, or further on. */
static uint64_t
find_header(struct reader *r, struct salvage *s, uint64_t disk_size)
{
  struct layout *l = r->l;
  const uint64_t end = MIN(SEARCH, l->file_size);
  uint64_t off = l->footer.type != 0 ? l->footer.data_offset : FOOTER_SIZE;

  s->header = judge_header(r, off, disk_size, &l->header);
  if (s->header != VHD_PART_MISSING)
    return off;
  for (off = FOOTER_SIZE; off < end; off += 512) {
    uint8_t buf[HEADER_SIZE];
    if (range_fits(off, sizeof buf, l->file_size) &&
        file_read(r->file, buf, sizeof buf, off) == 0 &&
        parse_header(r, buf, disk_size, &l->header, NULL) == 0) {
      s->header = VHD_PART_GOOD;
      return off;
    }
  }
  return l->footer.type != 0 ? l->footer.data_offset : FOOTER_SIZE;
}

/* A header without a footer tells of the parent, and how large the disk is at
 * most. */
static void
stand_in(struct salvage *s)
{
  struct layout *l = &s->layout;
  const struct header *h = &l->header;
  const bool child = !bytes_all(h->parent_id, sizeof h->parent_id, 0) ||
                     !bytes_all(h->parent_name, sizeof h->parent_name, 0);

  l->footer = (struct footer){
    .type = child ? VHD_DIFFERENCING : VHD_DYNAMIC,
    .data_offset = FOOTER_SIZE,
  };
}

/* What follows from the header. */
static void
derive(struct salvage *s, uint64_t header_off)
{
  struct layout *l = &s->layout;
  const struct header *h = &l->header;
  const uint64_t size = h->block_size;
  uint64_t most = MIN((uint64_t)h->max_table_entries, HEADER_MAX_BLOCKS);

  most = MIN(most, VHD_MAX_DYNAMIC_SIZE / size);
  /* A size that is not proven counts where the table's length agrees. */
  if (s->size_guessed && DIV_ROUND_UP(l->disk_size, size) != most)
    l->disk_size = most * size;
  l->own_size = l->disk_size;
  l->spb = h->block_size / 512;
  l->bitmap_sec = header_bitmap_sectors(h->block_size);
  l->nblk = (uint32_t)MIN(most, DIV_ROUND_UP(l->disk_size, size));
  l->region[l->nregion++] =
    (struct region){ 0, FOOTER_SIZE, "copy of the footer" };
  l->region[l->nregion++] =
    (struct region){ header_off, HEADER_SIZE, "dynamic header" };
}

int
salvage_header(struct reader *r, struct salvage *s)
{
  struct layout *l = r->l;
  const bool known = l->footer.type != 0;
  uint64_t off = find_header(r, s, known ? l->disk_size : VHD_SECTOR_SIZE);

  if (s->header == VHD_PART_MISSING) {
    int e = salvage_guess(r, s, off + HEADER_SIZE);
    if (e <= 0)
      return e;
    s->header = VHD_PART_GUESSED;
    s->sure = false;
  } else if (!known || s->size_guessed) {
    /* Its checksum proves where the blocks lie, whatever their number. */
    s->sure = s->header == VHD_PART_GOOD;
  } else if (s->header == VHD_PART_BAD) {
    s->sure = false;
  }
  if (!known || (s->size_guessed && s->header == VHD_PART_GOOD))
    stand_in(s);
  derive(s, off);
  return 1;
}

/* --------------------------------------------------------------------- all */

/* No footer, header or table: the bytes of a disk, perhaps, and no more. */
static int
take_for_fixed(struct reader *r, struct salvage *s)
{
  struct layout *l = r->l;

  int e = layout_refuse_others(r);
  if (e < 0)
    return e;
  l->footer.type = VHD_FIXED;
  l->disk_size = round_down(l->footer_off, VHD_SECTOR_SIZE);
  s->size_guessed = true;
  s->sure = false;
  return reader_report(r, VHD_BROKEN, VHD_FOOTER_MISSING,
                       "nothing that a VHD is known by is left; it is taken "
                       "for a fixed disk that lost its footer");
}

/* The same where a footer tells of blocks: all of them are lost. */
static int
take_nothing(struct reader *r, struct salvage *s)
{
  s->sure = false;
  return reader_report(r, VHD_BROKEN, VHD_HEADER_CORRUPT,
                       "neither the dynamic header nor a block table is left: "
                       "nothing tells what lies where");
}

static int
salvage_all(struct reader *r, struct salvage *s, struct progress *progress)
{
  struct layout *l = r->l;

  if (l->file_size < FOOTER_SIZE)
    return vhd_fail(r->err, VHD_FILE_SIZE, EINVAL,
                    "%s: a file of %" PRIu64 " bytes has nothing that could "
                    "be rescued", l->path, l->file_size);
  /* What looks like a footer may be a guest's; the name is not. */
  int e = layout_named_vhd(l->path) ? 0 : layout_refuse_vhdx(r);
  if (e < 0)
    return e;
  find_footers(r, s);
  if (l->footer.type == VHD_FIXED) {
    l->own_size = l->disk_size;
    if (l->disk_size > l->footer_off)
      reader_report(r, VHD_BROKEN, VHD_FILE_SIZE,
                    "a fixed disk of %" PRIu64 " bytes, of which the file "
                    "holds %" PRIu64, l->disk_size, l->footer_off);
    return 0;
  }
  e = salvage_header(r, s);
  if (e == 0)
    return l->footer.type == 0 ? take_for_fixed(r, s) : take_nothing(r, s);
  if (e > 0)
    e = salvage_table(r, s);
  if (e == 0)
    e = salvage_strays(r, s, progress);
  slots_free(&l->slots);
  return e;
}

int
layout_salvage(struct vhd_file *file, struct layout_sink *sink,
               struct progress *progress, struct salvage *s,
               struct vhd_error *err)
{
  struct reader r = { file, &s->layout, sink, err };

  memset(s, 0, sizeof *s);
  s->layout.path = file->path;
  int e = file_size(file, &s->layout.file_size);
  e = e < 0 ? vhd_fail_sys(err, -e, "%s: cannot tell the size", file->path)
            : salvage_all(&r, s, progress);
  if (e < 0)
    salvage_free(s);
  return e;
}

void
salvage_free(struct salvage *s)
{
  layout_free(&s->layout);
  free(s->fate);
  s->fate = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx_log.c: the log of a VHDX file, replayed in memory.
 *
 * The log is a ring of entries.  What counts is the sequence of valid entries,
 * one right behind another with numbers that follow each other, whose last has
 * the highest number of all and says that it begins (its tail) within the
 * sequence.  From that tail on, its changes are made in order.  The file is not
 * touched: it is seen through them.
 *
 * All of it is hostile: no byte of the ring is summed more than a few times,
 * however the entries lie over each other, and what would change the headers or
 * the log itself is refused. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/error.h"
#include "base/table.h"
#include "format/guid.h"
#include "format/vhdx_log.h"
#include "image/layout_vhdx_reader.h"

struct log {
  struct vhdx_reader *v;
  uint8_t *ring;   /* twice, so that each entry lies in one piece */
  uint32_t len;
  uint64_t budget; /* bytes that may still be summed */
};

/* A sequence of entries. */
struct sequence {
  uint32_t from, end; /* in the ring; end: where the next would lie */
  uint32_t n;
  struct vhdx_log_entry last;
};

static int
is_bad(struct log *g, const char *why)
{
  return vhd_fail(g->v->r.err, VHD_JOURNAL, EINVAL,
                  "%s: its log is not empty, and cannot be replayed: %s; a "
                  "program that writes VHDX may be able to repair it",
                  g->v->r.l->path, why);
}

/* --------------------------------------------------------------- sequences */

/* Does a valid entry lie here?  1 or 0; or -errno. */
static int
entry_at(struct log *g, uint32_t at, struct vhdx_log_entry *entry)
{
  const uint8_t *p = g->ring + at;

  if (vhdx_log_parse(p, entry) < 0 || entry->len > g->len ||
      memcmp(entry->log_id, g->v->header.log_id, sizeof entry->log_id) != 0)
    return 0;
  if (entry->len > g->budget)
    return is_bad(g, "too many of its entries lie over each other");
  g->budget -= entry->len;
  return vhdx_log_sum_ok(p, entry);
}

/* The longest sequence that begins here. */
static int
follow(struct log *g, uint32_t from, struct sequence *seq)
{
  struct vhdx_log_entry entry;
  uint64_t taken = 0;

  *seq = (struct sequence){ .from = from, .end = from };
  for (;;) {
    int e = entry_at(g, seq->end, &entry);
    if (e < 0)
      return e;
    if (e == 0 || taken + entry.len > g->len ||
        (seq->n > 0 && entry.sequence != seq->last.sequence + 1))
      return 0;
    taken += entry.len;
    seq->last = entry;
    seq->n++;
    seq->end = (uint32_t)((seq->end + (uint64_t)entry.len) % g->len);
    if (taken == g->len)
      return 0;
  }
}

/* Which of its entries begins at the last one's tail; .n: none. */
static uint32_t
tail_of(struct log *g, const struct sequence *seq)
{
  struct vhdx_log_entry entry;
  uint64_t at = seq->from;
  uint32_t i;

  for (i = 0; i < seq->n && at != seq->last.tail; i++) {
    vhdx_log_parse(g->ring + at, &entry);
    at = (at + entry.len) % g->len;
  }
  return i;
}

/* The one that counts; .n is 0 where there is none. */
static int
find_active(struct log *g, struct sequence *active)
{
  struct sequence seq;

  *active = (struct sequence){ 0 };
  for (uint64_t at = 0; at < g->len;) {
    int e = follow(g, (uint32_t)at, &seq);
    if (e < 0)
      return e;
    if (seq.n > 0 && tail_of(g, &seq) < seq.n &&
        seq.last.sequence > active->last.sequence)
      *active = seq;
    if (seq.n > 0 && seq.end <= at) /* round the ring */
      return 0;
    at = seq.n > 0 ? seq.end : at + VHDX_PAGE;
  }
  return 0;
}

/* ------------------------------------------------------------------ replay */

static int
make_change(struct log *g, const struct vhdx_log_change *change, uint64_t size)
{
  const struct vhdx_header *h = &g->v->header;
  struct patched *over = &g->v->x->over;
  uint8_t page[VHDX_PAGE];

  if (!range_fits(change->off, change->len, size))
    return is_bad(g, "it changes what lies past the end of the file");
  if (change->off < VHDX_TABLE_OFF(0))
    return is_bad(g, "it changes the headers");
  if (change->off < h->log_off + h->log_len &&
      h->log_off < change->off + change->len)
    return is_bad(g, "it changes the log itself");
  if (over->n >= VHDX_LOG_CHANGES)
    return vhd_fail(g->v->r.err, VHD_LIMIT, EINVAL,
                    "%s: its log has more than %u changes",
                    g->v->r.l->path, VHDX_LOG_CHANGES);
  if (!change->zero)
    vhdx_log_page(change, page);
  int e = patched_change(over, change->zero ? NULL : page, change->len,
                         change->off);
  return e < 0 ? vhd_fail_sys(g->v->r.err, -e, "%s", g->v->r.l->path) : 0;
}

static int
replay_entry(struct log *g, const uint8_t *at,
             const struct vhdx_log_entry *entry)
{
  const uint64_t size = MAX(g->v->r.l->file_size, entry->last);
  struct vhdx_log_change change;
  uint32_t npage = 0;
  int e = 0;

  if (entry->flushed > g->v->r.l->file_size)
    return is_bad(g, "the file was longer when it was written");
  if (entry->last > INT64_MAX)
    return is_bad(g, "it makes the file impossibly long");
  for (uint32_t i = 0; e == 0 && i < entry->nchange; i++)
    e = vhdx_log_change(at, entry, i, &npage, &change) < 0
          ? is_bad(g, "an entry is malformed")
          : make_change(g, &change, size);
  return e;
}

static int
replay(struct log *g, const struct sequence *seq)
{
  struct vhdx_log_entry entry;
  uint32_t i = tail_of(g, seq);
  uint64_t at = seq->last.tail;
  int e = 0;

  for (; e == 0 && i < seq->n; i++) {
    vhdx_log_parse(g->ring + at, &entry);
    e = replay_entry(g, g->ring + at, &entry);
    at = (at + entry.len) % g->len;
  }
  return e;
}

/* --------------------------------------------------------------------- all */

static int
replay_ring(struct log *g)
{
  struct vhdx_reader *v = g->v;
  struct sequence active;

  int e = file_read(v->r.file, g->ring, g->len, v->header.log_off);
  if (e < 0)
    return vhd_fail_sys(v->r.err, -e, "%s: cannot read the log",
                        v->r.l->path);
  memcpy(g->ring + g->len, g->ring, g->len);
  e = find_active(g, &active);
  if (e == 0 && active.n == 0)
    e = is_bad(g, "no entry in it is valid");
  if (e == 0)
    e = replay(g, &active);
  if (e < 0)
    return e;
  v->x->patched = true;
  v->x->over.least = active.last.last;
  v->r.file = &v->x->over.file;
  e = file_size(v->r.file, &v->r.l->file_size);
  if (e < 0)
    return vhd_fail_sys(v->r.err, -e, "%s", v->r.l->path);
  layout_tell(v->r.sink, VHD_NOTE, VHD_JOURNAL,
              "its log has changes that were not made in the file yet; they "
              "count");
  return 0;
}

int
layout_vhdx_replay(struct vhdx_reader *v)
{
  const struct vhdx_header *h = &v->header;
  struct log g = { v, NULL, h->log_len, 0 };

  if (guid_is_null(h->log_id))
    return 0;
  if (h->log_version != 0)
    return is_bad(&g, "it is of a version that is not known");
  if (h->log_len == 0 ||
      !range_fits(h->log_off, h->log_len, v->r.l->file_size))
    return is_bad(&g, "it does not lie in the file");
  if (h->log_len > VHDX_LOG_BYTES)
    return vhd_fail(v->r.err, VHD_LIMIT, EINVAL,
                    "%s: its log, which is not empty, has %" PRIu32 " bytes; "
                    "only %u can be replayed", v->r.l->path, h->log_len,
                    VHDX_LOG_BYTES);
  g.budget = (uint64_t)VHDX_LOG_SUMS * g.len;
  g.ring = table_zeroed(2, g.len);
  if (!g.ring)
    return vhd_fail_sys(v->r.err, ENOMEM, "%s", v->r.l->path);
  int e = replay_ring(&g);
  table_free(g.ring, 2, g.len);
  return e;
}

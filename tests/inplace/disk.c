/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "chance.h"
#include "clock.h"
#include "disk.h"

/* Times are those of the real files: simfile.c's count for nothing. */
int64_t
clock_now(void)
{
  return 0;
}

static void *
must(void *p)
{
  if (!p)
    abort();
  return p;
}

void
disk_init(struct disk *d, const struct state *start)
{
  *d = (struct disk){ .start = start, .nfile = start->nfile,
                      .names = start->names, .durable = start->names };
  for (int i = 0; i < d->nfile; i++) {
    const struct state_file *f = &start->file[i];
    d->file[i] = simfile_new(chance_random);
    d->mtime[i] = f->mtime;
    if (f->size > 0)
      simfile_put(d->file[i], f->bytes, f->size, 0);
  }
}

void
disk_free(struct disk *d)
{
  for (int i = 0; i < d->nfile; i++)
    simfile_free(d->file[i]);
  simfile_free(d->left);
  *d = (struct disk){ 0 };
}

/* ---------------------------------------------------------------- the run */

static void
perform(struct disk *d, const struct event *e, enum vhd_io_kind kind)
{
  struct simfile *sf = d->file[e->file];
  struct vhd_io io = {
    .kind = (uint8_t)kind, .buf = e->bytes, .off = e->off, .len = e->len,
  };

  sf->nio = 0;
  sf->fail_at = e->kind == EVENT_FAILED_SYNC;
  simfile_perform(sf, &io, sf->seq);
  sf->fail_at = 0;
  if (kind != VHD_IO_SYNC)
    d->mtime[e->file] = 0;
}

static void
apply_names(struct names *names, const struct event *e)
{
  for (int i = 0; i < e->nnaming; i++)
    names_set(names, e->naming[i].name, e->naming[i].file);
}

void
disk_take(struct disk *d, const struct event *e)
{
  switch (e->kind) {
  case EVENT_WRITE: perform(d, e, VHD_IO_WRITE); break;
  case EVENT_CLEAR: perform(d, e, VHD_IO_PUNCH); break;
  case EVENT_SIZE: perform(d, e, VHD_IO_TRUNCATE); break;
  case EVENT_SYNC:
  case EVENT_FAILED_SYNC: perform(d, e, VHD_IO_SYNC); break;
  case EVENT_TIME: d->mtime[e->file] = (int64_t)e->off; break;
  case EVENT_NEW:
    if (e->file != d->nfile)
      abort();
    d->mtime[d->nfile] = 0;
    d->file[d->nfile++] = simfile_new(chance_random);
    break;
  case EVENT_NAMES:
    apply_names(&d->names, e);
    if (d->npending == sizeof d->pending / sizeof d->pending[0])
      abort();
    d->pending[d->npending++] = *e;
    break;
  case EVENT_SYNC_NAMES:
    d->durable = d->names;
    d->npending = 0;
    break;
  }
}

const char *
disk_differs(const struct disk *d, const struct state *live)
{
  for (int i = 0; i < d->names.n; i++) {
    const struct naming *n = &d->names.at[i];
    const int file = names_find(&live->names, n->name);
    if ((file < 0) != (n->file < 0))
      return n->name;
    if (file < 0)
      continue;
    const struct content *c = &d->file[n->file]->cache;
    const struct state_file *f = &live->file[file];
    if (c->size != f->size || memcmp(c->bytes, f->bytes, c->size) != 0)
      return n->name;
  }
  for (int i = 0; i < live->names.n; i++)
    if (names_find(&d->names, live->names.at[i].name) < 0)
      return live->names.at[i].name;
  return "";
}

/* -------------------------------------------------------------- power cuts */

static unsigned
count_units(const struct disk *d)
{
  unsigned n = d->npending;

  for (int i = 0; i < d->nfile; i++)
    n += d->file[i]->nunit;
  return n;
}

unsigned
disk_ways(const struct disk *d, unsigned most)
{
  const unsigned n = count_units(d);

  return n < 16 && 1U << n <= most ? 1U << n : most;
}

/* From the telling ones to chance: which of n are kept.  part: where those of
 * each file begin; those of the names come last. */
static void
choose(bool *keep, unsigned n, const unsigned *part, int nparts, unsigned way,
       bool all_ways)
{
  const uint64_t density = 1 + chance_below(7);

  for (unsigned u = 0; u < n; u++)
    keep[u] = all_ways ? way >> u & 1 : way == 0 ? false : way == 1 ? true
              : chance_below(8) < density;
  if (all_ways || way < 2 || n == 0)
    return;
  const unsigned one = (unsigned)chance_below(n);
  const int p = (int)chance_below((uint64_t)nparts);
  for (unsigned u = 0; u < n; u++)
    switch (way % 6) {
    case 2: keep[u] = (u == one) ^ (way % 12 == 2); break;
    case 3: keep[u] = u < one; break;
    case 4: keep[u] = (part[p] <= u && u < part[p + 1]) ^ (way % 12 == 4);
            break;
    case 5: /* of one file some, of the others all */
      keep[u] |= way % 12 == 5 && !(part[p] <= u && u < part[p + 1]);
      break;
    default: break;
    }
}

/* A host keeps the changes of a file's size in order. */
static void
order_sizes(const struct simfile *sf, bool *keep)
{
  bool later = false;

  for (uint32_t u = sf->nunit; u-- > 0;)
    if (sf->unit[u].size_change)
      later = keep[u] |= later;
}

static void
cut_file(struct disk *d, int i, const bool *keep, struct state_file *f)
{
  const struct simfile *sf = d->file[i];

  d->left = simfile_crash(sf, keep, d->left);
  f->ino = i < d->start->nfile ? d->start->file[i].ino : 0;
  f->size = d->left->cache.size;
  f->bytes = must(malloc(f->size + 1));
  if (f->size > 0)
    memcpy(f->bytes, d->left->cache.bytes, f->size);
  f->mtime = d->mtime[i];
  if (i < d->start->nfile && chance_one_in(2))
    f->mtime = d->start->file[i].mtime;
}

/* Only what has a name is left. */
static void
cut_names(struct disk *d, const bool *keep, const unsigned *part,
          struct state *left)
{
  const struct names *names = &left->names;
  int number[STATE_FILES];

  memset(number, 0xff, sizeof number);
  for (int i = 0; i < names->n; i++) {
    const int file = names->at[i].file;
    if (file >= 0 && number[file] < 0) {
      cut_file(d, file, keep + part[file], &left->file[left->nfile]);
      number[file] = left->nfile++;
    }
  }
  for (int i = 0; i < names->n; i++)
    if (names->at[i].file >= 0)
      left->names.at[i].file = number[names->at[i].file];
}

void
disk_cut(struct disk *d, unsigned way, unsigned ways, struct state *left)
{
  const unsigned n = count_units(d);
  unsigned part[STATE_FILES + 2] = { 0 };
  bool *keep = must(calloc(n + 1, sizeof *keep));

  for (int i = 0; i < d->nfile; i++)
    part[i + 1] = part[i] + d->file[i]->nunit;
  part[d->nfile + 1] = n;
  choose(keep, n, part, d->nfile + 1, way, n < 16 && 1U << n == ways);
  *left = (struct state){ .names = d->durable };
  for (int i = 0; i < d->nfile; i++)
    order_sizes(d->file[i], keep + part[i]);
  for (unsigned i = 0; i < d->npending; i++)
    if (keep[part[d->nfile] + i])
      apply_names(&left->names, &d->pending[i]);
  cut_names(d, keep, part, left);
  free(keep);
}

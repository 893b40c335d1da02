/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c: see parts.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "parts.h"

static bool
ends_in_footer(const struct content *c)
{
  struct footer footer;

  return footer_parse(c->bytes + c->size - FOOTER_SIZE, "image", "footer",
                      &footer, NULL) == 0;
}

/* A file ends in a footer, or in zeros where its size was just changed: never
 * in a block's bytes, which other programs might take for a footer.  A power
 * cut that leaves the size alone leaves the footer. */
static bool
ends_well(const struct content *left, const struct simfile *from,
          const bool *keep)
{
  static const uint8_t zeros[FOOTER_SIZE];
  bool moved = !ends_in_footer(&from->durable);

  if (ends_in_footer(left))
    return true;
  for (uint32_t i = 0; i < from->nunit; i++)
    moved |= keep[i] && from->unit[i].size_change;
  return moved && memcmp(left->bytes + left->size - FOOTER_SIZE, zeros,
                         FOOTER_SIZE) == 0;
}

/* Opens what is left of the file and compares the whole disk. */
void
look_at(struct life *l, struct simfile *left, bool readonly,
        struct journal *journal, uint64_t since, const char *what)
{
  static uint8_t disk[SIM_SIZE];
  struct vhd_image *img;
  struct vhd_error err = { .code = 0 };

  int e = simimage_open(&l->si, left, readonly, journal, &img, &err);
  if (e < 0) {
    life_fault(l, "%s: cannot be opened: %s", what, err.message);
    return;
  }
  if (!simimage_spare_intact(&l->si, left))
    life_fault(l, "%s: a block behind the disk's end is not what it was",
               what);
  e = vhd_pread(img, disk, SIM_SIZE, 0);
  if (e < 0)
    life_fault(l, "%s: cannot be read: %s", what, strerror(-e));
  for (uint32_t sec = 0; e == 0 && sec < SIM_SECTORS; sec++)
    if (!model_allows(l->model, sec, disk + sec * 512, since)) {
      life_fault(l, "%s: sector %u (block %u) reads as none of its values "
                 "(%02x %02x ...), %u known", what, sec,
                 sec / (SIM_BLOCK / 512), disk[sec * 512],
                 disk[sec * 512 + 1], l->model->sector[sec].n);
      break;
    }
  image_free(img);
}

/* What the disk may have got already of I/Os that are not yet reported. */
struct simfile *
look_outstanding(struct life *l)
{
  struct simfile *sf = simfile_clone(l->file);

  for (unsigned i = 0; i < MAX_OPS; i++)
    for (unsigned k = 0; k < 2; k++) {
      struct run *r = &l->op[i].run[k];
      for (unsigned n = 0; r->state == WAITING && n < r->req.nio; n++) {
        struct vhd_io io = r->req.io[n];
        if (r->pending[n] && !r->applied[n] && io.kind != VHD_IO_READ &&
            io.kind != VHD_IO_SYNC && chance_one_in(2))
          simfile_perform(sf, &io, 0);
      }
    }
  return sf;
}

/* Chooses the i-th of n ways to survive, from the telling ones to chance. */
void
look_choose(bool *keep, uint32_t nunit, unsigned i, bool all_ways)
{
  uint64_t density = 1 + chance_below(7);

  for (uint32_t u = 0; u < nunit; u++)
    keep[u] = all_ways ? i >> u & 1
              : i == 0 ? false
              : i == 1 ? true
              : chance_below(8) < density;
  if (all_ways || i < 2 || nunit == 0)
    return;
  uint32_t special = (uint32_t)chance_below(nunit);
  if (i % 4 == 2) /* all but one, or only one */
    for (uint32_t u = 0; u < nunit; u++)
      keep[u] = (u != special) ^ (i % 8 == 2);
  if (i % 4 == 3) /* a prefix */
    for (uint32_t u = 0; u < nunit; u++)
      keep[u] = u < special;
}

void
look_power_cuts(struct life *l)
{
  struct simfile *sf = look_outstanding(l);
  bool *keep = calloc(sf->nunit + 1, sizeof *keep);
  bool all_ways = sf->nunit < 16 && 1u << sf->nunit <= l->opt->max_states;
  unsigned n = all_ways ? 1u << sf->nunit : l->opt->max_states;
  struct simfile *left = NULL;

  for (unsigned i = 0; i < n && !life_faulty(l); i++) {
    look_choose(keep, sf->nunit, i, all_ways);
    left = simfile_crash(sf, keep, left);
    if (!ends_well(&left->cache, sf, keep))
      life_fault(l, "after a power cut the file does not end in a footer");
    look_at(l, left, true, NULL, 0, "after a power cut");
    l->result->states++;
  }
  simfile_free(left);
  free(keep);
  simfile_free(sf);
}

/* The journal goes with the file as the process left it, and with no other: one
 * that another program changed later, a backup that was put back, a file of
 * another size. */
static void
look_whose(struct life *l, const struct journal *j, const struct simfile *left)
{
  struct file_stamp own = simfile_stamp(left);
  struct file_stamp other[3] = { own, own, own };

  other[0].mtime = other[0].ctime += 1000000000000LL; /* written to later */
  other[1].ctime += 1000000000000LL;                  /* and dated back */
  other[1].mtime -= 3600000000000LL;
  other[2].size += SIM_SIZE * 100;
  if (!journal_fits(j, &own))
    life_fault(l, "after the death of the process its changes are taken for "
               "another's");
  for (int i = 0; i < 3; i++)
    if (journal_fits(j, &other[i]))
      life_fault(l, "the changes of another program (%d) go unnoticed", i);
}

/* The death of the process: nothing that was acknowledged is lost, whoever
 * comes before the next. */
void
look_death(struct life *l)
{
  struct simfile *left = look_outstanding(l);
  uint8_t *mem = malloc(LIFE_JOURNAL_BYTES);

  if (!ends_in_footer(&left->cache))
    life_fault(l, "after the death of the process the file does not end in a "
               "footer");
  memcpy(mem, l->journal_mem, LIFE_JOURNAL_BYTES);
  look_whose(l, journal_adopt(mem, LIFE_JOURNAL_BYTES), left);
  struct journal *j = journal_adopt(mem, LIFE_JOURNAL_BYTES);
  if (chance_one_in(4))
    others_come(l, left, j);
  else
    look_at(l, left, chance_one_in(2), j, l->model->now,
            "after the death of the process");
  free(mem);
  simfile_free(left);
  l->result->kills++;
}

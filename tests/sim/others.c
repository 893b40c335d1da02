/* SPDX-License-Identifier: BSD-2-Clause */
/* others.c: who comes to the file of a process that died, before it is opened
 * the next time: see parts.h.
 *
 * Two of them know nothing of journals.  The others open the image as the
 * library does: they judge what was left, move it into a journal of their own
 * and go on with that.  Whoever changed the file without its journal, the next
 * opener must be refused; else it must find just what was there. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "parts.h"

/* So long after the death that nothing is taken for the dead process's own. */
#define LATER (10 * SECOND)

struct scene {
  struct life *l;
  struct simfile *file;
  struct journal *journal; /* for the next opener; NULL: there is none */
  bool stranger;           /* the file was changed without its journal */
  uint8_t *own_mem;        /* of who took the image over: */
  struct journal *own;
  uint8_t disk[SIM_SIZE];  /* as it must be found */
};

/* As recover.c judges it. */
static bool
goes_with(const struct journal *j, const struct simfile *file)
{
  struct file_stamp stamp = simfile_stamp(file);

  return !j || journal_empty(j) || journal_fits(j, &stamp);
}

static struct vhd_image *
must_open(struct scene *s, bool readonly, struct journal *j, const char *who)
{
  struct vhd_image *img;
  struct vhd_error err = { .code = 0 };

  if (simimage_open(&s->l->si, s->file, readonly, j, &img, &err) == 0)
    return img;
  life_fault(s->l, "%s cannot open the image: %s", who, err.message);
  return NULL;
}

static void
see(struct scene *s, struct vhd_image *img)
{
  if (vhd_pread(img, s->disk, SIM_SIZE, 0) < 0)
    life_fault(s->l, "who comes after a death cannot read");
}

/* What the dead process had acknowledged is there. */
static void
see_all(struct scene *s, struct vhd_image *img)
{
  see(s, img);
  for (uint32_t sec = 0; sec < SIM_SECTORS; sec++)
    if (!model_allows(s->l->model, sec, s->disk + sec * 512, s->l->model->now))
      life_fault(s->l, "who comes after a death sees sector %u as none of its "
                 "values", sec);
}

static void
scribble(struct scene *s, struct vhd_image *img)
{
  for (uint64_t n = 1 + chance_below(4); n > 0; n--) {
    uint8_t *at = s->disk + chance_below(SIM_SECTORS) * 512;
    for (unsigned i = 0; i < 512; i += 8) {
      uint64_t v = chance_random();
      memcpy(at + i, &v, 8);
    }
    if (vhd_pwrite(img, at, 512, (uint64_t)(at - s->disk), 0) < 0)
      life_fault(s->l, "who comes after a death cannot write");
  }
}

static void
close_well(struct scene *s, struct vhd_image *img)
{
  if (image_finish(img) < 0)
    life_fault(s->l, "who comes after a death cannot close the image");
  image_free(img);
}

/* --------------------------------------------------------------- who comes */

/* Another program, which knows the format and no journals. */
static void
come_program(struct scene *s)
{
  struct vhd_image *img = must_open(s, false, NULL, "another program");

  if (!img)
    return;
  see(s, img);
  scribble(s, img);
  close_well(s, img);
  s->stranger = true;
}

/* A copy from before, with the time that it had. */
static void
come_backup(struct scene *s)
{
  simfile_restore(s->file, s->l->backup);
  struct vhd_image *img = must_open(s, true, NULL, "who put a copy back");

  if (!img)
    return;
  see(s, img);
  image_free(img);
  s->stranger = true;
}

static void
come_reader(struct scene *s)
{
  struct vhd_image *img = must_open(s, true, s->journal, "a reader");

  if (!img)
    return;
  see_all(s, img);
  image_free(img);
}

/* What was left goes into a journal of its own. */
static struct vhd_image *
take_over(struct scene *s)
{
  struct file_stamp stamp = simfile_stamp(s->file);

  if (!goes_with(s->journal, s->file))
    life_fault(s->l, "what a dead process left is taken for another's");
  s->own_mem = malloc(LIFE_JOURNAL_BYTES);
  s->own = journal_format(s->own_mem, LIFE_JOURNAL_BYTES);
  journal_stamp(s->own, &stamp);
  journal_copy(s->own, s->journal, &stamp);
  struct vhd_image *img = must_open(s, false, s->own, "who takes over");
  if (!img)
    return NULL;
  see_all(s, img);
  scribble(s, img);
  if (chance_one_in(2) && vhd_flush(img) < 0)
    life_fault(s->l, "who takes over cannot flush");
  return img;
}

static void
come_closed(struct scene *s)
{
  struct vhd_image *img = take_over(s);

  if (img)
    close_well(s, img);
  s->journal = NULL;
}

static void
come_killed(struct scene *s)
{
  image_free(take_over(s));
  s->journal = s->own;
}

/* The journal from before could not be removed, and is found again. */
static void
come_stale(struct scene *s)
{
  struct vhd_image *img = take_over(s);

  if (img)
    close_well(s, img);
  s->stranger = true;
}

static void (*const come[])(struct scene *) = {
  [OTHER_PROGRAM] = come_program, [OTHER_BACKUP] = come_backup,
  [OTHER_READER] = come_reader,   [OTHER_CLOSED] = come_closed,
  [OTHER_KILLED] = come_killed,   [OTHER_STALE] = come_stale,
};

/* ---------------------------------------------------------- the next opener */

static void
open_next(struct scene *s, enum other who)
{
  static uint8_t disk[SIM_SIZE];
  struct life *l = s->l;
  bool something = s->journal && !journal_empty(s->journal);
  bool refused = !goes_with(s->journal, s->file);

  l->result->others[who]++;
  l->result->turned_away[who] += refused;
  if (refused != (s->stranger && something))
    life_fault(l, "what was left is %s, though %s", refused ? "refused"
               : "taken", other_text[who]);
  if (refused || life_faulty(l))
    return;
  struct vhd_image *img = must_open(s, chance_one_in(2), s->journal,
                                    "the next");
  if (!img)
    return;
  if (vhd_pread(img, disk, SIM_SIZE, 0) < 0 ||
      memcmp(disk, s->disk, SIM_SIZE) != 0)
    life_fault(l, "the next opener sees another disk: %s", other_text[who]);
  if (!simimage_spare_intact(&l->si, s->file))
    life_fault(l, "a block behind the disk's end is gone: %s",
               other_text[who]);
  image_free(img);
}

void
others_come(struct life *l, struct simfile *left, struct journal *journal)
{
  enum other who = (enum other)chance_below(OTHER_COUNT);
  struct scene *s = calloc(1, sizeof *s);

  *s = (struct scene){ .l = l, .file = left, .journal = journal };
  int64_t death = clock_now();

  left->capacity = 0;
  clock_set(death + LATER);
  come[who](s);
  clock_set(death + 2 * LATER);
  if (!life_faulty(l))
    open_next(s, who);
  clock_set(death); /* the life goes on */
  free(s->own_mem);
  free(s);
}

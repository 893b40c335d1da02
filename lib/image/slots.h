/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.h: where in its file the blocks of an image lie, in ascending order; a
 * block's slot is the sector at which it begins.
 *
 * Whoever wrote an image has mostly put each block right behind another, so
 * that all slots lie on a grid.  Then a bit for each place of the grid says it
 * all, and that no place is taken twice proves that no block overlaps another.
 * Slots that lie on no grid are sorted.
 *
 * Filled once, then constant; any thread. */
#ifndef IMAGE_SLOTS_H
#define IMAGE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/* A BAT entry without a block; also "no slot" wherever a sector is expected. */
#define NO_SLOT UINT32_MAX

struct bat;

struct slots {
  uint32_t n;
  uint32_t len;     /* sectors of a whole block, its bitmap included */
  uint32_t *sorted; /* NULL: they lie on the grid */
  uint8_t *grid;    /* a bit for each place, set where a block lies */
  uint32_t origin;  /* sector of place 0 */
  uint32_t stride;  /* sectors from one place to the next: no block more would
                     * fit between two */
  uint32_t nplace;
};

/* Finds them in the first nblk entries of a BAT, n of which have a slot, all of
 * them below sector `end`.  0 or -ENOMEM. */
int slots_find(struct slots *s, const struct bat *bat, uint32_t nblk,
               uint32_t n, uint32_t len, uint64_t end);
void slots_free(struct slots *s);

/* The first slot at or behind a sector, or NO_SLOT. */
uint32_t slots_next(const struct slots *s, uint64_t sec);

/* Goes through the stretches of the file, from sector *from to *end, that
 * blocks fill but for what is too short for a block.  *at begins as 0; false:
 * that was the last. */
bool slots_stretch(const struct slots *s, uint32_t *at, uint64_t *from,
                   uint64_t *end);

#endif

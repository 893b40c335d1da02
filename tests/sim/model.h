/* SPDX-License-Identifier: BSD-2-Clause */
/* model.h: what the virtual disk may read as, sector by sector.
 *
 * Every sector has the values it may have, each with the time at which a later
 * one took its place for readers, if one did.  A power cut may leave any of
 * them; an acknowledged flush strikes those that were replaced before it was
 * asked for.  One thread. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_VALUES 48
#define NEVER UINT64_MAX

struct value {
  uint64_t hash;
  uint64_t replaced; /* when; NEVER */
  bool struck;       /* no power cut can bring it back */
};

struct sector {
  struct value value[MODEL_VALUES];
  unsigned n;
  bool writing; /* a request is in flight over it */
};

struct model {
  uint64_t now;
  uint64_t oldest;   /* no read that is in flight began before */
  uint32_t nsec;
  struct sector *sector;
  uint8_t *bytes; /* the disk as of everything completed */
};

struct model *model_new(uint32_t nsec);
void model_free(struct model *m);
/* The disk reads as this, durably: all else is forgotten. */
void model_reset(struct model *m, const uint8_t *disk);

/* A write (buf) or zero (NULL) of bytes begins: its values become possible. */
void model_begin(struct model *m, uint64_t off, uint64_t len,
                 const uint8_t *buf);
/* It is done: its values took the place of all others.  durable: for good. */
void model_done(struct model *m, uint64_t off, uint64_t len,
                const uint8_t *buf, bool durable);
/* It failed, or said nothing of the content (trim): old and new are
 * possible. */
void model_unsure(struct model *m, uint64_t off, uint64_t len);

/* A flush that was asked for at `since` is done. */
void model_flushed(struct model *m, uint64_t since);

/* May the sector read as these 512 bytes, looked at since `since`?  0: as
 * after a power cut. */
bool model_allows(const struct model *m, uint32_t sec, const uint8_t *bytes,
                  uint64_t since);
/* Is there room for more values everywhere? */
bool model_room(const struct model *m);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* simfile.h: a file on a simulated disk, which knows what a power cut may leave
 * of it.
 *
 * What was written is in the page cache at once.  What is durable lags behind:
 * every change since the last sync is a list of units, each a sector or a
 * change of size, and a power cut leaves what was durable plus any subset of
 * them. One thread. */
#ifndef SIM_SIMFILE_H
#define SIM_SIMFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/file.h"

struct unit {
  bool size_change; /* the file's size becomes .off; else: bytes change */
  bool optional;    /* a failed sync dropped it: no later sync helps */
  uint64_t seq;
  uint64_t off;
  uint32_t len;     /* at most 512, within one sector */
  uint8_t bytes[512];
};

struct content {
  uint8_t *bytes;
  uint64_t size, room;
};

struct simfile {
  struct content cache;   /* what a read sees */
  struct content durable;
  struct unit *unit;      /* changes since, oldest first */
  uint32_t nunit, room;
  uint64_t seq;           /* of the last unit */
  int64_t mtime, ctime;   /* as in struct file_stamp */
  uint8_t *space;         /* a byte a sector: it has space on the disk below */
  uint64_t nspace, used;  /* length of that; how many have */
  uint64_t capacity;      /* sectors of the disk below; 0: enough */
  bool no_punch;          /* PUNCH and ZERO are done by writing zeros */
  bool moves_end;         /* EXTEND that fails has moved the end */
  uint64_t nio;           /* I/Os counted so far, while one is to fail */
  uint64_t fail_at;       /* this one fails; 0: none */
  int fail_errno;         /* with what; 0: as it suits */
  bool failed;            /* it did */
  bool lost;              /* it was a sync: so does each from then on */
  uint64_t (*random)(void);
};

struct simfile *simfile_new(uint64_t (*random)(void));
void simfile_free(struct simfile *sf);
void simfile_put(struct simfile *sf, const void *buf, size_t len,
                 uint64_t off); /* at once durable */

/* Carries one I/O out.  A sync makes durable what was there when it was
 * issued: the units up to number `seq`. */
int simfile_perform(struct simfile *sf, struct vhd_io *io, uint64_t seq);

/* What a power cut leaves if of unit i those with keep[i] survive; in `old`,
 * which such a call made and nobody has changed, if that is not NULL. */
struct simfile *simfile_crash(const struct simfile *sf, const bool *keep,
                              struct simfile *old);
/* Did a sync fail, so that the page cache has what the disk may never get? */
bool simfile_diverged(const struct simfile *sf);

/* Its size and times. */
struct file_stamp simfile_stamp(const struct simfile *sf);
/* Puts the content of a copy into it, durably, and dates it as one that was
 * made an hour before. */
void simfile_restore(struct simfile *sf, const struct simfile *copy);

/* What the death of the process leaves: everything, but nothing more
 * durable. */
struct simfile *simfile_clone(const struct simfile *sf);

/* A struct vhd_file over it; closing it does not free the simfile. */
struct vhd_file *simfile_open(struct simfile *sf, const char *name,
                              unsigned number);
struct simfile *simfile_of(struct vhd_file *file);

#endif

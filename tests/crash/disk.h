/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: what the disk may hold after a power cut, by what its client asked
 * for and was told: of each sector the values it had, in order.
 *
 * A value counts as durable from the moment on at which a flush that covers it
 * was acknowledged (or its own request, with FUA).  A trim leaves the value
 * before it or zeros.  One thread. */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define NEVER UINT64_MAX

struct version {
  uint64_t request;
  uint64_t issued, acked, durable; /* positions in the log; or NEVER */
  uint64_t hash;                   /* of the sector's bytes */
  bool may; /* a trim: perhaps the value before it stays */
};

struct sector {
  struct version *version; /* the first: what was there at the start */
  uint32_t n, room;
};

struct disk {
  uint64_t nsec;
  struct sector *sector;
  const uint8_t *content; /* the bytes that the log's records name */
  struct request *request;
  uint64_t nrequest, request_room;
  uint64_t *waiting; /* sectors that have a version that is not yet durable */
  uint64_t nwaiting, waiting_room;
};

/* What kind of wrong a sector is. */
enum verdict {
  RIGHT,
  LOST,    /* a value older than the last durable one */
  ZEROED,  /* zeros, where none can be */
  FOREIGN, /* bytes that never were this sector's */
};

void disk_init(struct disk *d, const uint8_t *first, uint64_t nsec,
               const uint8_t *content);
void disk_free(struct disk *d);
/* Takes a record of the client. */
void disk_take(struct disk *d, const struct record *rec, uint64_t at);

/* May sector sec hold these bytes after a power cut at this moment? */
enum verdict disk_judge(const struct disk *d, uint64_t sec,
                        const uint8_t *bytes, uint64_t at);
/* Has the page of 4 KiB around it a value that is not durable? */
bool disk_unsettled(const struct disk *d, uint64_t sec, uint64_t at);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h: the image's file on its host, as a recorded run left it at a moment:
 * what the page cache had, what was durable, and the changes between, of which
 * a power cut keeps any.
 *
 * A change is a stretch of whole sectors as the page cache had them when the
 * call ended, or a change of the file's size.  One thread. */
#ifndef CRASH_HOST_H
#define CRASH_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct content {
  uint8_t *bytes; /* zeros beyond size, up to the host's room */
  uint64_t size;
};

struct change {
  uint64_t end;      /* when the call ended, a position in the log */
  bool resize;       /* the file's size becomes .off */
  bool of_write;     /* by the write that is the next change */
  bool doomed;       /* a failed sync dropped it: no later one helps */
  bool unsure;       /* the call is not over, or it failed */
  uint64_t off;
  uint32_t nsec;
  uint8_t *bytes;    /* owned; NULL: zeros */
  uint8_t *dead;     /* owned; a byte a sector: overwritten durably; or NULL */
};

struct host {
  struct content live, durable;
  uint64_t room;
  uint8_t *aside; /* a byte for each 4 KiB: allocated and not yet written */
  struct change *change; /* in the order in which the calls ended */
  unsigned nchange, change_room;
  struct record *open;   /* calls that have begun and not ended */
  uint64_t *open_at;     /* when they began */
  unsigned nopen, open_room;
  const uint8_t *data[64]; /* the bytes that each life wrote */
  unsigned ntemporary;     /* of the changes: those of open calls */
};

/* The file as it was at first, all of it durable. */
void host_init(struct host *h, const uint8_t *bytes, uint64_t size,
               uint64_t room);
void host_free(struct host *h);

/* Takes one record of a call further; at is its position in the log.  Returns
 * NULL or what is wrong with it. */
const char *host_take(struct host *h, const struct record *rec, uint64_t at);
/* The server has ended, perhaps by a kill, and this is its file: calls that
 * had begun have happened so far.  Anything else that differs from what was
 * recorded shows that the recorder missed it. */
const char *host_end_life(struct host *h, const uint8_t *bytes, uint64_t size,
                          uint64_t at);

/* Between these two, the calls under way are changes like the others. */
void host_add_open(struct host *h);
void host_drop_open(struct host *h);

/* What is left of the changes for which keep(opaque, change, sector) says so
 * (asked with sector 0 for a change of size; the same answer each time), and
 * of all sizes before the last that is kept.  ordered: on a host that moves the
 * end after what was written there. */
typedef bool host_keep(void *opaque, const struct change *change,
                       unsigned index, uint32_t sector);
void host_cut(const struct host *h, host_keep *keep, void *opaque,
              bool ordered, struct content *left);
/* Room for what host_cut() leaves. */
void content_init(struct content *c, uint64_t room);
void content_free(struct content *c, uint64_t room);

#endif

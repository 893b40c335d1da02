/* SPDX-License-Identifier: BSD-2-Clause */
/* world.h: the host that the operations run on: a folder of real files on a
 * tmpfs, in which this program sees each of its own calls that changes one, can
 * have it fail, and can die at it.
 *
 * The library's calls come here instead of to the C library; what does not
 * concern the folder is passed on.  So all of the library runs as it is, its
 * files, locks, journals and companions too.  One thread. */
#ifndef INPLACE_WORLD_H
#define INPLACE_WORLD_H

#include <stddef.h>

#include "state.h"

enum event_kind {
  EVENT_WRITE,       /* off len bytes */
  EVENT_CLEAR,       /* off len: they read as zeros */
  EVENT_SIZE,        /* it is off bytes long */
  EVENT_SYNC,
  EVENT_FAILED_SYNC,
  EVENT_NEW,         /* a file, empty, without a name */
  EVENT_TIME,        /* off: when it was last changed, as is said */
  EVENT_NAMES,       /* naming */
  EVENT_SYNC_NAMES,  /* what the folder says is durable */
};

struct event {
  enum event_kind kind;
  int file; /* as in the state that the run began with; then in order */
  uint64_t off, len;
  uint8_t *bytes; /* owned */
  struct naming naming[2];
  int nnaming;
};

/* What a run did. */
struct log {
  struct event *event;
  size_t n, room;
};

/* What is to happen at one call, counted from 1. */
enum fate {
  FATE_NONE,
  FATE_EIO,         /* it does nothing, and fails */
  FATE_ENOSPC,
  FATE_HALF,        /* a write is half done, and fails */
  FATE_DONE,        /* it is done, and fails */
  FATE_EVER_EIO,    /* so do all that come after it */
  FATE_EVER_ENOSPC, /* so do those of them that need space */
  FATE_READ,        /* a call that reads fails, counted by itself */
  FATE_DIE_BEFORE,  /* the process is killed */
  FATE_DIE_HALF,
  FATE_DIE_AFTER,
};
#define FATES_FAIL FATE_EIO
#define FATES_DIE FATE_DIE_BEFORE
#define FATES_END (FATE_DIE_AFTER + 1)
#define WORLD_KILLED 77 /* exit status */

extern const char *const fate_names[FATES_END];

/* Makes the folders; they are gone when the program ends. */
void world_open(void);
/* The path of a file of that name; valid until eight more were asked for. */
const char *world_path(const char *name);
/* Of the folder itself, and of the one for journals. */
extern char world_folder[], world_journals[];

/* No file has a name: for new images. */
void world_clear(void);
/* What the folder holds.  keep: from now on these files are known as such. */
void world_take(struct state *s, bool keep);
/* Makes it hold that: in the files that were known, where they are meant; no
 * journal is left, nor anything that leads to one. */
void world_put(const struct state *s);

/* Between these two, all is written down.  start: what the folder holds. */
void world_begin(const struct state *start, struct log *log);
void world_end(void);
/* How many calls that change something there were since, or that read. */
unsigned world_calls(void), world_reads(void);
/* To be said before a beginning: the at-th call has this fate. */
void world_plan(enum fate fate, unsigned at);
/* Did it come to that? */
bool world_happened(void);
/* Files without a name cannot be had, as on some file systems. */
void world_know_no_nameless(bool know_none);

void log_free(struct log *log);

#endif

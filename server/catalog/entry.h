/* SPDX-License-Identifier: BSD-2-Clause */
/* entry.h: a name, and what it leads to.
 *
 *  1. Entries are found, made and forgotten under the lock of the generations,
 *     and so are their fields changed.
 *  2. Who asks waits at one of two desks: for the image opened, or for a look
 *     at it.  A thread serves all who wait at a desk with one answer; who comes
 *     meanwhile waits for the next.  So an answer is never older than the
 *     question, and however many ask, a name has two threads at most.
 *  3. Looks share nothing with an open: they take no lock of the image, and do
 *     not wait for a close.
 *  4. .current is what new clients get, and only while its file is the one that
 *     the name leads to; whoever finds another replaces it.
 *  5. An entry that does not stay is freed when nobody waits and .current is
 *     NULL.
 *  6. What a name means may change (change.h), with .now.changes.  Who opens
 *     what it meant before gives that up, and begins anew. */
#ifndef SERVER_CATALOG_ENTRY_H
#define SERVER_CATALOG_ENTRY_H

#include <stdbool.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "catalog/catalog.h"
#include "catalog/source/sessions.h"
#include "config/server_config.h"

struct entry;

struct desk {
  struct entry *entry;
  STAILQ_HEAD(export_tickets, export_ticket) waiters;
  struct io_work work;
  bool busy;   /* a thread serves, or somebody occupies it */
  bool serves; /* somebody who waited, and has no answer yet */
};

/* What the name meant when somebody began to see to it. */
struct meaning {
  struct origin origin;
  bool gone;
  unsigned changes;
};

struct entry {
  UT_hash_handle hh;
  struct catalog *catalog;
  char *key;        /* the source's tag, and */
  const char *name; /* the name */
  const struct source *source;
  struct meaning now;
  struct io_queue *queue;
  struct generation *current; /* or NULL */
  char *trouble; /* why it could not be opened the last time, or NULL */
  struct desk looks, opens;
  char *holder;        /* who has it, or had it last; for .lone */
  bool wanted;         /* to be opened, though nobody waits for it */
  unsigned configured; /* the last configuration that has it: change.h */
};

struct catalog {
  /* Of .provision what is said of clients changes, under the lock. */
  struct server_config config;
  struct generations live; /* its lock is the catalog's */
  struct entry *entries;
  bool hides; /* some are served over TLS only */
  struct list_cache *lists;
  struct sessions *sessions;
  unsigned configured;     /* how often it has changed */
  struct strings *strings; /* what origins refer to since then */
  struct rule_book *rules; /* rules that .config refers to, or NULL */
};

/* How images of that source are opened. */
static inline const struct vhd_open_options *
catalog_open_options(const struct catalog *catalog,
                     const struct source *source)
{
  return source == &disks_source ? &catalog->config.open_disks
                                 : &catalog->config.open;
}

/* The lock is held.  NULL: none, or memory is short. */
struct entry *entry_find(struct catalog *catalog, const struct source *source,
                         const char *name);
/* The same, of whichever source: as the log and the exports' list call it. */
struct entry *entry_named(struct catalog *catalog, const char *name);
struct entry *entry_new(struct catalog *catalog, const struct source *source,
                        const char *name, const struct origin *origin);
/* The lock is held. */
void entry_free(struct entry *entry);
/* The lock is held.  Frees what is of no use any more; whether it did. */
bool entry_forget(struct entry *entry);

/* What is told to the log when the lock is not held any more. */
struct remark {
  const char *why; /* he gets nothing; or NULL */
  /* To be freed; or NULL: */
  char *name;   /* of the entry that he may not have now, */
  char *holder; /* for this one has it */
  char *asker;
};

/* The lock is held.  May who asks have it now?  Where it is for one client at a
 * time, he has it from now on. */
bool entry_admit(struct entry *entry, const struct asker *asker,
                 struct remark *remark);

/* Where the image lies, which is made first where it has to be; the client may
 * begin a boot with it.  Blocks.  As struct source's .find. */
int entry_find_to_open(struct entry *entry, const struct meaning *meaning,
                       struct found *found, struct vhd_error *err);
/* Where it lies, or would. */
int entry_find_to_look(struct entry *entry, const struct meaning *meaning,
                       struct found *found, struct vhd_error *err);

/* How long a client may be away before he boots, in nanoseconds. */
static inline uint64_t
entry_linger(const struct entry *entry)
{
  return entry->catalog->config.provision.linger_sec * UINT64_C(1000000000);
}

/* The lock is held.  The ticket waits for an answer; the returned work, if any,
 * is to be given to .queue without the lock. */
struct io_work *entry_wait(struct entry *entry, struct export_ticket *ticket);

/* The lock is held.  The answer is what is current; the ticket is not sent back
 * to its loop. */
void entry_fill_current(struct entry *entry, struct export_ticket *ticket);

/* The lock is held.  From now on the name means this, or nothing (NULL).
 * Returns work for the queue of what was open, as generation_retire() does, or
 * NULL. */
struct io_work *entry_change(struct entry *entry, const struct origin *origin);
/* The lock is held.  It is to be opened, whoever wants it.  Returns work as
 * entry_wait() does. */
struct io_work *entry_want(struct entry *entry);

/* The lock is held.  Nobody opens the image of the name until entry_vacate():
 * who asks for it waits.  False: somebody opens it now, and when he is done
 * .live.changed tells. */
bool entry_occupy(struct entry *entry);
/* The lock is held.  Returns work as entry_wait() does; without any, the entry
 * may be gone. */
struct io_work *entry_vacate(struct entry *entry);

/* The lock is held.  Calls visit for each name that is known from the
 * beginning, until it returns not 0, which is then returned. */
int entry_each(struct catalog *catalog, source_visit *visit, void *opaque);

/* The lock is held.  Of all that is waited for, nothing is under way? */
bool entry_is_idle(const struct entry *entry);

#endif

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
 *     NULL. */
#ifndef SERVER_CATALOG_ENTRY_H
#define SERVER_CATALOG_ENTRY_H

#include <stdbool.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "catalog/catalog.h"

struct entry;

struct desk {
  struct entry *entry;
  STAILQ_HEAD(export_tickets, export_ticket) waiters;
  struct io_work work;
  bool busy; /* a thread serves */
};

struct entry {
  UT_hash_handle hh;
  struct catalog *catalog;
  char *name; /* the key */
  const struct source *source;
  struct origin origin;
  struct io_queue *queue;
  struct generation *current; /* or NULL */
  struct desk looks, opens;
};

struct catalog {
  const struct server_config *config;
  struct generations live; /* its lock is the catalog's */
  struct entry *entries;
  bool hides; /* some are served over TLS only */
  struct list_cache *lists;
};

/* The lock is held.  NULL: none, or memory is short. */
struct entry *entry_find(struct catalog *catalog, const char *name);
struct entry *entry_new(struct catalog *catalog, const char *name,
                        const struct source *source,
                        const struct origin *origin);
/* The lock is held. */
void entry_free(struct entry *entry);
/* The lock is held.  Frees what is of no use any more; whether it did. */
bool entry_forget(struct entry *entry);

/* The lock is held.  The ticket waits for an answer; the returned work, if any,
 * is to be given to .queue without the lock. */
struct io_work *entry_wait(struct entry *entry, struct export_ticket *ticket);

/* The lock is held.  The answer is what is current; the ticket is not sent back
 * to its loop. */
void entry_fill_current(struct entry *entry, struct export_ticket *ticket);

/* The lock is held.  Of all that is waited for, nothing is under way? */
bool entry_is_idle(const struct entry *entry);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* list.h: the names of all exports, as a client is told them.
 *
 * A folder is looked into, and what is found made into replies, by a thread:
 * one for all who ask at a time, whose answer is kept.  Nobody gets an answer
 * that is older than his question.  What was found about a file is kept, too,
 * as long as the file is the same.
 *
 * The whole may be large, and a client slow.  It stands in memory once for all
 * clients; each takes what he has room for, and remembers no more than which
 * name was the last.  Where the list changes meanwhile, he goes on behind that
 * name. */
#ifndef SERVER_CATALOG_LIST_H
#define SERVER_CATALOG_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/loop.h"

#include "catalog/source/source.h"

struct catalog;
struct list_cache;

/* One client's way through the list.  Set .loop, .done.run, and .asker, which
 * lives as long; what is shown is what he may have. */
struct export_list {
  STAILQ_ENTRY(export_list) link;
  struct loop *loop;
  struct task done; /* posted to .loop, always, when there is an answer */
  int error;        /* -errno: the exports cannot be listed */
  struct asker asker;
  uint64_t version; /* of the list that .next counts in */
  size_t next;
  char *last; /* the name before; NULL: none */
};

/* No reply about one export is longer. */
#define EXPORT_LIST_ROOM ((size_t)64 << 10)

/* Any thread.  May not be called again before .done was posted. */
void export_list_begin(struct export_list *list, struct catalog *catalog);
/* After .done, with .error 0: the replies about as many exports as fit into
 * buf[room], room being EXPORT_LIST_ROOM at least.  How many bytes; 0: that was
 * all; -ENOMEM. */
ssize_t export_list_next(struct export_list *list, struct catalog *catalog,
                         void *buf, size_t room);
void export_list_clear(struct export_list *list);

struct list_cache *list_cache_new(struct catalog *catalog);
/* Nobody asks.  NULL is fine. */
void list_cache_free(struct list_cache *cache);
/* The catalog's lock is held.  Other exports than before are to be told. */
void list_cache_forget(struct list_cache *cache);
/* The catalog's lock is held.  Is no thread at work? */
bool list_cache_is_idle(const struct list_cache *cache);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* entry.h: what catalog.c and open.c share: the table of exports and its
 * entries.  The rules of states and locks are at the top of catalog.c. */
#ifndef SERVER_CATALOG_ENTRY_H
#define SERVER_CATALOG_ENTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "catalog/catalog.h"

enum entry_state { CLOSED, OPENING, OPEN, CLOSING };

struct entry {
  struct export export; /* first */
  struct exports *exports;
  UT_hash_handle hh;
  char *name; /* the key */
  const char *path; /* of an image named at start, else NULL */
  bool want_readonly;
  bool raw;
  struct stat file; /* of .path, at start; st_ino 0: not there */
  enum entry_state state;
  unsigned refs;
  unsigned looks; /* under way; they keep the entry in the table */
  STAILQ_HEAD(, export_ticket) waiters;
  struct io_work work;
  struct io_work flush;
  bool flushing, flush_again;
  struct io_work reclaim; /* has a reference while it is under way */
  atomic_bool reclaiming;
  int close_error;
  struct vhd_error close_err;
};

struct exports {
  const struct server_config *config;
  pthread_mutex_t lock;
  pthread_cond_t changed; /* an entry was closed, freed or flushed */
  struct entry *entries;
  bool hides; /* some are served over TLS only */
};

/* Where an entry's image lies: into path[PATH_MAX].  False, with errno, where
 * there is none.  May block. */
bool entry_find_path(const struct entry *entry, char *path);

/* What the image at path would be, had it been opened: without locks, and
 * without the entry's changing.  May block; any state, without the lock. */
int entry_look(const struct entry *entry, const char *path,
               struct export_facts *facts, struct vhd_error *err);

/* Opens the image at path and fills .export; may block.  In OPENING, or before
 * there are clients; without the lock. */
int entry_open_image(struct entry *entry, const char *path,
                     struct vhd_error *err);

/* A client may be anybody: copies text, with the folders cut out. */
void copy_without_folders(char *out, size_t size, const char *text,
                          const char *path);

/* Looks at the chains of all images before one is opened for writing: those
 * that are parents of others are to be served read-only. */
void exports_spare_parents(struct exports *exports);

#endif

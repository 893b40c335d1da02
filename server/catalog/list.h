/* SPDX-License-Identifier: BSD-2-Clause */
/* list.h: the names of all exports, for who asks on a loop.  A folder is
 * looked into by a thread, since it may lie on a disk that hangs.  A list
 * belongs to who asks; it is the thread's from export_list_begin() until .done
 * is posted. */
#ifndef SERVER_CATALOG_LIST_H
#define SERVER_CATALOG_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "io/engine.h"

struct exports;
struct server_config;

struct export_item {
  char *name;
  const char *description; /* lives as long as the configuration; or NULL */
};

/* Set .loop and .done.run. */
struct export_list {
  struct io_work work; /* first */
  struct loop *loop;
  struct task done; /* posted to .loop, always */
  struct exports *exports;
  const char *folder;
  int error; /* -errno: the folder could not be read */
  struct export_item *items;
  size_t n;
};

/* tls: the asker has it, and may see what is served over TLS only. */
void export_list_begin(struct export_list *list, struct exports *exports,
                       const struct server_config *config,
                       struct io_queue *queue, bool tls);
void export_list_clear(struct export_list *list);

#endif

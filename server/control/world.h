/* SPDX-License-Identifier: BSD-2-Clause */
/* world.h: what verbs of the control socket can look at, and what they can have
 * done.  Filled by who puts the server together; of the main thread. */
#ifndef SERVER_CONTROL_WORLD_H
#define SERVER_CONTROL_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/reloads.h"

struct disk_hands;
struct facts;
struct host;
struct loop;
struct online_hands;
struct worker;

/* What is known of the configuration file. */
struct world_file {
  const char *path; /* NULL: there is none */
  uint64_t read_ns; /* when it was last */
  bool wrong;       /* it could not be used then, */
  char text[1024];  /* and why; or what of it waits for the next start */
};

struct world {
  struct loop *loop; /* the main thread's */
  struct host *host; /* with the catalog, the budget and the limits */
  struct facts *facts;
  const struct online_hands *hands; /* change images as a whole */
  const struct disk_hands *disks;   /* look at and change disks */
  struct worker *workers; /* one for each loop, each of that loop's thread */
  unsigned nworkers;
  pid_t keeper;
  uint64_t since_ns; /* when the server began to serve */
  struct world_file file;
  struct reloads reloads;
  /* Has the keeper do it. */
  void (*ask_reload)(void *opaque);
  void (*ask_stop)(void *opaque);
  void *opaque;
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* looks.h: looks at images whose disk may hang: each on a thread of its own,
 * for which somebody waits, but not for ever.  What is under way still is not
 * begun once more.
 *
 * Any thread; one at a time tries. */
#ifndef SERVER_CATALOG_LOOKS_H
#define SERVER_CATALOG_LOOKS_H

#include <sys/queue.h>

#include "catalog/generation.h"
#include "catalog/open.h"

/* How long one waits, and again once something has hung. */
#define LOOKS_PATIENCE_MSEC 5000
#define LOOKS_NEXT_PATIENCE_MSEC 500

/* Under the lock of the generations. */
struct looks {
  struct generations *live;
  struct io_queue *queue;
  LIST_HEAD(, look) all; /* under way */
  unsigned n;
};

/* The queue is nobody else's, but for one thread. */
void looks_init(struct looks *looks, struct generations *live,
                struct io_queue *queue);

/* As image_look(); -ETIMEDOUT where it takes longer than *patience, which is
 * then less, or cannot be begun for what hangs.  how: its .options and what
 * .origin names must outlive the looks. */
int looks_try(struct looks *looks, unsigned *patience, const char *name,
              const struct opening *how, struct export_facts *facts,
              struct vhd_error *err);

#endif

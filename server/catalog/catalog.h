/* SPDX-License-Identifier: BSD-2-Clause */
/* catalog.h: the names that are served, and the images behind them.
 *
 * Images named on the command line are opened at start and stay open; those of
 * a folder are opened when a client asks for them and closed when the last one
 * has gone.  However many connections use an export, its image is opened once.
 *
 * A name of a folder is looked up anew for each client: where it leads to
 * another file than before, the client gets a new generation of the export,
 * while the old one lives on for those who have it.
 *
 * Looking, opening and closing may take long, or for ever: threads of the
 * export's own do it, and who waits is told on his loop. */
#ifndef SERVER_CATALOG_CATALOG_H
#define SERVER_CATALOG_CATALOG_H

#include <sys/queue.h>

#include "base/loop.h"
#include "catalog/generation.h"
#include "catalog/open.h"
#include "catalog/source/source.h"

struct catalog;
struct server_config;

enum export_refusal {
  EXPORT_FINE,
  EXPORT_UNKNOWN,  /* there is none of that name */
  EXPORT_TLS_ONLY, /* it is, or may be, served over TLS only; so that nobody
                    * learns names that he may not see, those that do not
                    * exist are refused alike where there are such exports */
  EXPORT_BUSY,     /* somebody else holds the image */
  EXPORT_SHORT,    /* it cannot be opened now: there are no descriptors left */
  EXPORT_BROKEN,   /* it cannot be opened */
  EXPORT_TAKEN,    /* another machine has it, which is the same client */
  EXPORT_FULL,     /* there is no space to begin with */
  EXPORT_SHUTDOWN,
};

/* What is wanted of it. */
enum export_want {
  EXPORT_OPENED, /* .export, to be used */
  EXPORT_FACTS,  /* .facts alone.  An image that is not open is looked at
                  * without a lock: nobody is kept out, and whether somebody
                  * else holds it is no reason to refuse */
  EXPORT_EXISTS, /* whether there is an image of that name, sound or not */
};

/* Somebody who asks for an export.  Set .loop, .want and .done.run. */
struct export_ticket {
  STAILQ_ENTRY(export_ticket) link;
  struct loop *loop;
  enum export_want want;
  struct task done; /* posted to .loop when the answer is below */
  enum export_refusal refusal;
  struct export *export;     /* OPENED: with a reference that is the asker's */
  struct export_facts facts; /* but for EXISTS */
};

/* Why an export is refused, for the client, who may be anybody: no more than
 * he must know.  The log names files, folders and processes. */
const char *export_refusal_text(enum export_refusal refusal);

/* Any thread.  A leading slash in name is ignored.  True: the ticket has its
 * answer, and .done will not run; else it will. */
bool catalog_get(struct catalog *catalog, const struct asker *asker,
                 const char *name, struct export_ticket *ticket);

/* Any thread.  How many names there are: those that are known from the
 * beginning, and of a folder's those that somebody uses. */
unsigned catalog_count(struct catalog *catalog);

/* Removes children of clients who have gone and will not need them.  Now and
 * then; waits for no disk. */
void catalog_sweep(struct catalog *catalog);

/* No image is opened yet. */
int catalog_new(const struct server_config *config, struct catalog **catalog,
                struct vhd_error *err);
/* Nothing is open, and nobody asks. */
void catalog_free(struct catalog *catalog);

#endif

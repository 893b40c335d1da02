/* SPDX-License-Identifier: BSD-2-Clause */
/* catalog.h: the names that are served, and the images behind them.
 *
 * Images named on the command line are opened at start and stay open; those of
 * a folder are opened when a client asks for them and closed when the last one
 * has gone.  However many connections use an export, its image is opened once.
 *
 * Opening and closing may take long, or for ever: a thread of the export's own
 * queue does it, and who waits is told on his loop. */
#ifndef SERVER_CATALOG_CATALOG_H
#define SERVER_CATALOG_CATALOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "io/engine.h"
#include "vhdkit.h"

struct entry;
struct exports;
struct server_config;

/* An export that is open.  Constant while anybody holds a reference. */
struct export {
  const char *name;        /* canonical */
  const char *description; /* or NULL */
  struct vhd_image *image;
  struct io_queue *queue;
  uint64_t size;
  bool readonly;
  bool tls_only;
};

enum export_refusal {
  EXPORT_FINE,
  EXPORT_UNKNOWN,  /* there is none of that name */
  EXPORT_TLS_ONLY, /* it is, or may be, served over TLS only; so that nobody
                    * learns names that he may not see, those that do not
                    * exist are refused alike where there are such exports */
  EXPORT_BUSY,     /* somebody else holds the image */
  EXPORT_BROKEN,   /* it cannot be opened */
  EXPORT_SHUTDOWN,
};

#define EXPORT_TEXT_MAX 512

/* What is wanted of it. */
enum export_want {
  EXPORT_OPENED, /* .export, to be used */
  EXPORT_FACTS,  /* .facts alone.  An image that is not open is looked at
                  * without a lock: nobody is kept out, and whether somebody
                  * else holds it is no reason to refuse */
  EXPORT_EXISTS, /* whether there is an image of that name, sound or not */
};

/* What a client is told before it uses an export. */
struct export_facts {
  const char *description; /* or NULL; lives as long as the configuration */
  uint64_t size;
  bool readonly; /* that is how it would be opened now */
  bool tls_only;
};

/* Somebody who waits for an export.  Set .loop, .want and .done.run. */
struct export_ticket {
  STAILQ_ENTRY(export_ticket) link;
  struct io_work work; /* a look at what is not open */
  struct entry *entry; /* of that */
  struct loop *loop;
  enum export_want want;
  struct task done; /* posted to .loop, always, when the answer is below */
  enum export_refusal refusal;
  struct export *export; /* OPENED: with a reference that is the asker's */
  struct export_facts facts; /* but for EXISTS */
  /* Why not: a sentence for the client, without folders in it. */
  char text[EXPORT_TEXT_MAX];
};

/* Any thread.  A leading slash in name is ignored.  tls: the asker has it. */
void exports_get(struct exports *exports, const char *name, bool tls,
                 struct export_ticket *ticket);

/* May block: on a thread for work that opens images.  Whether an image of the
 * folder can be shown to clients: they find it, and learn its facts.  If not,
 * the log says why. */
bool exports_can_show(struct exports *exports, const char *name);

/* Any thread.  When the last one goes, what was written is made durable. */
void export_unref(struct exports *exports, struct export *export);

/* export_reclaim(), where there is something. */
void export_start_reclaim(struct exports *exports, struct export *export);
/* Any thread, with a reference; cheap.  Starts giving back the space that
 * blocks have left, if there is any and that is not under way: on a thread of
 * the export's queue, one hole after the other, for no client. */
static inline void
export_reclaim(struct exports *exports, struct export *export)
{
  if (vhd_has_background(export->image))
    export_start_reclaim(exports, export);
}

/* No image is opened yet. */
int exports_new(const struct server_config *config, struct exports **exports,
                struct vhd_error *err);
/* Opens what is named on the command line; blocks. */
int exports_open(struct exports *exports, struct vhd_error *err);
/* No connection is left.  Flushes and closes; waits for that until the
 * deadline (seconds from now), after which -ETIMEDOUT. */
int exports_close(struct exports *exports, unsigned seconds,
                  struct vhd_error *err);
void exports_free(struct exports *exports);

#endif

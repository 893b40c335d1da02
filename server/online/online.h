/* SPDX-License-Identifier: BSD-2-Clause */
/* online.h: images are changed as files while clients use them.
 *
 *   flush -> close the gate -> close the image -> the change, by another
 *   process -> open the image -> put it in the former's place -> open the gate
 *
 * Clients wait from the second arrow to the last, and see nothing but that.
 *
 *  1. Nobody else opens the image meanwhile: whoever asks for the export waits.
 *  2. While the gate is closed the image is on the disk, whole, and nobody has
 *     it open but who changes it.  So whatever is killed then, it is what the
 *     library's own change of a file leaves: before it, or after.
 *  3. A change that fails leaves clients the image as it is.
 *  4. Only where that cannot be opened again are they cut off: they come back,
 *     and are told why there is none.
 *
 * Most of it blocks, and is for a thread of its own. */
#ifndef SERVER_ONLINE_ONLINE_H
#define SERVER_ONLINE_ONLINE_H

#include <stdint.h>

#include "vhdkit.h"

struct catalog;

enum online_what {
  ONLINE_SNAPSHOT, /* freezes it as .name, and goes on in a new child */
  ONLINE_RESIZE,   /* to .size, no less than it has */
  ONLINE_COMPACT,  /* for as long as .msec allows; another call goes on */
  ONLINE_MERGE,    /* makes of all that it stands on one image, .name */
};

struct online_order {
  enum online_what what;
  const char *export;
  const char *name; /* of a new file in the image's folder */
  uint64_t size;
  unsigned msec;
};

/* Parts of it, which are done to closed files. */
enum online_step {
  ONLINE_STEP_LOOK, /* at what the next two look at, which may take long,
                     * while it is in use */
  ONLINE_STEP_SNAPSHOT,
  ONLINE_STEP_RESIZE,
  ONLINE_STEP_COMPACT,
  ONLINE_STEP_FLATTEN, /* .name gets what the image's parent holds, while the
                        * image is in use */
  ONLINE_STEP_REBASE,  /* .name, which holds the same, becomes the parent */
};

/* Who carries a step out, on the image at path: 0, or -errno and *err. */
struct online_hands {
  int (*step)(void *opaque, enum online_step step, const char *path,
              const struct online_order *order, struct vhd_error *err);
  void *opaque;
};

struct online_result {
  uint64_t size;    /* of the disk, now */
  uint64_t held_ns; /* for so long clients have waited */
};

struct online;

/* Any thread; does not block.  NULL, and *err, where no such export is open.
 * What is pointed to must last until online_run() has told. */
struct online *online_new(struct catalog *catalog,
                          const struct online_hands *hands,
                          const struct online_order *order,
                          struct vhd_error *err);
/* It is not to be run. */
void online_cancel(struct online *online);
/* Carries it out, and frees it.  told() is called once, with 0 or -errno and
 * *err, when nothing but that remains; not before it has returned may the
 * server's end go on. */
void online_run(struct online *online, struct online_result *result,
                struct vhd_error *err, void (*told)(void *opaque, int r),
                void *opaque);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.h: the plugin's parameters, and the images that its connections
 * share.
 *
 * All connections of one export share one opened image, so that a flush on any
 * of them covers all, and so that the image's writer lock is taken once.
 * export_get() and export_put() may be called by any thread. */
#ifndef PLUGIN_EXPORTS_H
#define PLUGIN_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdkit.h"

/* The parameters; filled before the first connection, constant from then on. */
struct params {
  char *file;   /* one image... */
  char *dir;    /* ...or a folder of them */
  char *child;  /* folder of the differencing children; NULL: none */
  char **roots; /* further folders in which parents may lie */
  size_t nroots;
  bool readonly;
  bool size_chs;
};

extern struct params params;

struct export;

/* Opens the export of that name, or shares it.  NULL: nbdkit was told why. */
struct export *export_get(const char *name, bool readonly);
void export_put(struct export *e);

/* Flushes and closes the images that are still open, and lets no other be
 * opened; export_begin() fails from then on. */
void exports_finish(void);

/* Is a write to it possible at all? */
bool export_writable(const struct export *e);

/* The image to work on, until export_end(); change: it is to be changed, which
 * with child= makes the differencing child when there is none yet.  NULL:
 * nbdkit was told why. */
struct vhd_image *export_begin(struct export *e, bool change);
void export_end(struct export *e);

/* Calls each for every export that could be opened, by its canonical name.  0,
 * or -1 with nbdkit told why. */
int export_list(bool readonly, int (*each)(void *opaque, const char *name),
                void *opaque);

/* Opens for reading and closes what can be opened by now, so that what is wrong
 * shows when nbdkit starts.  0 or -1. */
int export_probe(void);

#endif

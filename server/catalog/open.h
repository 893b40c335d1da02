/* SPDX-License-Identifier: BSD-2-Clause */
/* open.h: opens the image of an export, or looks at it.  All of it may block;
 * any thread, without locks. */
#ifndef SERVER_CATALOG_OPEN_H
#define SERVER_CATALOG_OPEN_H

#include "catalog/generation.h"
#include "catalog/source/source.h"

/* What a client is told before it uses an export. */
struct export_facts {
  const char *description; /* or NULL; lives as long as the configuration */
  const char *note;        /* why it is read-only; a literal, or NULL */
  uint64_t size;
  bool readonly; /* that is how it would be opened now */
  bool tls_only;
  unsigned depth; /* number of ancestors */
};

/* How an image is to be opened. */
struct opening {
  const struct vhd_open_options *options;
  const struct origin *origin;
  const char *path;
  bool readonly; /* never for writing, whatever the origin says */
  bool will_be;  /* looked at for one that is yet to be made of it */
};

/* Opens the image and fills in the generation, but for .owner. */
int image_open(const struct opening *how, struct generation *gen,
               struct vhd_error *err);

/* What the image would be, had it been opened: without locks. */
int image_look(const struct opening *how, struct export_facts *facts,
               struct vhd_error *err);

/* The files of its chain, without locks.  free(files->id) */
int image_look_chain(const struct opening *how, struct file_ids *files,
                     struct vhd_error *err);

/* The file that a path leads to. */
int file_id_of(const char *path, struct file_id *id);

#endif

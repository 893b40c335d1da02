/* SPDX-License-Identifier: BSD-2-Clause */
/* scene.h: images, an operation that is to be done with them, and what each of
 * them holds before and after.  One thread. */
#ifndef INPLACE_SCENE_H
#define INPLACE_SCENE_H

#include "vhdkit.h"
#include "world.h"

#define SCENE_IMAGES 6

/* What opening an image is to give. */
struct view {
  bool there;
  int code;       /* 0: it can be opened; else why not */
  uint8_t *disk;  /* owned */
  uint64_t size;  /* of the disk */
  char id[37];    /* "": whatever it is */
  bool raw;       /* not the disk: all of the file has these bytes */
};

struct image {
  char name[NAME_ROOM];
  struct view before, after;
  bool mixed; /* meanwhile each sector is as it was or as it is to be */
};

struct scene {
  const struct operation *op;
  struct image image[SCENE_IMAGES];
  int n;
  const char *leaves;  /* a name that is there afterwards, too */
  uint64_t most;       /* bytes of image 0's file afterwards; 0: any */
  struct state start;  /* once it is made */
};

struct operation {
  const char *name;
  void (*make)(struct scene *s);
  int (*run)(struct scene *s, struct vhd_error *err);
  bool no_nameless; /* the host has no files without a name */
};

extern const struct operation operations[];
extern const unsigned noperations;

/* The options with which all images are opened. */
extern struct vhd_open_options scene_open;

void scene_make(struct scene *s, const struct operation *op);
int scene_run(struct scene *s, struct vhd_error *err);
void scene_free(struct scene *s);

/* ------------------------------------------------- for those who make them */

/* The image of that name; a new one where there is none. */
struct image *scene_image(struct scene *s, const char *name);
void scene_create(struct scene *s, const char *name, enum vhd_type type,
                  uint64_t size, const char *parent);
/* Writes whole blocks at random, of which some are zeros; each once in so
 * many. */
void scene_fill(struct scene *s, const char *name, unsigned one_in,
                unsigned zeros_one_in);
void scene_zero(struct scene *s, const char *name, uint64_t from);
/* Bytes of the file, past all programs. */
void scene_patch(const char *name, uint64_t off, const void *bytes, size_t n);
void scene_read(const char *name, uint64_t off, void *bytes, size_t n);
/* It is a while ago that this file was changed. */
void scene_date(const char *name);
/* What is there after is what was there before; size: of the disk. */
void scene_keeps(struct scene *s, const char *name);
void scene_resizes(struct scene *s, const char *name, uint64_t size);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile.h: runs tables of hostile shapes.
 *
 * A shape is a sound forged image with something wrong with it.  Each is
 * opened read-only and for writing, checked, and, where it is to be readable
 * all the same, read and written; in a process of its own, so that a crash, a
 * leak, a hang or a memory bomb is one failed shape with a name. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unit/forge.h"
#include "vhdkit.h"

/* The image of every shape, and of its parent if it is a child. */
#define DISK "disk.vhd"
#define PARENT "parent.vhd"

enum base {
  DYNAMIC,
  FIXED,
  CHILD, /* of a dynamic PARENT */
  XEN,
};

enum where {
  NOWHERE,
  HEAD,
  END,
  FOOTERS, /* both */
  HEADER,
  BAT,     /* off is an entry */
  ANYWHERE,
};

/* Writes `bytes` bytes of value at off, big-endian. */
struct patch {
  enum where where;
  unsigned off, bytes;
  uint64_t value;
};

enum traits {
  SUM_LEFT = 1 << 0, /* the checksums are those from before */
  UNSOUND = 1 << 1,  /* readable, but vhd_check() finds it broken */
  NO_WRITE = 1 << 2, /* can be opened, but is only to be read */
  UNCHECKED = 1 << 3, /* vhd_check() need not agree */
  LOOSE_SIZE = 1 << 4, /* opened and closed, its content not compared */
};

struct shape {
  const char *name;
  enum base base;
  struct patch patch[4];
  void (*edit)(struct forge *f);  /* then this, and then the checksums */
  void (*after)(struct forge *f); /* then this */
  void (*stage)(struct forge *f); /* then, when DISK and PARENT are written */
  uint32_t flags;                 /* enum vhd_open_flags */
  unsigned traits;
  int code;                       /* enum vhd_code: why it is refused */
  const char *says;               /* part of that message */
};

/* Runs them all and fails the running test if any fails. */
void hostile_run(const struct shape *shapes, size_t n);

/* In a hook or an extra: ends this shape as failed. */
void hostile_fail(const char *fmt, ...)
  __attribute__((format(printf, 1, 2), noreturn));

/* A process of its own with the same bounds for what is no table row. */
void hostile_apart(const char *name, void (*test)(void));

/* Compares the image at path with this content; flags as for vhd_open(). */
void hostile_compare(const char *path, uint32_t flags, const uint8_t *disk,
                     size_t len);

/* Group fixtures: a scratch folder, also for journals. */
int hostile_setup(void **state);
int hostile_teardown(void **state);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* usage.h: which bytes a file system uses, asked of one reader for each kind of
 * file system.  Readers know neither images nor partitions: what they read is a
 * source, and hostile.
 *
 * A file system cuts its place into units, of which a bitmap says whether they
 * are in use; a window of the bitmap is looked at at a time, so that the memory
 * does not grow with the file system.  Whatever is no unit is in use.
 *
 * usage_open() looks at everything once: what it finds odd is refused, before
 * anybody counts on any of it. */
#ifndef TOOL_INSIDE_USAGE_H
#define TOOL_INSIDE_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
  int (*read)(void *opaque, void *buf, size_t len, uint64_t off); /* -errno */
  void *opaque;
  uint64_t len;
};

/* -EUCLEAN beyond its end. */
int source_read(const struct source *source, void *buf, size_t len,
                uint64_t off);

#define USAGE_WINDOW (1U << 19) /* the most units of a window */

/* clang-format off */
struct usage {
  const struct usage_reader *reader;
  struct source source;
  void *fs;             /* the reader's */
  uint64_t first, unit; /* bytes: where unit 0 begins, how long each is */
  uint64_t n;           /* how many there are */
  uint32_t window;      /* and how many a window has: a multiple of 8 */
  uint8_t *used;        /* the window that is in memory: a bit for each */
  uint64_t at;          /* which that is */
  char what[160];       /* -EUCLEAN: what is wrong with it, */
  const char *mend;     /* and what to do about it */
};
/* clang-format on */

struct usage_reader {
  const char *const *contents; /* as libblkid calls them; NULL is the last */
  /* Fills in what usage_open() does not; 0 or -errno.  close() is called also
   * after a failure. */
  int (*open)(struct usage *usage);
  /* Sets the bits of what is in use; they are 0 before. */
  int (*load)(struct usage *usage, uint64_t window, uint8_t *used);
  /* What the file system itself takes must be in use; when all windows have
   * been loaded once. */
  int (*check)(struct usage *usage);
  void (*close)(struct usage *usage);
};

/* 0 or -errno: -EUCLEAN says more.  To be closed also then. */
int usage_open(struct usage *usage, const struct usage_reader *reader,
               const struct source *source);
void usage_close(struct usage *usage);

/* The first stretch of what is not in use that reaches beyond `from`, or a part
 * of it.  1; 0: there is none; -errno. */
int usage_next_free(struct usage *usage, uint64_t from, uint64_t *off,
                    uint64_t *len);

/* ------------------------------------------------------------- for readers */

/* -EUCLEAN, with what is wrong. */
int usage_refuse(struct usage *usage, const char *mend, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* Is all of a range of the source in use?  1, 0 or -errno. */
int usage_holds(struct usage *usage, uint64_t off, uint64_t len);

static inline void
usage_mark(uint8_t *used, uint32_t unit)
{
  used[unit / 8] |= (uint8_t)(1U << unit % 8);
}

static inline bool
usage_is_marked(const uint8_t *used, uint32_t unit)
{
  return (used[unit / 8] >> unit % 8 & 1) != 0;
}

/* Numbers as these file systems write them. */
static inline uint16_t
le16(const uint8_t *p)
{
  return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t
le32(const uint8_t *p)
{
  return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static inline uint64_t
le64(const uint8_t *p)
{
  return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static inline bool
is_power_of_two(uint64_t x)
{
  return x != 0 && (x & (x - 1)) == 0;
}

#endif

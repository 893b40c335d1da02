/* SPDX-License-Identifier: BSD-2-Clause */
/* model.h: what each sector of a disk may hold, by all that was acknowledged.
 *
 * A sector's content is one of 256 values, each of which tells the sector and
 * the value: 0 is zeros, so that whatever else is read is found out.  For each
 * sector the model knows the values that a reader may see now, and those that
 * may be there after a power cut.  What failed may have happened or not; what
 * was acknowledged has happened, and survives power cuts from the next flush
 * on.
 *
 * It lives in a file that processes map one after another, so that it outlives
 * the one that is killed.  One thread. */
#ifndef TESTS_FS_MODEL_H
#define TESTS_FS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512

struct values {
  uint64_t bit[4];
};

struct known {
  struct values now, cut;
};

struct model {
  uint64_t nsec;
  uint64_t seed;    /* the next random number */
  uint32_t value;   /* of the last write: 2 to 255, then again */
  uint32_t acknowledged, failed;
  bool refused;     /* opening it failed */
  bool died;        /* ... in order, and not by the test's end */
  bool closed;      /* ... with vhd_close(), which returned: */
  int close_result;
  struct known sector[];
};

/* Maps the model in a file, which is made if nsec is not 0; never fails. */
struct model *model_map(const char *path, uint64_t nsec, uint64_t seed);
void model_unmap(struct model *m);

/* All sectors are known to hold this value. */
void model_fill(struct model *m, uint8_t value);

/* A sector's bytes with a value, and the value in its bytes; -1 for none. */
void sector_fill(uint8_t *buf, uint64_t sec, uint8_t value);
int sector_value(const uint8_t *buf, uint64_t sec);

/* The value for the next write. */
uint8_t model_next(struct model *m);

/* A write or zero of a range: acknowledged, acknowledged as durable, or
 * failed. */
enum outcome { DONE, DURABLE, FAILED };
void model_set(struct model *m, uint64_t sec, uint64_t nsec, uint8_t value,
               enum outcome outcome);
/* The range may hold it or what it held. */
void model_may(struct model *m, uint64_t sec, uint64_t nsec, uint8_t value);
/* All that was acknowledged survives. */
void model_flushed(struct model *m);
/* The power was cut. */
void model_cut(struct model *m);
/* A sector was read; false if that may not be. */
bool model_seen(const struct model *m, uint64_t sec, int value);
/* From here on it is known to hold this. */
void model_settle(struct model *m, uint64_t sec, int value);

/* A random number below n; the same ones for the same seed. */
uint64_t model_random(struct model *m, uint64_t n);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* parts.h: what the parts of a life share: look.c looks at what a power cut or
 * a death would leave, others.c lets others come before the next opening, ops.c
 * asks as a client does, life.c lets it all happen.  One thread. */
#ifndef SIM_PARTS_H
#define SIM_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"
#include "chance.h"
#include "life.h"
#include "model.h"

#define MAX_DEPTH 16
#define MAX_LEN (3 * SIM_BLOCK)
#define MAX_PINS 2
#define MAX_OPS (MAX_DEPTH + MAX_PINS)
#define PIN_RUNS 4

enum run_state { IDLE, READY, WAITING, PARKED };

/* A request, and the I/Os that it waits for. */
struct run {
  struct vhd_request req;
  enum run_state state;
  struct op *op;
  unsigned outstanding;
  bool pending[VHD_REQUEST_IOS];   /* not reported yet */
  bool applied[VHD_REQUEST_IOS];   /* took effect already */
  uint64_t sync_seq[VHD_REQUEST_IOS];
};

/* What a client asks: one request, or two writes that share a sector. */
struct op {
  enum vhd_op kind;
  uint64_t off, len;
  uint32_t flags;
  uint64_t since;
  unsigned running;
  unsigned patience; /* its I/Os are passed over so often: a slow disk */
  int result;
  struct run run[2];
  uint8_t buf[MAX_LEN];
  /* A trim, or what failed, says nothing of the content: it is read. */
  bool resolving;
  bool sure;         /* what is found took the place of all else */
  uint8_t found[MAX_LEN + 1024];
  /* A client that asked where a range lies and does not take the answer. */
  bool held;
  struct vhd_run runs[PIN_RUNS];
};

struct life {
  const struct life_options *opt;
  struct life_result *result;
  struct simimage si;
  struct simfile *file;
  struct simfile *backup;  /* the file as it was before this life */
  struct vhd_image *image;
  struct model *model;
  struct op op[MAX_OPS];
  unsigned started, active;
  unsigned idle;           /* steps since anything came of one */
  uint8_t *journal_mem;
  struct journal *journal;
};

/* Notes what went wrong, if it is the first. */
void life_fault(struct life *l, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));
bool life_faulty(const struct life *l);

/* ----------------------------------------------------------------- look.c */

/* Opens what is left of the file and compares the whole disk.  since: as
 * model_allows() takes it. */
void look_at(struct life *l, struct simfile *left, bool readonly,
             struct journal *journal, uint64_t since, const char *what);
/* What the disk may have got already of I/Os that are not yet reported. */
struct simfile *look_outstanding(struct life *l);
/* Chooses the i-th of n ways to survive, from the telling ones to chance. */
void look_choose(bool *keep, uint32_t nunit, unsigned i, bool all_ways);
/* The power cuts that could happen now; the death of the process. */
void look_power_cuts(struct life *l);
void look_death(struct life *l);

/* --------------------------------------------------------------- others.c */

/* Between the death of a process, which left this file and this journal, and
 * the next opening somebody else comes: afterwards the image is what it must
 * be, or refused. */
void others_come(struct life *l, struct simfile *left,
                 struct journal *journal);

/* ------------------------------------------------------------------ ops.c */

void ops_start(struct life *l);
void ops_end(struct life *l, struct op *op);
/* Clients that did not take the answer do; what it leads to is still their
 * block's. */
void ops_unpin(struct life *l);
/* Once all is quiet on a disk that was full: what is trimmed can be written
 * anew. */
void ops_recover(struct life *l);

#endif

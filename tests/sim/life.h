/* SPDX-License-Identifier: BSD-2-Clause */
/* life.h: the life of one image in the simulator: opened, worked upon by many
 * requests at once whose steps and I/Os come in random order, ended by a close,
 * a power cut or the death of the process, opened again...
 *
 * At random moments the power cuts that could happen just then are enumerated;
 * each state is opened and read whole.  One thread. */
#ifndef SIM_LIFE_H
#define SIM_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"
#include "simimage.h"

#define LIFE_JOURNAL_BYTES journal_bytes(JOURNAL_RECORDS)

/* Who comes between the death of a process and the next opening. */
#define OTHERS(OTHER_ROW)                                                     \
  OTHER_ROW(PROGRAM, "another program changed the file")                      \
  OTHER_ROW(BACKUP, "an older copy of the file was put back")                 \
  OTHER_ROW(READER, "somebody only read the image")                           \
  OTHER_ROW(CLOSED, "somebody took the image over, wrote and closed it")      \
  OTHER_ROW(KILLED, "somebody took the image over, wrote and was killed")     \
  OTHER_ROW(STALE, "somebody took it over, and the old journal came back")

enum other {
#define OTHER_ROW(name, text) OTHER_##name,
  OTHERS(OTHER_ROW)
#undef OTHER_ROW
  OTHER_COUNT
};

extern const char *const other_text[];

struct life_options {
  enum sim_kind kind;
  unsigned depth;     /* requests in flight */
  unsigned requests;  /* in one life */
  unsigned lives;
  unsigned crash_one_in; /* moments; 0: none */
  unsigned max_states;   /* at one moment */
  uint64_t fail_at;   /* I/O of the second life that fails; 0: none */
  int fail_errno;     /* with what; 0: EIO */
  bool journal;
  bool small_steps;   /* the file grows by a slot at a time */
  bool pins;          /* clients that ask where data lie and never come back */
  bool no_punch;      /* a file system that writes zeros instead */
  bool full;          /* hardly any space is left on the disk below */
  bool moves_end;     /* a file that cannot be lengthened is longer after it */
};

struct life_result {
  uint64_t states;    /* power cuts looked at */
  uint64_t kills;     /* deaths of the process looked at */
  uint64_t requests;
  uint64_t refused;   /* requests, for want of space */
  uint64_t others[OTHER_COUNT];      /* deaths after which they came */
  uint64_t turned_away[OTHER_COUNT]; /* what was left was refused then */
  bool reached;       /* fail_at was reached */
  char fault[300];    /* "" : none */
};

/* Deterministic: the same seed and options give the same lives. */
void life_run(uint64_t seed, const struct life_options *opt,
              struct life_result *result);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* state.h: all that a folder of images holds at one moment: files, what they
 * are called, and when they were last changed.  One thread. */
#ifndef INPLACE_STATE_H
#define INPLACE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STATE_FILES 24
#define STATE_NAMES 24
#define NAME_ROOM 64

/* A name and the file that it leads to; -1: to none. */
struct naming {
  char name[NAME_ROOM];
  int file;
};

struct names {
  struct naming at[STATE_NAMES];
  int n;
};

struct state_file {
  ino_t ino;      /* 0: of no file that there was at first */
  uint8_t *bytes; /* owned */
  uint64_t size;
  int64_t mtime;  /* nanoseconds since 1970; 0: of the moment it is put */
};

struct state {
  struct state_file file[STATE_FILES];
  int nfile;
  struct names names;
};

void names_set(struct names *names, const char *name, int file);
int names_find(const struct names *names, const char *name);

void state_free(struct state *s);
/* Of what the folder holds: contents by their names, not which file it is. */
uint64_t state_hash(const struct state *s);

/* True for a value that was not added before. */
bool seen_add(uint64_t value);
void seen_forget(void);

#endif

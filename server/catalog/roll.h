/* SPDX-License-Identifier: BSD-2-Clause */
/* roll.h: the exports as somebody sees them who looks after the server: all
 * names, and the images behind them.  Any thread. */
#ifndef SERVER_CATALOG_ROLL_H
#define SERVER_CATALOG_ROLL_H

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct usages;

enum roll_state {
  ROLL_OPEN,
  ROLL_NOT_OPEN, /* nobody wants it, or it cannot be opened: .trouble */
  ROLL_FORMER,   /* the name leads elsewhere, but some have it still */
};

/* What it points to is good for the visit alone. */
struct roll_entry {
  const char *name;
  const char *path;        /* NULL: it is known when it is open */
  const char *description; /* or NULL */
  const char *note;        /* why it is read-only, or NULL */
  const char *trouble;     /* why it could not be opened the last time */
  enum roll_state state;
  uint64_t size;  /* where it is open, */
  unsigned depth; /* as is this: how many ancestors it has */
  bool readonly, tls_only;
  unsigned users;
  const struct usages *usages; /* NULL: it is not open */
};

/* The catalog's lock is held meanwhile: visit does nothing but write down.  Of
 * a folder those that are in use. */
void catalog_roll(struct catalog *catalog,
                  void (*visit)(void *opaque, const struct roll_entry *entry),
                  void *opaque);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* reloads.h: readings of the configuration that somebody has asked for, one
 * after the other: the keeper is asked, and answers with what it has read, to
 * which the server then changes; thereupon whoever asked is answered.  Readings
 * that nobody asked for here (SIGHUP) are noted all the same.
 *
 * On the main thread. */
#ifndef SERVER_CONTROL_RELOADS_H
#define SERVER_CONTROL_RELOADS_H

#include <jansson.h>
#include <stdbool.h>

#include "control/question.h"

struct world;

struct reloads {
  struct questions waiting; /* the first one's answer is under way */
  json_t *changes;          /* of the reading at hand */
};

void reloads_init(struct reloads *reloads);

void reloads_ask(struct world *world, struct question *q);

/* A reading has come: what differs, */
void reloads_differs(void *world, const char *name, const char *how,
                     unsigned clients);
/* and that is all; asked: it is the first one's.  text: why it is wrong, or
 * what is to be said, or "". */
void reloads_done(struct world *world, bool asked, bool wrong,
                  const char *text);

/* Who waits is answered that nothing will come. */
void reloads_end(struct world *world);

#endif

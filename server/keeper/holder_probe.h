/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who holds an image?  The library finds out by looking into other processes,
 * which landlock forbids.  So during start-up a small process stays outside of
 * the sandbox: when an image proves to be busy, and we are about to end because
 * of that, it opens the images once more and reports what it was told.
 *
 * The main thread, before any other thread runs, until start-up is over.
 */
#ifndef SERVER_KEEPER_HOLDER_PROBE_H
#define SERVER_KEEPER_HOLDER_PROBE_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/server_config.h"
#include "vhdkit.h"

struct witness {
  pid_t pid;
  int fd; /* -1: there is none */
};

/* Failing is no error: the message will then name nobody. */
void witness_start(struct witness *witness, const struct server_config *config);

/* Our own images are closed.  Replaces err by what the witness sees, if that is
 * a busy image. */
void witness_ask(struct witness *witness, struct vhd_error *err);

/* Ends the process. */
void witness_end(struct witness *witness);

#endif

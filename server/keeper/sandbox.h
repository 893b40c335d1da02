/* SPDX-License-Identifier: BSD-2-Clause */
/* sandbox.h: what the process keeps of its rights once it is set up.  Three
 * locks, each with a switch, one behind the other: no new privileges, the
 * system call filter, landlock.
 *
 * The main thread, before any other thread runs, after whatever needs rights
 * has been opened.  There is no way out again. */
#ifndef SERVER_KEEPER_SANDBOX_H
#define SERVER_KEEPER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "vhdkit.h"

enum sandbox_access {
  SANDBOX_READ,   /* a file, or a folder with all that is below it */
  SANDBOX_WRITE,  /* the same, and existing files may be changed */
  SANDBOX_OWN,    /* the same, and files come and go */
  SANDBOX_REMOVE, /* a folder: files in it may be removed, not read */
};

struct sandbox;

/* Begins a list of what stays accessible; it holds already what the C library
 * and libvhdkit need by themselves.  NULL where memory is short. */
struct sandbox *sandbox_new(void);

/* Adds a path, as it stands and with symbolic links resolved.  What does not
 * exist is ignored. */
int sandbox_allow(struct sandbox *sandbox, const char *path,
                  enum sandbox_access access);
/* Adds what a descriptor was opened on, whatever the path leads to by then;
 * takes the descriptor over. */
int sandbox_allow_open(struct sandbox *sandbox, int fd, const char *path,
                       enum sandbox_access access);
/* Adds the folder that path lies in. */
int sandbox_allow_folder(struct sandbox *sandbox, const char *path,
                         enum sandbox_access access);

struct sandbox_options {
  bool landlock;
  bool filter;
};

/* Shuts the door.  A kernel that lacks a lock is no error, but logged. */
int sandbox_enter(struct sandbox *sandbox, const struct sandbox_options *opt,
                  struct vhd_error *err);

void sandbox_free(struct sandbox *sandbox);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h: what makes a device of a server's socket: the kernel's NBD driver,
 * by nbd-client, or nbdfuse; or nothing. */
#ifndef TOOL_ATTACH_CLIENT_H
#define TOOL_ATTACH_CLIENT_H

#include "attach/folder.h"

/* Replaces WITH_AUTO by what this machine and user have; complains and returns
 * -1 where what is wanted is not there. */
int client_choose(enum attach_with *with);

/* Which file is meant.  Complains and returns -1 where there is none that could
 * be served. */
int client_find_image(const char *name, struct attachment *a);

/* Chooses a free device where the kernel has them: that is NULL otherwise, and
 * lies in the entry.  Complains and returns -1 where none is free. */
int client_choose_device(struct attachment *a);

#define CLIENT_ARGS 16
struct client_line {
  const char *argv[CLIENT_ARGS];
  char *filter; /* nbdkit, where the device is a part of the disk */
  char socket[128], offset[32], range[32];
};

/* The arguments to start it with, NULL-terminated, which point into `a`, to the
 * others, and into the line; false where nothing is to be started. */
bool client_arguments(const struct attachment *a, const char *program,
                      const char *socket, struct client_line *line);
const char *client_program(enum attach_with with);

/* Is the device there now? */
bool client_is_ready(const struct entry *entry, const struct attachment *a);
/* Once it is: can it not be written to? */
bool client_is_readonly(const struct attachment *a);

/* Writes everything to the server, and takes the device away.  force: also
 * where that cannot be written, or somebody uses it.  Complains and returns -1
 * where it stays. */
int client_release(const struct entry *entry, const struct attachment *a,
                   bool force);

#endif

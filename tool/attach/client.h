/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h: what makes a device of a server's socket: the kernel's NBD driver,
 * by nbd-client, or nbdfuse; or nothing. */
#ifndef TOOL_ATTACH_CLIENT_H
#define TOOL_ATTACH_CLIENT_H

#include "attach/folder.h"

/* Replaces WITH_AUTO by what this machine and user have; complains and returns
 * -1 where what is wanted is not there. */
int client_choose(enum attach_with *with);

/* Chooses a free device where the kernel has them: that is NULL otherwise, and
 * lies in the entry.  Complains and returns -1 where none is free. */
int client_choose_device(struct attachment *a);

/* The arguments to start it with, NULL-terminated, which point into `a` and to
 * the others; false where nothing is to be started. */
#define CLIENT_ARGS 10
bool client_arguments(const struct attachment *a, const char *program,
                      const char *socket, const char *argv[CLIENT_ARGS]);
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

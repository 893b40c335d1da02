/* SPDX-License-Identifier: BSD-2-Clause */
/* service.h: the worker: what serves, in a process of its own
 * (keeper/keeper.h).  Here it goes from rights to none: keys are read with the
 * rights of the start; then the process gives them up (keeper/user.h,
 * keeper/confine.h); only then are images opened, which strangers may have
 * written, and threads started, which are confined because their creator is.
 *
 * Its main thread accepts connections and hears the keeper; everything else
 * happens on the server's loops. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <sys/types.h>

struct keeper_ties;
struct listen_set;
struct options;
struct user;

struct service_setup {
  const struct options *options;
  const struct user *user;    /* to become */
  struct listen_set *listen;  /* freed at the end, */
  struct listen_set *control; /* as are this one, for commands, */
  struct listen_set *metrics; /* and this, for who reads what is counted */
  gid_t admins;               /* who may give them; (gid_t)-1: no group */
};

/* Serves until it is told to stop or the last of the connected clients has
 * gone.  Returns the process's exit status. */
int serve(const struct service_setup *setup, const struct keeper_ties *ties);

#endif

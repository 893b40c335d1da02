/* SPDX-License-Identifier: BSD-2-Clause */
/* user.h: becoming an unprivileged user for good.  The main thread, before any
 * other thread runs. */
#ifndef SERVER_KEEPER_USER_H
#define SERVER_KEEPER_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "vhdkit.h"

struct user {
  uid_t uid; /* (uid_t) -1: stay who we are */
  gid_t gid; /* (gid_t) -1: likewise */
};

/* Looks names (or numbers) up; a NULL group is the user's own, and a NULL name
 * means to stay. */
int user_find(const char *name, const char *group, struct user *user,
              struct vhd_error *err);

/* The group of that name (or number), which is the value of an option. */
int user_find_group(const char *option, const char *group, gid_t *gid,
                    struct vhd_error *err);

/* Drops all supplementary groups and becomes that user, so that there is no way
 * back. */
int user_become(const struct user *user, struct vhd_error *err);

#endif

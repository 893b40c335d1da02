/* SPDX-License-Identifier: BSD-2-Clause */
/* policy_disks.h: the part of the policy that is about disks (policy.h):
 *
 *   the folder of disks      *.vhd below it, for reading; the version that a
 *                            disk's maintenance means, and no other link of
 *                            it, for writing
 *   the folder of children   DISK/CLIENT.vhd, for writing
 *
 * and the names in those folders.  The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_POLICY_DISKS_H
#define SERVER_KEEPER_BROKER_POLICY_DISKS_H

#include <stdbool.h>

struct provision_config;

enum disks_right {
  DISKS_NONE,
  DISKS_NAMES, /* it is a folder */
  DISKS_READ,
  DISKS_WRITE,
};

/* Does the place lie below one of those folders, so that *right is what there
 * is?  By names alone, which in a folder that is named otherwise than it lies
 * do not tell; or, look_up, for certain. */
bool policy_disks(const struct provision_config *config, const char *cwd,
                  const char *place, bool look_up, enum disks_right *right);

#endif

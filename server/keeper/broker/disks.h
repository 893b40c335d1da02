/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.h: the helper's side of orders.h: a process of the keeper's that
 * carries out what is ordered for whole disks, one order after the other.  Each
 * is one row of a table of verbs.
 *
 * The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_DISKS_H
#define SERVER_KEEPER_BROKER_DISKS_H

struct provision_config;

/* Serves until the worker closes its end.  The process is the user that --user
 * names, and is confined to what the configuration names. */
void disks_run(int channel, const struct provision_config *config);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* start.h: opens what stays open. */
#ifndef SERVER_CATALOG_START_START_H
#define SERVER_CATALOG_START_START_H

struct catalog;
struct vhd_error;

/* Opens what is named on the command line; blocks.  After a failure
 * nothing is open. */
int catalog_start(struct catalog *catalog, struct vhd_error *err);

#endif

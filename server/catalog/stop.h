/* SPDX-License-Identifier: BSD-2-Clause */
/* stop.h: closes all that a catalog has open. */
#ifndef SERVER_CATALOG_STOP_H
#define SERVER_CATALOG_STOP_H

struct catalog;
struct vhd_error;

/* No connection is left.  Flushes and closes, a bounded number of images at a
 * time; waits for that until the deadline (seconds from now), after which
 * -ETIMEDOUT, and the catalog must not be freed. */
int catalog_stop(struct catalog *catalog, unsigned seconds,
                 struct vhd_error *err);

#endif

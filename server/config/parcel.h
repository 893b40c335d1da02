/* SPDX-License-Identifier: BSD-2-Clause */
/* parcel.h: what may change while it is served (exports, and what clients get
 * of disks) in a file in memory, by which the process that has read the
 * configuration gives it to the one that serves.
 *
 * One thread.  What is unpacked comes from the keeper, who is trusted. */
#ifndef SERVER_CONFIG_PARCEL_H
#define SERVER_CONFIG_PARCEL_H

#include "config/command_line.h"

/* A descriptor, or -errno. */
int parcel_pack(const struct options *opt);

/* Only the exports of opt are filled in, and of .provision all but the folders;
 * for options_free(), whatever is
 * returned.  0, -errno, or -EBADMSG for what is no parcel.  Closes fd. */
int parcel_unpack(int fd, struct options *opt);

#endif

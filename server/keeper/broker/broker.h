/* SPDX-License-Identifier: BSD-2-Clause */
/* broker.h: the worker's side: what it cannot open itself, it has helpers open.
 *
 * broker_begin() while there is one thread; then any thread.  Each request
 * blocks its thread, for as long as the disk does, and takes a helper for that
 * time.  Of those only some work in one folder: a disk that hangs takes them,
 * and leaves the others.  Where no more are to be had, requests wait for each
 * other. */
#ifndef SERVER_KEEPER_BROKER_BROKER_H
#define SERVER_KEEPER_BROKER_BROKER_H

#include <stddef.h>
#include <sys/stat.h>

#include "keeper/broker/message.h"
#include "vhdkit.h"

/* asks: the socket by which the keeper is asked for helpers.  The library opens
 * by them from now on (vhd_set_host()). */
int broker_begin(int asks, struct vhd_error *err);
/* The keeper has another policy: the helpers that have the former one are sent
 * home as soon as they have done what they are at.  Any thread. */
void broker_renew(void);
/* Nothing is open any more. */
void broker_end(void);

/* Has a helper change an image as a whole: op is BROKER_LOOK or one that
 * follows it.  name: of a new file beside it, or NULL. */
int broker_change(enum broker_op op, const char *path, const char *name,
                  uint64_t size, uint32_t msec, struct vhd_error *err);
/* A channel to a new helper, the caller's to close, or -errno. */
int broker_new_helper(enum broker_helper kind);

/* stat(2) of a file of keys that the command line names, with the rights of the
 * start.  opaque is not used.  0 or -errno. */
int keeper_look(void *opaque, const char *path, struct stat *st);

/* Reads a file of keys that the command line names, with the rights of the
 * start: *bytes is the caller's to free.  opaque is not used.  0 or -errno;
 * -ENOENT: there is no such file. */
int keeper_read(void *opaque, const char *path, unsigned char **bytes,
                size_t *n, struct vhd_error *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* listen.h: where clients come in: opens what the options ask for, and accepts.
 *
 *   listen_open()   binds; needs the start-up's privileges
 *   listen_start()  accepts from now on, on the event loop given
 *   listen_stop()   closes the sockets and removes the files of Unix sockets
 *
 * One process opens, another accepts: each has the set, after a fork, and the
 * one that opened removes the files.  The main thread. */
#ifndef SERVER_NET_LISTEN_H
#define SERVER_NET_LISTEN_H

#include <stddef.h>
#include <sys/types.h>

#include "config/command_line.h"
#include "vhdkit.h"

struct event_base;
struct listen_set;
struct visitor;

/* Takes over a connected, non-blocking socket. */
typedef void listen_accepted(void *opaque, int fd,
                             const struct visitor *visitor);
/* Somebody was turned away for want of a descriptor: -EMFILE or -ENFILE. */
typedef void listen_refused(void *opaque, int error,
                            const struct visitor *visitor);

/* Unix sockets will belong to uid and gid, where these are not -1.  Nothing is
 * left open on an error. */
int listen_open(const struct options *opt, uid_t uid, gid_t gid,
                struct listen_set **set, struct vhd_error *err);

/* The set of what the options call the control socket, or of nothing.  It will
 * belong to uid, and to the group of admins, or else to gid. */
int listen_open_control(const struct options *opt, uid_t uid, gid_t gid,
                        gid_t admins, struct listen_set **set,
                        struct vhd_error *err);

/* The set of the address at which metrics are told, or of nothing. */
int listen_open_metrics(const struct options *opt, struct listen_set **set,
                        struct vhd_error *err);

/* How many of its sockets are connected clients (inetd, --fd) and how many
 * listen. */
size_t listen_connected(const struct listen_set *set);
size_t listen_listening(const struct listen_set *set);

/* Closes those: another process has them. */
void listen_close_connected(struct listen_set *set);

/* The files of the Unix sockets are another process's to remove. */
void listen_disown(struct listen_set *set);

int listen_start(struct listen_set *set, struct event_base *base,
                 listen_accepted *accepted, listen_refused *refused,
                 void *opaque, struct vhd_error *err);

/* Removes the files of the Unix sockets, and nothing else: for an end in a
 * hurry. */
void listen_unlink(const struct listen_set *set);

void listen_stop(struct listen_set *set);

/* Stops first if that has not been done.  NULL is fine. */
void listen_free(struct listen_set *set);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* notify.h: telling systemd how far we are (sd_notify(3)): a datagram to the
 * socket that the environment names.  Opened before the sandbox forbids it, and
 * nothing at all where nobody wants to know.
 *
 * The main thread. */
#ifndef SERVER_KEEPER_NOTIFY_H
#define SERVER_KEEPER_NOTIFY_H

/* A descriptor, or -1.  Clears the environment of it. */
int notify_open(void);
/* Sends state, such as "READY=1"; does nothing without a descriptor. */
void notify_send(int fd, const char *state);

#endif

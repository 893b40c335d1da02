/* SPDX-License-Identifier: BSD-2-Clause */
/* descriptors.h: who has how many of the process's file descriptors.
 *
 * The process may have only so many (RLIMIT_NOFILE).  A client that comes when
 * they are used up would wait in the kernel's queue, ungreeted, and an image
 * could not be opened for those who are there.  So they are counted: a client
 * is let in while a reserve stays, which is as large as what opening one image
 * takes, with all its ancestors; images are opened out of that reserve.
 *
 * The counts are of the whole process, as the limit is.  Any thread, but for
 * raise and settle. */
#ifndef SERVER_BASE_DESCRIPTORS_H
#define SERVER_BASE_DESCRIPTORS_H

#include <stdbool.h>

/* Raises the limit as far as that is allowed.  The main thread, first. */
void descriptors_raise(void);
/* The start is over, and no client there yet: what is open and is no image's
 * is the server's own.  The main thread. */
void descriptors_settle(void);

/* How many the process may have, how many are used, and how many are for
 * clients now. */
unsigned descriptors_limit(void);
unsigned descriptors_used(void);
unsigned descriptors_for_clients(void);

/* One more client; false: there is none for it. */
bool descriptors_take_client(void);
void descriptors_drop_client(void);

/* An image of so many files is open, or no longer. */
void descriptors_take_image(unsigned files);
void descriptors_drop_image(unsigned files);

/* Does this (negative) errno say that there are none, and if so, which limit
 * has been reached and what to do about it?  Else NULL. */
const char *descriptors_explain(int error);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* reception.h: all who speak at the control socket, and how many they may be:
 * RECEPTION_ALL at once, of whom no more than RECEPTION_LOOKING may only look,
 * so that nobody keeps out who has to mend something.  On the main thread. */
#ifndef SERVER_CONTROL_SOCKET_RECEPTION_H
#define SERVER_CONTROL_SOCKET_RECEPTION_H

#include <sys/types.h>

#include "vhdkit.h"

#define RECEPTION_ALL 32
#define RECEPTION_LOOKING 16

struct reception;
struct visitor;
struct world;

/* world: must outlive it.  admins: of whom caller.h speaks. */
int reception_new(struct world *world, gid_t admins,
                  struct reception **reception, struct vhd_error *err);

/* Takes a connected, non-blocking socket over. */
void reception_accept(struct reception *reception, int fd,
                      const struct visitor *visitor);

/* All sessions end; what they have asked is answered to nobody.  NULL is
 * fine. */
void reception_close(struct reception *reception);
/* After that, when the loop has run what was posted.  NULL is fine. */
void reception_free(struct reception *reception);

#endif

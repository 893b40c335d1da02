/* SPDX-License-Identifier: BSD-2-Clause */
/* cleanup.h: what a scope owns is given back when the scope is left.
 * Any thread. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_free_ptr(void *pp)
{
  free(*(void **)pp);
}

static inline void
cleanup_close_fd(int *fd)
{
  if (*fd >= 0)
    close(*fd);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_ptr)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_fd)))

/* Hands a pointer on and forgets it: return STEAL(p). */
#define STEAL(p)              \
  ({                          \
    __typeof__(p) _p = (p);   \
    (p) = NULL;               \
    _p;                       \
  })

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* sessions.h: whether a client that comes goes on where he was, or boots: he
 * boots who had no connection for a while.
 *
 * Only who left within that time is remembered.  Of everybody else it is known
 * that he was not here since, or not since the server began, which is what
 * counts then: who was connected when a server died finds the next one as he
 * left it.
 *
 * Under the catalog's lock.  Times are of the clock of base/clock.h. */
#ifndef SERVER_CATALOG_SOURCE_SESSIONS_H
#define SERVER_CATALOG_SOURCE_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

struct sessions;

/* NULL where memory is short. */
struct sessions *sessions_new(uint64_t now_ns);
/* NULL is fine. */
void sessions_free(struct sessions *sessions);

/* The last connection of that name has gone, or one has just begun a boot.
 * Those who left before now_ns - linger_ns are forgotten, unless something of
 * theirs goes with them. */
void sessions_note(struct sessions *sessions, const char *name, bool goes,
                   uint64_t now_ns, uint64_t linger_ns);

/* The name of one that is over, and with whom something goes; it is forgotten.
 * To be freed; NULL: there is none. */
char *sessions_take_gone(struct sessions *sessions, uint64_t now_ns,
                         uint64_t linger_ns);

/* Nobody has it now: does who comes boot? */
bool sessions_is_over(const struct sessions *sessions, const char *name,
                      uint64_t now_ns, uint64_t linger_ns);

#endif

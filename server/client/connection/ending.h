/* SPDX-License-Identifier: BSD-2-Clause */
/* ending.h: how a connection ends.  On its loop's thread. */
#ifndef SERVER_CLIENT_CONNECTION_ENDING_H
#define SERVER_CLIENT_CONNECTION_ENDING_H

struct connection;

/* No more input: it dies when all is finished and sent.  why: a literal, for
 * the log. */
void ending_begin(struct connection *conn, const char *why);
extern const char *const ending_by_stop;
/* Goes on with that, if all is. */
void ending_finish(struct connection *conn);

/* The time for that is over. */
void ending_late(struct connection *conn);

/* The server stops. */
void ending_shut_down(struct connection *conn);
/* If it does: begins the end once what was received has had its turn. */
void ending_stop(struct connection *conn);

/* The client is cut off.  What is in flight may still refer to it: it is freed
 * by a kick, when nothing does. */
void ending_kill(struct connection *conn);
/* Frees what is dead, if nobody refers to it; who does will kick it. */
void ending_free(struct connection *conn);

#endif

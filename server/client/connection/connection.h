/* SPDX-License-Identifier: BSD-2-Clause */
/* connection.h: one client's life, from its socket to the end.
 *
 * A connection lives on one loop, whose thread alone touches it.  It puts its
 * parts together, each of which knows nothing of it:
 *
 *   client.h     what a command knows of the client
 *   negotiate.h  the handshake
 *   receive.h    bytes to who takes them: the handshake, or
 *   requests.h   bytes to requests, which command/command.h has carried out
 *   send.h       replies to bytes
 *
 * States:
 *
 *   NEGOTIATING --STARTTLS--> SECURING --> NEGOTIATING
 *       | READY
 *   SERVING --DISC, end of file, stop--> ENDING --all sent--> DEAD
 *                                           | stop
 *                                           +--> LINGERING --> DEAD
 *   any --error, deadline--> DEAD
 *
 *  1. Only NEGOTIATING, SECURING and SERVING read from the stream; SERVING does
 *     not when the server stops (.stopping), SECURING only when it has its turn
 *     (.turn), for which it waits when something has come.
 *  2. Nothing is read while replies wait that the client does not take
 *     (.send.blocked), or while bytes wait that may not be looked at yet.
 *  3. What waits there when the connection dies is never begun.  Who waits for
 *     memory dies when the client closes its end, half or whole.
 *  4. The stream is freed on entering DEAD; the connection when, besides,
 *     nothing is in flight, the handshake waits for no answer of another
 *     thread, and neither .kick nor what the image's gate says is posted.  Only
 *     on_kick() frees, so nothing goes away under a function that is running.
 *  5. An idle connection holds no buffer.  Whatever it does hold is charged to
 *     its account.
 *  6. When the server stops, what was received whole is answered, and nothing
 *     more is read: a client that can reconnect asks its new connection again,
 *     while an error would be the end of its disk.  Bytes that nobody has read
 *     would make close() reset a TCP connection, and a reset destroys replies
 *     that the client's kernel has not acknowledged: so LINGERING throws them
 *     away until the client has gone, too. */
#ifndef SERVER_CLIENT_CONNECTION_CONNECTION_H
#define SERVER_CLIENT_CONNECTION_CONNECTION_H

struct peer;
struct stream;
struct visitor;
struct worker;

/* Takes the stream and the peer over, whatever becomes of it.  On the thread of
 * the worker's loop. */
void connection_new(struct worker *worker, struct stream *stream,
                    const struct visitor *visitor, struct peer *peer);

/* For all connections of a worker, on its loop's thread.  The server stops:
 * from now on options are refused, and commands are not read any more. */
void connections_shut_down(struct worker *worker);
/* The server has waited long enough for them to choose an export. */
void connections_hurry(struct worker *worker);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* receive.h: bytes of a client to who takes them, the consumer.  On the thread
 * of the client's loop. */
#ifndef SERVER_CLIENT_CONNECTION_RECEIVE_H
#define SERVER_CLIENT_CONNECTION_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct client;
struct worker;

enum receive_verdict {
  RECEIVE_MORE,  /* all is taken that can be: more bytes are needed */
  RECEIVE_PLACE, /* the same, and place() is to be asked where to put them */
  RECEIVE_HOLD,  /* the next thing must wait for its turn */
  RECEIVE_END,   /* no more input is wanted, or there will be none */
  RECEIVE_FAULT, /* the client must be cut off */
};

struct consumer {
  /* Takes what it can of n bytes at p, which lie in input, and sets *used.
   * What is left is, for MORE, the beginning of something of at most
   * RECEIVE_PART bytes; for PLACE nothing. */
  enum receive_verdict (*take)(void *of, struct buf *input,
                               const unsigned char *p, size_t n, size_t *used);
  /* Where the next *len bytes are to go, for took() then to be called with how
   * many there were; 0: they must wait for their turn.  NULL: to take(), and
   * *len of them at least belong to what is under way. */
  unsigned char *(*place)(void *of, size_t *len);
  enum receive_verdict (*took)(void *of, size_t n);
};

#define RECEIVE_PART 64

struct receiver {
  struct buf *held; /* bytes that wait for their turn; charged */
  uint32_t held_at, held_end;
  unsigned char part[RECEIVE_PART]; /* the beginning of something, or few bytes
                                     * that wait for their turn (.waits) */
  uint32_t part_len;
  bool waits;
  bool places; /* the consumer has said PLACE */
  bool at_end; /* the client will not say more */
  bool broken; /* nothing can be received any more */
};

/* Receives, and has the consumer take, what there is, but not so much that
 * others wait for long.  only_held: nothing more is to be received.  After MORE
 * the stream may still have bytes that its socket will not announce again. */
enum receive_verdict receive(struct receiver *r, struct client *c,
                             const struct consumer *consumer, void *of,
                             bool only_held);

static inline bool
receive_is_holding(const struct receiver *r)
{
  return r->held != NULL || r->waits;
}

/* Gives back what it holds. */
void receive_clear(struct receiver *r, struct client *c);
/* For the end of a loop. */
void receive_clear_input(struct worker *worker);

#endif

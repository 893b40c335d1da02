/* SPDX-License-Identifier: BSD-2-Clause */
/* send.h: what is to be sent to a client, in order: bytes in buffers and
 * ranges of files.  Small replies are put behind each other in one buffer, so
 * that many leave with one system call.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_SEND_H
#define SERVER_CLIENT_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct account;
struct buf;
struct stream;

/* A piece of output: bytes in a buffer, or a range of a file. */
struct piece {
  TAILQ_ENTRY(piece) link;
  struct buf *buf; /* NULL: a file */
  unsigned char *at;
  size_t len;  /* not sent yet */
  size_t room; /* behind the bytes, for more */
  /* File: called when it has been sent, or dropped; failed: because it could
   * not be read. */
  void (*sent)(void *of, bool failed);
  void *of;
  uint64_t off;
  int fd;
  bool failed;
};

struct sender {
  struct account *account; /* pays for the buffers */
  TAILQ_HEAD(pieces, piece) pieces;
  size_t len;    /* of all of them */
  bool blocked;  /* the client does not take what is to be sent */
  bool batching; /* more requests wait behind the one at hand */
};

void send_init(struct sender *s, struct account *account);
/* Drops what has not been sent. */
void send_clear(struct sender *s);

static inline bool
send_is_empty(const struct sender *s)
{
  return TAILQ_EMPTY(&s->pieces);
}

/* Room for n more bytes, to be committed before anything else is put there;
 * NULL where memory is short. */
unsigned char *send_reserve(struct sender *s, size_t n);
void send_commit(struct sender *s, size_t n);

/* Takes over a charged buffer of which len bytes from `at` on are output.
 * False, and the buffer is given back, where memory is short. */
bool send_buf(struct sender *s, struct buf *buf, unsigned char *at,
              size_t len);

/* A range of a file.  sent() is called, unless this returns false. */
bool send_file(struct sender *s, int fd, uint64_t off, size_t len,
               void (*sent)(void *of, bool failed), void *of);

/* Sends what the stream takes.  0: all; -EAGAIN: not all, .blocked is set; else
 * the stream is broken. */
int send_some(struct sender *s, struct stream *stream);

#endif

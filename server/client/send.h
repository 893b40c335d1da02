/* SPDX-License-Identifier: BSD-2-Clause */
/* send.h: what is to be sent to a client, in order: bytes in buffers and
 * ranges of files.  Small replies are put behind each other in one buffer, so
 * that many leave with one system call.  On the thread of the client's loop.
 *
 * Early replies are sent by the thread that has made something durable, before
 * the loop knows of it: for who waits for a disk that is quick, the way over
 * the loop is a good part of the time.  They do not stand behind what the loop
 * has to send, but nor do they come into the middle of it. */
#ifndef SERVER_CLIENT_SEND_H
#define SERVER_CLIENT_SEND_H

#include <pthread.h>
#include <stdatomic.h>
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

/* As many early replies as those of one sync, mostly. */
#define SEND_EARLY 512

/* Under .lock: all that is done to the stream, and this. */
struct early {
  pthread_mutex_t lock;
  struct stream *stream; /* NULL: it can, or may, not be used for this */
  bool midway;           /* the loop has sent only a part of what it had */
  atomic_uint len;       /* not sent yet; others may look at it */
  unsigned at;
  unsigned char bytes[SEND_EARLY];
};

struct sender {
  struct account *account; /* pays for the buffers */
  TAILQ_HEAD(pieces, piece) pieces;
  size_t len;    /* of all of them */
  bool blocked;  /* the client does not take what is to be sent */
  bool batching; /* more requests wait behind the one at hand */
  struct early early;
};

void send_init(struct sender *s, struct account *account);
/* Drops what has not been sent; nothing more is. */
void send_clear(struct sender *s);
void send_destroy(struct sender *s);

static inline bool
send_is_empty(const struct sender *s)
{
  return TAILQ_EMPTY(&s->pieces) &&
         atomic_load_explicit(&s->early.len, memory_order_relaxed) == 0;
}

/* From now on there may be early replies, if the stream takes them. */
void send_allow_early(struct sender *s, struct stream *stream);

/* Any thread, as long as the client is there.  Early replies: false, there can
 * be none, or no more now; then all that were put are sent, now or by the loop
 * when it next sends. */
bool send_early_put(struct sender *s, const unsigned char *reply, size_t n);
void send_early(struct sender *s);

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

/* Takes some of what is to be sent of files into memory, so that nothing refers
 * to the file any more, if that can be had at once.  False: it was none. */
bool send_detach_some(struct sender *s);

/* Sends what the stream takes.  0: all; -EAGAIN: not all, .blocked is set; else
 * the stream is broken. */
int send_some(struct sender *s, struct stream *stream);

#endif

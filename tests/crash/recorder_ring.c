/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder_ring.c: what goes through io_uring, which no system call shows: the
 * entries of the submission queue are read when liburing submits them, and
 * those of the completion queue before liburing's caller can have seen them.
 * See recorder.h.  Any thread; a ring belongs to one at a time. */
#include "config.h"

#ifdef HAVE_LIBURING

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default")))
#define RINGS 16
#define FLYING 4096

struct flying {
  uint64_t user_data;
  struct call call;
};

struct ring {
  struct io_uring *ring;
  unsigned seen; /* completions, as their tail counts them */
  struct flying flying[FLYING];
  unsigned nflying;
};

static struct ring rings[RINGS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct ring *
find(struct io_uring *ring)
{
  struct ring *found = NULL, *empty = NULL;

  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < RINGS; i++) {
    if (rings[i].ring == ring)
      found = &rings[i];
    else if (!rings[i].ring)
      empty = &rings[i];
  }
  if (!found && empty) {
    found = empty;
    found->ring = ring;
    found->seen = *ring->cq.khead;
    found->nflying = 0;
  }
  pthread_mutex_unlock(&lock);
  if (!found)
    abort();
  return found;
}

static void
note_sqe(struct ring *r, const struct io_uring_sqe *sqe)
{
  struct iovec iov = { (void *)(uintptr_t)sqe->addr, sqe->len };
  enum call_op op = CALL_STRANGE;

  if (sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_READV ||
      !recorder_watches(sqe->fd))
    return;
  if (r->nflying == FLYING)
    abort();
  if (sqe->opcode == IORING_OP_WRITE)
    op = sqe->rw_flags ? CALL_DURABLE_WRITE : CALL_WRITE;
  else if (sqe->opcode == IORING_OP_FSYNC)
    op = CALL_SYNC;
  struct flying *f = &r->flying[r->nflying++];
  f->user_data = sqe->user_data;
  recorder_begin(&f->call, op, true, sqe->off, sqe->len, &iov,
                 sqe->opcode == IORING_OP_WRITE);
}

/* It has happened whatever its fate is; a failure is only what is told. */
static void
note_cqe(struct ring *r, struct io_uring_cqe *cqe)
{
  for (unsigned i = 0; i < r->nflying; i++) {
    struct flying *f = &r->flying[i];
    if (f->user_data != cqe->user_data)
      continue;
    uint64_t done = cqe->res > 0 ? (uint64_t)cqe->res : 0;
    if (f->call.fate != FATE_NORMAL && f->call.error)
      cqe->res = -f->call.error;
    recorder_end(&f->call, cqe->res, done);
    *f = r->flying[--r->nflying];
    return;
  }
}

static void
note_completions(struct io_uring *ring)
{
  struct ring *r = find(ring);
  unsigned tail = io_uring_smp_load_acquire(ring->cq.ktail);

  for (; r->seen != tail; r->seen++)
    note_cqe(r, &ring->cq.cqes[r->seen & *ring->cq.kring_mask]);
}

EXPORT int
io_uring_submit(struct io_uring *ring)
{
  static int (*real)(struct io_uring *);
  struct ring *r = find(ring);

  if (!real)
    real = (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
    note_sqe(r, &ring->sq.sqes[i & *ring->sq.kring_mask]);
  int result = real(ring);
  note_completions(ring);
  return result;
}

EXPORT int
io_uring_get_events(struct io_uring *ring)
{
  static int (*real)(struct io_uring *);

  if (!real)
    real = (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_get_events");
  int result = real(ring);
  note_completions(ring);
  return result;
}

EXPORT int
__io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
                   unsigned submit, unsigned wait, sigset_t *mask)
{
  static int (*real)(struct io_uring *, struct io_uring_cqe **, unsigned,
                     unsigned, sigset_t *);

  if (!real)
    real = (__typeof__(real))dlsym(RTLD_NEXT, "__io_uring_get_cqe");
  int result = real(ring, cqe, submit, wait, mask);
  note_completions(ring);
  return result;
}

EXPORT void
io_uring_queue_exit(struct io_uring *ring)
{
  static void (*real)(struct io_uring *);
  struct ring *r = find(ring);

  if (!real)
    real = (void (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_queue_exit");
  pthread_mutex_lock(&lock);
  r->ring = NULL;
  pthread_mutex_unlock(&lock);
  real(ring);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.c: does the disk below a queue still answer?  See io/engine.h.
 *
 * What waits for the disk is counted in .asked, holes and growth in .erased,
 * all else that the engine does in .other: a write that a thread has copied to
 * the page cache says nothing of the disk.  Times and counts are read without a
 * lock, and so may be a moment old; what follows from that is no more than
 * another way for an I/O.
 *
 *   1. Each job is counted once, from io_watch_begin() to io_watch_end().
 *   2. .heard of .asked changes only when the disk has done something, as far
 *      as can be known: an I/O that missed the cache, or a sync.  What was not
 *      tried before (the file was unknown yet, or the disk in doubt) may wait
 *      for the disk, but its end says nothing.
 *   3. A loop writes (or sends pages) by itself only if nothing waits for the
 *      disk.  What is being read is locked, and not its pages alone: a file
 *      system keeps many pages as one.  So a disk that hangs from now on would
 *      have the loop too, however lately it has answered.
 *   4. Reads too are left to the threads while the engine makes holes, unless
 *      the disk has done something within QUIET_NS: that excludes reading from
 *      it.  That a hole was made says nothing: it may be in the journal. */
#include "config.h"

#include "base/clock.h"
#include "io/engine.h"

#define QUIET_NS UINT64_C(50000000)
/* So many may wait for a disk not heard of, well below the number of requests
 * that one accepts: one more waits for a place there, where it is made. */
#define UNHEARD_MAX 32

static unsigned
waiting(const struct io_watch *watch)
{
  return atomic_load_explicit(&watch->n, memory_order_relaxed);
}

/* A clock that was read elsewhere may be behind. */
static bool
is_past(uint64_t now, uint64_t then)
{
  return now > then && now - then > QUIET_NS;
}

static bool
unheard(const struct io_watch *watch, uint64_t now)
{
  return is_past(now,
                 atomic_load_explicit(&watch->heard, memory_order_relaxed));
}

/* Has something waited for long while nothing was done? */
static bool
stuck(const struct io_watch *watch, uint64_t now)
{
  return waiting(watch) > 0 && unheard(watch, now) &&
         is_past(now,
                 atomic_load_explicit(&watch->began, memory_order_relaxed));
}

bool
io_doubts_read_by(const struct io_queue *queue, uint64_t now)
{
  return ((waiting(&queue->erased) > 0 ||
           waiting(&queue->asked) > UNHEARD_MAX) &&
          unheard(&queue->asked, now)) ||
         stuck(&queue->asked, now) || stuck(&queue->other, now);
}

bool
io_doubts_write_by(const struct io_queue *queue, uint64_t now)
{
  return waiting(&queue->erased) > 0 || waiting(&queue->asked) > 0 ||
         stuck(&queue->other, now);
}

/* Where the job is counted.  Sets whether its end will show that something was
 * done: of what waits for the disk, what is not doubted has been tried, and was
 * not there. */
static struct io_watch *
watch_of(struct io_queue *queue, struct io_job *job)
{
  const struct vhd_io *io = job->io;
  const enum io_class class = io_class_of(queue, io->fd);
  bool asks = class == IO_LOCAL || class == IO_UNKNOWN;

  job->tells = true;
  switch (io->kind) {
  case VHD_IO_SYNC:
    return &queue->asked;
  case VHD_IO_READ:
    break;
  case VHD_IO_WRITE:
    if (class == IO_LOCAL)
      asks = io_reads_first(class, io);
    break;
  default:
    return &queue->erased;
  }
  if (!asks)
    return &queue->other;
  job->tells = class == IO_LOCAL && !job->doubted;
  return &queue->asked;
}

void
io_watch_begin(struct io_job *job)
{
  struct io_queue *queue = job->batch->queue;

  if (io_is_durable(job->io)) { /* it goes to a thread, whatever is doubted */
    job->doubted = false;
    job->tells = true;
    job->watch = &queue->asked;
  } else {
    job->doubted = io_doubts_read(queue);
    job->watch = watch_of(queue, job);
  }
  struct io_watch *watch = job->watch;
  if (waiting(watch) == 0)
    atomic_store_explicit(&watch->began, clock_ns(), memory_order_relaxed);
  atomic_fetch_add_explicit(&watch->n, 1, memory_order_relaxed);
}

void
io_watch_end(struct io_job *job)
{
  struct io_watch *watch = job->watch;

  if (job->tells)
    atomic_store_explicit(&watch->heard, clock_ns(), memory_order_relaxed);
  atomic_fetch_sub_explicit(&watch->n, 1, memory_order_relaxed);
}

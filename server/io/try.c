/* SPDX-License-Identifier: BSD-2-Clause */
/* try.c: I/O on the loop itself, where that does not block it.
 *
 * Reads hardly ever do: RWF_NOWAIT gives what is in the page cache or says
 * EAGAIN.  It also begins to read what is not, and then may wait for a disk
 * that has too much to do; one that has not answered for a while is left alone
 * (watch.c).
 * Not all file systems know that for buffered writes (ext4 does not), so
 * writes to a local file system are just done, and timed: after two slow ones
 * within a second they go to the engine for a while, then one is tried again.
 * A write that would have to read the rest of a page first is not tried, nor is
 * one to a disk that may hang. */
#include "config.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/engine.h"

/* What a loop may be held up by; time slices of other processes included. */
#define SLOW_NS UINT64_C(8000000)
/* ... and per byte: 250 MB/s. */
#define SLOW_NS_PER_BYTE 4
#define STRIKE_NS UINT64_C(1000000000)
#define PENALTY_MIN_MS 100
#define PENALTY_MAX_MS 5000

static bool
pace_ok(const struct io_pace *pace, uint64_t now)
{
  return now >= atomic_load_explicit(&pace->slow_until, memory_order_relaxed);
}

static void
pace_note(struct io_pace *pace, uint64_t began, uint64_t len)
{
  const uint64_t now = clock_ns();
  const uint64_t last =
    atomic_load_explicit(&pace->last_slow, memory_order_relaxed);

  if (now - began < SLOW_NS + len * SLOW_NS_PER_BYTE) {
    if (last != 0 && now - last > 10 * STRIKE_NS) {
      atomic_store_explicit(&pace->last_slow, 0, memory_order_relaxed);
      atomic_store_explicit(&pace->penalty_ms, 0, memory_order_relaxed);
    }
    return;
  }

  uint32_t penalty =
    atomic_load_explicit(&pace->penalty_ms, memory_order_relaxed);
  atomic_store_explicit(&pace->last_slow, now, memory_order_relaxed);
  if (penalty == 0 && (last == 0 || now - last > STRIKE_NS))
    return; /* the first: perhaps only an unlucky time slice */
  penalty = penalty == 0 ? PENALTY_MIN_MS : 2 * penalty;
  if (penalty > PENALTY_MAX_MS)
    penalty = PENALTY_MAX_MS;
  atomic_store_explicit(&pace->penalty_ms, penalty, memory_order_relaxed);
  atomic_store_explicit(&pace->slow_until, now + penalty * UINT64_C(1000000),
                        memory_order_relaxed);
}

static bool
try_read(struct io_queue *queue, enum io_class class, struct vhd_io *io)
{
  const struct iovec iov = { .iov_base = io->buf, .iov_len = io->len };
  const int flags = class == IO_MEMORY ? 0 : RWF_NOWAIT;
  ssize_t n;

  if (class == IO_LOCAL && io_doubts_read(queue))
    return false;
  do
    n = preadv2(io->fd, &iov, 1, (off_t)io->off, flags);
  while (n < 0 && errno == EINTR);
  if (n >= 0 && (uint64_t)n == io->len) {
    io->result = 0;
    return true;
  }
  return false; /* whatever it is, the engine will see it again */
}

void
io_read_failed(struct io_queue *queue)
{
  atomic_store_explicit(&queue->unreadable, true, memory_order_relaxed);
}

/* A page counts as cached from when its reading begins. */
bool
io_resident(struct io_queue *queue, int fd, uint64_t off, uint64_t len)
{
  const enum io_class class = io_class_of(queue, fd);

  return !atomic_load_explicit(&queue->unreadable, memory_order_relaxed) &&
         io_is_cached(class, fd, off, len) &&
         (class == IO_MEMORY || !io_doubts_write(queue));
}

static bool
try_timed(struct io_queue *queue, enum io_class class, struct io_pace *pace,
          struct vhd_io *io)
{
  const uint64_t began = clock_ns();

  if (!pace_ok(pace, began))
    return false;
  if (class == IO_LOCAL && io_doubts_write(queue))
    return false;
  if (io->kind == VHD_IO_WRITE && io_reads_first(class, io))
    return false;
  vhd_io_perform(io);
  pace_note(pace, began, io->kind == VHD_IO_WRITE ? io->len : 0);
  return true;
}

/* Nothing takes space that has not been set aside before (lib/image/space.h),
 * which is a loop's affair alone. */
static bool
is_over_limit(const struct io_queue *queue, const struct vhd_io *io)
{
  return io->kind == VHD_IO_EXTEND && queue->limit != 0 &&
         (io->off > queue->limit || io->len > queue->limit - io->off);
}

bool
io_try(struct io_queue *queue, struct vhd_io *io)
{
  const enum io_class class = io_class_of(queue, io->fd);

  if (is_over_limit(queue, io)) {
    io->result = -ENOSPC;
    return true;
  }
  if (class != IO_LOCAL && class != IO_MEMORY)
    return false;
  if (io->kind == VHD_IO_READ)
    return try_read(queue, class, io);
  switch (io->kind) {
  case VHD_IO_WRITE:
    if (io->flags & VHD_IO_DURABLE)
      return false;
    return try_timed(queue, class, &queue->writing, io);
  case VHD_IO_EXTEND:
    return try_timed(queue, class, &queue->writing, io);
  case VHD_IO_PUNCH:
  case VHD_IO_ZERO:
    return try_timed(queue, class, &queue->erasing, io);
  default:
    return false;
  }
}

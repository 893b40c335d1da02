/* SPDX-License-Identifier: BSD-2-Clause */
/* engine.h: carries out the I/Os of requests without ever blocking a loop.
 *
 * Three ways, tried in this order:
 *
 *   io_try()      at once, on the loop, where it cannot block: reads of what is
 *                 cached, writes to a store that has been quick so far
 *   io_uring      reads and writes of local files (uring.c), one ring a loop
 *   threads       everything else (queue.c), and everything where io_uring is
 *                 refused
 *
 * A struct io_queue is what one export may use: its own few threads, started as
 * needed, and a bounded share of each ring.  A disk that hangs hangs these,
 * and nothing of another export.  Any file system that is not known to be
 * local and quick (FUSE, NFS, ...) sees threads alone.
 *
 * No call says beforehand whether it will wait for a disk that hangs: a write
 * does for a page that is being read, for one being written out, for the
 * journal, for room in memory.  So each queue watches (watch.c) whether its
 * disk answers.  As long as that is in doubt its I/Os go to its threads alone,
 * whatever their kind; neither loop nor ring sees them.  What remains is a disk
 * that hangs between one of its answers and the next I/O, within 50 ms, or
 * while nothing waits for it: a write may then find the kernel waiting for that
 * disk already, and holds up its loop.
 *
 * A request that leads a commit, of its own and of others, goes on on a thread
 * (lead.c), as soon as those have joined it who are expected.  So do durable
 * writes: several share a sync, and there are several syncs at once where that
 * pays (durable.c).
 *
 * The engine knows no protocol, and of images no more than struct vhd_io and
 * that requests have steps. */
#ifndef IO_ENGINE_H
#define IO_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/loop.h"
#include "vhdkit.h"

/* ------------------------------------------------------------------ threads */

/* Something for a queue's thread; may block. */
struct io_work {
  STAILQ_ENTRY(io_work) link;
  void (*run)(struct io_work *);
};

STAILQ_HEAD(io_works, io_work);

/* No queue ever has more threads. */
#define IO_QUEUE_THREADS 16

/* What is known of an open file: see io/file.c. */
enum io_class {
  IO_UNKNOWN, /* nobody has looked yet */
  IO_FOREIGN, /* may hang: threads only */
  IO_LOCAL,   /* a local disk: cached I/O is quick */
  IO_MEMORY,  /* tmpfs: never waits for a disk, knows no RWF_NOWAIT */
};

#define IO_CLASS_SLOTS 64

/* How quick something done on a loop has been lately (times: monotonic ns). */
struct io_pace {
  _Atomic uint64_t slow_until; /* not on the loop before then */
  _Atomic uint64_t last_slow;
  _Atomic uint32_t penalty_ms;
};

/* I/Os of one sort that the engine has (times: monotonic ns). */
struct io_watch {
  atomic_uint n;
  _Atomic uint64_t began; /* since when there are any */
  _Atomic uint64_t heard; /* when one was last done */
};

/* Those who wait for something to begin: see io/gather.c (times: monotonic ns).
 * The lock is for all but what is atomic. */
struct io_gather {
  pthread_mutex_t lock;
  pthread_cond_t complete; /* monotonic: all who are expected have joined */
  atomic_uint joined;      /* for the next one, so far */
  atomic_uint expected;    /* for the next */
  unsigned in_vain;        /* so many do not wait, once one has in vain */
  unsigned hurry;          /* so many are left of those */
  atomic_uint waiting;     /* so many do; set before they look at .joined */
  uint64_t ended;          /* when the last one was over */
  uint64_t sync_ns;        /* what a sync takes, on the average */
};

/* A thread that makes writes durable, or is about to. */
struct io_syncer {
  struct io_work work;    /* first */
  struct io_queue *queue; /* NULL: it is not used */
};

/* One at a time, or so many; fewer than a queue has threads. */
#define IO_SYNCERS 8

/* Durable writes: see io/durable.c (times: monotonic ns). */
struct io_durables {
  pthread_mutex_t lock;    /* for all but .gather */
  struct io_gather gather; /* each syncer's share of what is to come */
  struct io_works pending;
  unsigned npending;
  struct io_syncer syncers[IO_SYNCERS];
  unsigned running;   /* of them */
  unsigned idle;      /* of those: have not taken anything yet */
  unsigned under_way; /* writes that have been taken */
  /* How many there are at most, and how that was found. */
  bool several;
  bool trying;            /* the other way than before */
  unsigned held, hold;    /* windows since a try; more that are to be */
  uint64_t rate;          /* writes a second, in the last window */
  uint64_t began;         /* this window */
  uint64_t ended;         /* the last sync */
  unsigned writes, syncs; /* done in this window */
};

struct io_queue {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  struct io_works works;
  unsigned nworks, nthreads, nidle;
  bool closing;   /* the last thread frees the queue */
  uint64_t limit; /* bytes that no file grows beyond; 0: none */
  STAILQ_ENTRY(io_queue) reserve; /* where it waits for that thread */

  /* Files of the image by descriptor: fd << 8 | class; one that does not fit
   * is looked at again and again.  Descriptors of an image keep their meaning
   * as long as its queue lives. */
  _Atomic uint32_t class[IO_CLASS_SLOTS];

  struct io_pace writing; /* writes, and growth of the file */
  struct io_pace erasing; /* punches and zeroes */
  atomic_uint in_rings;   /* I/Os in the loops' rings */
  struct io_watch asked;  /* what waits for the disk */
  struct io_watch erased; /* holes and growth, which lock the file */
  struct io_watch other;
  atomic_bool unreadable; /* a read has failed */

  struct io_gather gather;
  struct io_durables durables;
};

struct io_queue *io_queue_new(void);
/* Before there are I/Os: what would make a file longer than that, or give it
 * space there, fails with -ENOSPC.  0: no limit. */
void io_queue_limit(struct io_queue *queue, uint64_t bytes);

/* Any thread, even one of the queue's own.  Nothing may be queued any more
 * but the work that calls it. */
void io_queue_free(struct io_queue *queue);

/* Its image is another from now on, with descriptors of its own.  Nothing is
 * queued or under way. */
void io_queue_forget(struct io_queue *queue);

/* Starts the thread that serves where no other can be had, unless it is there;
 * it stays as long as the process.  0 or -errno. */
int io_reserve_start(void);

/* Any thread.  The work is the caller's and may be reused (or freed) as soon as
 * it runs.  Where no thread can be had it is run by the next one to be free, or
 * by the reserve; by the caller only if there is no reserve. */
void io_queue_run(struct io_queue *queue, struct io_work *work);

/* What is known of the file so far. */
static inline enum io_class
io_class_of(const struct io_queue *queue, int fd)
{
  const uint32_t slot =
    atomic_load_explicit(&queue->class[(unsigned)fd % IO_CLASS_SLOTS],
                         memory_order_relaxed);
  return slot >> 8 == (uint32_t)fd ? (enum io_class)(slot & 0xff) : IO_UNKNOWN;
}
/* Looks at the file; may block. */
enum io_class io_class_find(struct io_queue *queue, int fd);

/* ------------------------------------------------------------------ batches */

struct io_batch;

struct io_job {
  struct io_work work; /* first */
  struct io_batch *batch;
  struct vhd_io *io;
  uint32_t done;          /* bytes of it, by io_uring */
  struct io_watch *watch; /* of the queue, where it is counted */
  bool tells;             /* its end is one of those that .heard is about */
  bool doubted;           /* threads only */
};

/* The I/Os of one step that could not be done at once. */
struct io_batch {
  struct loop *loop;
  struct io_queue *queue;
  struct task done; /* posted to .loop when all have their result */
  /* Where set, called before that on the thread that has made the last of them
   * durable, and all of that sync's batches; false: .done is not to be posted,
   * nor the batch to be touched any more.  Then, of those for which it was
   * true, .ending, before any is posted. */
  bool (*ended)(struct io_batch *);
  void (*ending)(struct io_batch *);
  /* Where set: data that has not been written yet when this becomes true is
   * not written any more, but is -ECANCELED.  Data is what lies in [data, data
   * + data_len) of memory. */
  const atomic_bool *cancel;
  const void *data;
  uint64_t data_len;
  atomic_uint left;
  struct io_job jobs[VHD_REQUEST_IOS];
};

/* Must data of this job not be written any more? */
bool io_job_cancelled(const struct io_job *job);

/* Carries one I/O out at once, if it is sure not to block for long: true, with
 * its result set.  On a loop's thread.  Reads and writes are submitted only
 * when this has been tried. */
bool io_try(struct io_queue *queue, struct vhd_io *io);

/* Is the range in memory, of a file of that class? */
bool io_is_cached(enum io_class class, int fd, uint64_t off, uint64_t len);

/* Would this write, to a file of that class, of part of a page that is not in
 * memory, read it first? */
bool io_reads_first(enum io_class class, const struct vhd_io *io);

/* Whether the range [off, off + len) of a file is in memory, so that reading
 * it, by sendfile for instance, does not wait for a disk that may hang, nor
 * fail.  A page that could not be read stays in the cache like any other, so
 * that nothing counts as resident any more once a read has failed. */
bool io_resident(struct io_queue *queue, int fd, uint64_t off, uint64_t len);
/* A read has failed that the engine does not know of.  Any thread. */
void io_read_failed(struct io_queue *queue);

/* Carries out .jobs[0 .. n-1].io, where each .io has been set; the rest of the
 * jobs is the engine's.  On .loop's thread; .done is always posted, never
 * called directly. */
void io_submit(struct io_batch *batch, unsigned n);

/* For the ways to do it: job's io has its result.  Any thread. */
void io_job_done(struct io_job *job);
/* The same, but true where .done of its batch is to be posted. */
bool io_job_end(struct io_job *job);

/* Carries one I/O out, on a thread of the queue, and lets the watch know. */
void io_perform(struct io_queue *queue, struct vhd_io *io);

/* ------------------------------------------------------------------ watch */

/* Has the engine nothing to do? */
static inline bool
io_is_idle(const struct io_queue *queue)
{
  return (atomic_load_explicit(&queue->asked.n, memory_order_relaxed) |
          atomic_load_explicit(&queue->erased.n, memory_order_relaxed) |
          atomic_load_explicit(&queue->other.n, memory_order_relaxed)) == 0;
}

/* For the two below, where it has. */
bool io_doubts_read_by(const struct io_queue *queue, uint64_t now);
bool io_doubts_write_by(const struct io_queue *queue, uint64_t now);

/* Any thread.  May a loop not read, or write, by itself what lies on a local
 * disk, since that may hang?  Whoever waits for pages that are being read or
 * written is to ask as for writing.  Three relaxed loads where nothing
 * waits. */
static inline bool
io_doubts_read(const struct io_queue *queue)
{
  return !io_is_idle(queue) && io_doubts_read_by(queue, clock_ns());
}
static inline bool
io_doubts_write(const struct io_queue *queue)
{
  return !io_is_idle(queue) && io_doubts_write_by(queue, clock_ns());
}

/* The engine has the job; it has its result. */
void io_watch_begin(struct io_job *job);
void io_watch_end(struct io_job *job);

/* ---------------------------------------------------------------- io_uring */

struct io_uring;

/* Makes a ring that can read and write open files and nothing else, whoever
 * uses it; the eventfd ready_fd tells of completions.  It belongs to the
 * calling thread.  0 or -errno, as below. */
int uring_open(struct io_uring *ring, int ready_fd);

/* Gives the loop a ring.  On its thread.  0 or -errno: -ENOSYS or -EPERM where
 * the kernel refuses (or this was built without), -EINVAL before Linux 5.10;
 * then threads do it. */
int uring_attach(struct loop *loop);
void uring_detach(struct loop *loop);

/* Takes a job, or not (no ring, not its kind, its export has enough in there
 * already). */
bool uring_take(struct io_job *job);

/* ------------------------------------------------------------------ syncs */

void io_gather_init(struct io_gather *gather);
void io_gather_destroy(struct io_gather *gather);
/* One more waits for the next to begin. */
void io_gather_join(struct io_gather *gather);
/* Before something begins; then so many of those who have joined take part in
 * it; and when it is over.  expected: for the next. */
void io_gather_begin(struct io_gather *gather);
void io_gather_take(struct io_gather *gather, unsigned n);
void io_gather_end(struct io_gather *gather, unsigned expected);
/* A sync has taken so long. */
void io_gather_note(struct io_gather *gather, uint64_t ns);

static inline bool
io_is_durable(const struct vhd_io *io)
{
  return io->kind == VHD_IO_WRITE && io->flags & VHD_IO_DURABLE;
}

/* A durable write. */
void io_durable(struct io_job *job);

/* ----------------------------------------------------------------- commits */

/* A request that leads others, while it does. */
struct io_lead {
  struct io_work work; /* first */
  struct vhd_request *req;
  struct io_queue *queue;
  struct loop *loop;
  struct task back;   /* posted to .loop when .step has been taken */
  enum vhd_step step; /* DONE, or IO that is to be carried out */
  void (*ended)(struct io_lead *); /* on the thread, before that */
};

/* The request has been parked with .leads set, and woken.  It is stepped on a
 * thread until it is done, asks for other I/O than a commit's, or is parked;
 * then .wake is called, and .back is not posted. */
void io_lead(struct io_lead *lead);

/* A request waits for a commit.  Any thread. */
void io_join(struct io_queue *queue);

#endif

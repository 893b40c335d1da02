/* SPDX-License-Identifier: BSD-2-Clause */
/* uring.c: reads and writes of local files by io_uring, one ring a loop.
 *
 * The ring belongs to its loop's thread, which submits when the loop has
 * settled, so that the misses of one batch of requests enter the kernel
 * together.  An eventfd tells when something has completed: the ring's own
 * descriptor does not become readable for completions that wait for this thread
 * to fetch them.
 *
 * A ring can do more than this process may: the kernel's operations to open,
 * connect and the like never pass the system call filter.  So each ring is
 * confined, before it is used, to reading and writing.
 *
 * An export has at most IN_RINGS I/Os in all rings, so that one whose disk
 * hangs cannot fill them; more go to its threads.  Only files on local file
 * systems come here: others would occupy the kernel's workers, which all
 * exports share. */
#include "config.h"

#include "io/engine.h"

#ifdef HAVE_LIBURING

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 512
#define IN_RINGS 128
#define IO_MAX (UINT64_C(1) << 30)

struct io_port {
  struct io_uring ring;
  int ready_fd;
  struct event *ready;
  unsigned prepared;
  unsigned in_flight;
};

static bool
put(struct io_port *port, struct io_job *job)
{
  struct io_uring_sqe *sqe = io_uring_get_sqe(&port->ring);
  if (!sqe) {
    io_uring_submit(&port->ring);
    port->prepared = 0;
    sqe = io_uring_get_sqe(&port->ring);
    if (!sqe)
      return false;
  }

  const struct vhd_io *io = job->io;
  char *buf = (char *)io->buf + job->done;
  const uint64_t left = io->len - job->done;
  const unsigned n = left < IO_MAX ? left : IO_MAX;
  if (io->kind == VHD_IO_READ)
    io_uring_prep_read(sqe, io->fd, buf, n, io->off + job->done);
  else
    io_uring_prep_write(sqe, io->fd, buf, n, io->off + job->done);
  io_uring_sqe_set_data(sqe, job);
  port->prepared++;
  return true;
}

bool
uring_take(struct io_job *job)
{
  struct io_queue *queue = job->batch->queue;
  struct io_port *port = job->batch->loop->port;
  const struct vhd_io *io = job->io;

  if (!port || job->doubted ||
      (io->kind != VHD_IO_READ && io->kind != VHD_IO_WRITE) ||
      io_class_of(queue, io->fd) != IO_LOCAL ||
      port->in_flight >= 2 * ENTRIES || io->len > UINT32_MAX)
    return false;
  if (atomic_fetch_add(&queue->in_rings, 1) >= IN_RINGS || !put(port, job)) {
    atomic_fetch_sub(&queue->in_rings, 1);
    return false;
  }
  port->in_flight++;
  return true;
}

/* Has the job its result, given what the kernel says of its latest piece? */
static bool
finished(struct io_job *job, int res)
{
  struct vhd_io *io = job->io;

  if (res == -EAGAIN || res == -EINTR)
    return false;
  if (res <= 0) {
    io->result = res < 0 ? res : io->kind == VHD_IO_READ ? -EIO : -ENOSPC;
    return true;
  }
  job->done += (uint32_t)res;
  io->result = 0;
  return job->done == io->len;
}

static void
complete(struct io_port *port, struct io_job *job, int res)
{
  struct io_queue *queue = job->batch->queue;

  if (!finished(job, res)) {
    if (put(port, job))
      return;
    job->io->result = -EIO;
  }
  port->in_flight--;
  atomic_fetch_sub(&queue->in_rings, 1);
  io_job_done(job);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
  struct loop *loop = arg;
  struct io_port *port = loop->port;
  struct io_uring_cqe *cqe;
  eventfd_t count;

  (void)what;
  eventfd_read(fd, &count);
  io_uring_get_events(&port->ring);
  while (io_uring_peek_cqe(&port->ring, &cqe) == 0) {
    struct io_job *job = io_uring_cqe_get_data(cqe);
    const int res = cqe->res;
    io_uring_cqe_seen(&port->ring, cqe);
    complete(port, job, res);
  }
  loop_settle(loop);
}

static void
on_settled(struct loop *loop)
{
  struct io_port *port = loop->port;

  if (port->prepared > 0) {
    port->prepared = 0;
    io_uring_submit(&port->ring);
  }
}

static void
port_free(struct io_port *port)
{
  if (port->ready)
    event_free(port->ready);
  if (port->ready_fd >= 0)
    close(port->ready_fd);
  io_uring_queue_exit(&port->ring);
  free(port);
}

/* A ring that does nothing yet. */
static int
make_ring(struct io_uring *ring)
{
  int err =
    io_uring_queue_init(ENTRIES, ring,
                        IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                          IORING_SETUP_DEFER_TASKRUN);
  if (err == -EINVAL) /* before Linux 6.1 */
    err = io_uring_queue_init(ENTRIES, ring, IORING_SETUP_R_DISABLED);
  return err;
}

/* liburing has functions for this, which its library does not export before
 * version 2.4. */
static int
register_with(const struct io_uring *ring, unsigned what, void *arg,
              unsigned n)
{
  long r = syscall(SYS_io_uring_register, ring->ring_fd, what, arg, n);

  return r < 0 ? -errno : 0;
}

/* What is not named here ends with EACCES from now on: other operations, any
 * registration, flags of a submission.  The ring may be used then. */
static int
confine_ring(struct io_uring *ring)
{
  struct io_uring_restriction allowed[] = {
    { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ },
    { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE },
  };
  const unsigned n = sizeof allowed / sizeof *allowed;

  int err = register_with(ring, IORING_REGISTER_RESTRICTIONS, allowed, n);
  return err == 0 ? register_with(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0)
                  : err;
}

int
uring_open(struct io_uring *ring, int ready_fd)
{
  int err = make_ring(ring);

  if (err < 0)
    return err;
  err = io_uring_register_eventfd(ring, ready_fd);
  if (err == 0)
    err = confine_ring(ring);
  if (err < 0)
    io_uring_queue_exit(ring);
  return err;
}

int
uring_attach(struct loop *loop)
{
  struct io_port *port = calloc(1, sizeof *port);
  if (!port)
    return -ENOMEM;

  port->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int err = port->ready_fd < 0 ? -errno
                               : uring_open(&port->ring, port->ready_fd);
  if (err < 0) {
    if (port->ready_fd >= 0)
      close(port->ready_fd);
    free(port);
    return err;
  }
  port->ready = event_new(loop->base, port->ready_fd, EV_READ | EV_PERSIST,
                          on_ready, loop);
  if (!port->ready || event_add(port->ready, NULL) < 0) {
    port_free(port);
    return -ENOMEM;
  }
  loop->port = port;
  loop->settled = on_settled;
  return 0;
}

void
uring_detach(struct loop *loop)
{
  struct io_port *port = loop->port;

  if (!port)
    return;
  assert(port->in_flight == 0);
  port_free(port);
  loop->port = NULL;
  loop->settled = NULL;
}

#else

#include <errno.h>

int
uring_open(struct io_uring *ring, int ready_fd)
{
  (void)ring;
  (void)ready_fd;
  return -ENOSYS;
}

int
uring_attach(struct loop *loop)
{
  (void)loop;
  return -ENOSYS;
}

void
uring_detach(struct loop *loop)
{
  (void)loop;
}

bool
uring_take(struct io_job *job)
{
  (void)job;
  return false;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c: READ.  The library is asked where the range lies, in runs that stay
 * in place until they are let go; the bytes are fetched here, straight to
 * where they are sent from.  Four ways, tried in this order:
 *
 *   small    up to SMALL bytes, all of it cached: into the client's output
 *   holes    nothing but holes, and the client takes them as such
 *   file     the pages are in memory: sendfile, save for the bytes that share a
 *            page with a neighbour
 *   buffer   into a buffer of its own, what is not cached by the engine
 *
 * The answer is split, one chunk for each run, where the client has agreed to
 * that and all the runs fit into .runs.  Else it is one header and all the
 * bytes; the map may then be asked several times, for one window after the
 * other.
 *
 * Nothing is sent before all is there, so an error can always be told; save
 * that a page which is gone again, or which nobody could read though it stands
 * in the cache, cuts the client off.  From then on all of this export is read
 * before a header says that it comes, as it is once the engine has failed to
 * read some of it: so who comes back is told. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "client/command/read.h"
#include "catalog/generation.h"
#include "client/command/op.h"
#include "client/reply.h"
#include "nbd/reply.h"
#include "net/stream.h"

/* Up to here a copy is cheaper: a Unix socket wakes its reader for the header
 * and again for the file, as it knows no MSG_MORE.  (64 KiB at depth 16: 71,000
 * requests/s copied against 63,000 by reference; 128 KiB: 38,000 against
 * 40,000.) */
#define SMALL ((uint64_t)64 << 10)
/* Shorter runs are copied rather than sent as files of their own. */
#define FILE_MIN ((uint64_t)16 << 10)
#define FILE_PAGE UINT64_C(4096)

static void finish_map(struct op *op);
static void fill(struct op *op);

static int
start_map(struct op *op)
{
  const int r = op_start(op, VHD_MAP, op->req.off + op->got,
                         op->req.len - op->got, NULL, VHD_PIN);
  if (r < 0)
    return r;
  op->vr.runs = op->runs;
  op->vr.max_runs = OP_RUNS;
  op->finish = finish_map;
  return 0;
}

static bool
is_data(const struct vhd_run *run)
{
  return run->kind == VHD_RUN_DATA;
}

/* How many runs from i on belong to one chunk, and how long they are. */
static unsigned
group(const struct op *op, unsigned i, uint64_t *len)
{
  const bool data = is_data(&op->runs[i]);
  unsigned n = 0;

  *len = 0;
  while (i + n < op->vr.nruns && is_data(&op->runs[i + n]) == data)
    *len += op->runs[i + n++].len;
  return n;
}

/* Writes the header of a chunk: of `len` bytes at `off`. */
static size_t
put_header(const struct op *op, unsigned first, uint64_t off, uint64_t len,
           unsigned char *p)
{
  const struct nbd_session *s = &op->client->session;
  const bool done = off + len == op->req.off + op->req.len;

  if (is_data(&op->runs[first]))
    return nbd_reply_data(s, &op->req, off, (uint32_t)len, done, p);
  return nbd_reply_hole(s, &op->req, off, (uint32_t)len, done, p);
}

/* ------------------------------------------------------------------- small */

/* Fetches a run of data at once; false: not cached. */
static bool
fetch(struct op *op, const struct vhd_run *run, unsigned char *p)
{
  struct vhd_io io = {
    .file = run->file,
    .fd = run->fd,
    .buf = p,
    .off = run->file_off,
    .len = run->len,
    .kind = VHD_IO_READ,
  };

  return io_try(op->client->export->queue, &io) && io.result == 0;
}

/* The whole answer into p, where it is one run of data, as mostly: whether it
 * might be split makes no difference then.  Returns its length, 0 if something
 * is not cached. */
static size_t
build_one(struct op *op, unsigned char *p)
{
  size_t n = nbd_reply_data(&op->client->session, &op->req, op->req.off,
                            (uint32_t)op->req.len, true, p);

  if (fetch(op, &op->runs[0], p + n))
    return n + op->req.len;
  op->missed = 0;
  return 0;
}

/* The same of any answer. */
static size_t
build_small(struct op *op, unsigned char *p)
{
  const unsigned char *const begin = p;
  uint64_t off = op->req.off;

  if (!op->split)
    p += nbd_reply_data(&op->client->session, &op->req, off,
                        (uint32_t)op->req.len, true, p);
  for (unsigned i = 0; i < op->vr.nruns;) {
    uint64_t len;
    unsigned n = group(op, i, &len);
    if (op->split)
      p += put_header(op, i, off, len, p);
    off += len;
    if (!is_data(&op->runs[i])) {
      if (!op->split) {
        memset(p, 0, len);
        p += len;
      }
      i += n;
      continue;
    }
    for (; n > 0; n--, i++) {
      if (!fetch(op, &op->runs[i], p)) {
        op->missed = i;
        return 0;
      }
      p += op->runs[i].len;
    }
  }
  return (size_t)(p - begin);
}

static bool
try_small(struct op *op)
{
  struct client *c = op->client;

  if (op->req.len > SMALL)
    return false;
  unsigned char *p =
    send_reserve(&c->send, op->req.len + op->vr.nruns * NBD_REPLY_MAX);
  if (!p)
    return false;
  const size_t n = op->vr.nruns == 1 && is_data(&op->runs[0])
                     ? build_one(op, p)
                     : build_small(op, p);
  send_commit(&c->send, n);
  if (n == 0)
    return false;
  client_has_read(c, op->req.len);
  op_free(op);
  return true;
}

/* ------------------------------------------------------------ holes, files */

/* The part of a run that fills whole pages of the file.  Only that is sent by
 * reference: when a range is freed and used again, its pages leave the file and
 * what was sent of them stays as it was, but a page that is shared with a
 * neighbour would stay in the file and change. */
static void
whole_pages(const struct vhd_run *run, uint64_t *head, uint64_t *middle)
{
  const uint64_t end = run->file_off + run->len;
  const uint64_t first = (run->file_off + FILE_PAGE - 1) & ~(FILE_PAGE - 1);
  const uint64_t last = end & ~(FILE_PAGE - 1);

  *head = first - run->file_off;
  *middle = last > first ? last - first : 0;
}

/* The byte at `skip` of a run can be had at once.  (A page may be resident and
 * still be waiting for the disk: readahead goes by ranges, so the ends of a
 * run answer for it.) */
static bool
is_there(struct op *op, const struct vhd_run *run, uint64_t skip)
{
  struct vhd_run byte = *run;
  unsigned char c;

  byte.file_off += skip;
  byte.len = 1;
  return fetch(op, &byte, &c);
}

static bool
may_send_run(struct op *op, const struct vhd_run *run)
{
  uint64_t head, middle;

  whole_pages(run, &head, &middle);
  return is_data(run) && run->fd >= 0 && middle >= FILE_MIN &&
         io_resident(op->client->export->queue, run->fd, run->file_off,
                     run->len) &&
         is_there(op, run, run->len - 1) && is_there(op, run, 0);
}

static bool
may_send(struct op *op)
{
  const struct stream *s = op->client->stream;

  for (unsigned i = 0; i < op->vr.nruns; i++) {
    const struct vhd_run *run = &op->runs[i];
    if (!is_data(run) && op->split)
      continue;
    if (!s->ops->sendfile || !may_send_run(op, run))
      return false;
  }
  return true;
}

/* len bytes of a run, less than a page, by copy. */
static bool
put_copy(struct op *op, const struct vhd_run *run, uint64_t skip, uint64_t len)
{
  struct vhd_io io = {
    .file = run->file,
    .fd = run->fd,
    .off = run->file_off + skip,
    .len = len,
    .kind = VHD_IO_READ,
  };

  if (len == 0)
    return true;
  io.buf = send_reserve(&op->client->send, len);
  if (!io.buf)
    return false;
  if (!io_try(op->client->export->queue, &io))
    vhd_io_perform(&io); /* it was there a moment ago */
  if (io.result < 0)
    return false;
  send_commit(&op->client->send, len);
  return true;
}

/* A piece of output has been sent, or dropped. */
static void
piece_sent(void *of, bool failed)
{
  struct op *op = of;

  assert(op->pieces > 0);
  if (failed)
    io_read_failed(op->client->export->queue);
  if (--op->pieces == 0)
    op_free(op);
}

/* len bytes of a run, by reference. */
static bool
put_file(struct op *op, const struct vhd_run *run, uint64_t skip, uint64_t len)
{
  if (!send_file(&op->client->send, run->fd, run->file_off + skip, len,
                 piece_sent, op))
    return false;
  op->pieces++;
  return true;
}

static bool
put_run(struct op *op, const struct vhd_run *run)
{
  uint64_t head, middle;

  whole_pages(run, &head, &middle);
  return put_copy(op, run, 0, head) && put_file(op, run, head, middle) &&
         put_copy(op, run, head + middle, run->len - head - middle);
}

/* Whether all went well; else the answer is broken off. */
static bool
put_pieces(struct op *op)
{
  struct client *c = op->client;
  uint64_t off = op->req.off;
  unsigned char *p;

  for (unsigned i = 0; i < op->vr.nruns;) {
    uint64_t len;
    unsigned n = group(op, i, &len);
    if (op->split || i == 0) {
      p = send_reserve(&c->send, NBD_REPLY_MAX);
      if (!p)
        return false;
      send_commit(&c->send,
                  op->split ? put_header(op, i, off, len, p)
                            : nbd_reply_data(&c->session, &op->req, off,
                                             (uint32_t)op->req.len, true, p));
    }
    off += len;
    for (; n > 0; n--, i++)
      if (is_data(&op->runs[i]) && !put_run(op, &op->runs[i]))
        return false;
  }
  return true;
}

static bool
try_send(struct op *op)
{
  struct client *c = op->client;

  if (!may_send(op))
    return false;
  op->pieces = 1; /* ours */
  if (op->in_flight)
    client_kick(c); /* nobody else would send it */
  op_suspend(op);
  if (put_pieces(op))
    client_has_read(c, op->req.len);
  else
    client_fail(c, "an answer that was begun cannot be finished");
  piece_sent(op, false);
  return true;
}

/* ------------------------------------------------------------------ buffer */

static bool
begin_buffer(struct op *op)
{
  const size_t headers = op->split ? (op->vr.nruns + 1) * NBD_REPLY_MAX : 0;

  if (op->req.len > BUF_MAX)
    return false;
  op->buf = budget_get(&op->client->account, op->req.len + headers);
  if (!op->buf)
    return false;
  /* The first data lies at the buffer's beginning, its header before that. */
  op->fill = op->reply = buf_data(op->buf);
  if (!op->split || is_data(&op->runs[0])) {
    unsigned char header[NBD_REPLY_MAX];
    uint64_t len = op->req.len;
    if (op->split)
      group(op, 0, &len);
    const size_t n = nbd_reply_data(&op->client->session, &op->req,
                                    op->req.off, (uint32_t)len,
                                    len == op->req.len, header);
    op->reply -= n;
    memcpy(op->reply, header, n);
  }
  return true;
}

static void
finish_read(struct op *op)
{
  struct client *c = op->client;
  struct buf *buf = op->buf;

  op_end(op);
  if (!client_has_failed(c)) {
    op->buf = NULL;
    if (send_buf(&c->send, buf, op->reply, (size_t)(op->fill - op->reply)))
      client_has_read(c, op->req.len);
    else
      client_fail(c, "no memory for a reply");
  }
  op_free(op);
}

/* The engine has done its part. */
static void
finish_fill(struct op *op)
{
  if (client_has_failed(op->client)) {
    op_free(op);
    return;
  }
  for (unsigned i = 0; i < op->nio; i++)
    if (op->io[i].result < 0) {
      op_answer(op, op->io[i].result);
      return;
    }
  fill(op);
}

/* One run to where .fill is.  What must wait goes to .io. */
static void
fill_run(struct op *op, unsigned i)
{
  const struct vhd_run *run = &op->runs[i];
  const bool first = i == 0 || is_data(&op->runs[i - 1]) != is_data(run);

  if (op->split && first && !(i == 0 && is_data(run))) {
    uint64_t len;
    group(op, i, &len);
    op->fill += put_header(op, i, op->req.off + op->got, len, op->fill);
  }
  op->got += run->len;
  if (!is_data(run)) {
    if (!op->split) {
      memset(op->fill, 0, run->len);
      op->fill += run->len;
    }
    return;
  }
  struct vhd_io *io = &op->io[op->nio];
  *io = (struct vhd_io){
    .file = run->file,
    .fd = run->fd,
    .buf = op->fill,
    .off = run->file_off,
    .len = run->len,
    .kind = VHD_IO_READ,
  };
  op->fill += run->len;
  if (i == op->missed || !io_try(op->client->export->queue, io) ||
      io->result < 0)
    op->nio++;
}

/* Goes on with the runs of this window, or with the next window. */
static void
fill(struct op *op)
{
  op->nio = 0;
  while (op->run < op->vr.nruns && op->nio < VHD_REQUEST_IOS)
    fill_run(op, op->run++);
  if (op->nio > 0) {
    op->finish = finish_fill;
    op_submit(op, op->nio);
    return;
  }
  op_end(op);
  if (op->got == op->req.len) {
    finish_read(op);
    return;
  }
  const int r = start_map(op);
  if (r < 0)
    op_answer(op, r);
  else
    op_later(op);
}

/* -------------------------------------------------------------------- map */

static void
finish_map(struct op *op)
{
  const bool first = op->got == 0;
  uint64_t len = 0;

  if (op->vr.result < 0 || op->vr.nruns == 0) {
    op_answer(op, op->vr.result < 0 ? op->vr.result : -EIO);
    return;
  }
  if (client_has_failed(op->client)) {
    op_free(op);
    return;
  }
  op->run = 0;
  op->missed = UINT_MAX;
  if (first) {
    for (unsigned i = 0; i < op->vr.nruns; i++)
      len += op->runs[i].len;
    const bool whole = len == op->req.len;
    op->split = whole && nbd_reply_may_split(&op->client->session, &op->req);
    if (whole && (try_small(op) || try_send(op)))
      return;
    if (!begin_buffer(op)) {
      op_answer(op, -ENOMEM);
      return;
    }
  }
  fill(op);
}

void
read_begin(struct client *c, const struct nbd_request *req)
{
  if (req->len == 0) {
    reply_ok(c, req);
    return;
  }
  struct op *op = op_new(c, req);
  if (!op) {
    reply_error(c, req, NBD_ENOMEM, NULL);
    return;
  }
  const int r = start_map(op);
  if (r < 0)
    op_answer(op, r);
  else
    op_run(op);
}

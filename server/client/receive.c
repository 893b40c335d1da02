/* SPDX-License-Identifier: BSD-2-Clause */
/* receive.c: bytes of a client to requests.
 *
 * All connections of a loop receive into one buffer, the loop's .input, and
 * take everything out of it before they return.  What is left is little, and
 * stays with the connection:
 *
 *   the beginning of a header    is copied to .part, and put before what comes
 *   the beginning of data        into the buffer of .receiving; the rest is
 *                                received right there
 *   data of a refused write      is counted in .drain, and thrown away
 *   requests over the limits     .held keeps the buffer itself, or a copy where
 *                                that is smaller; the loop takes another
 *
 * A write whose data has come whole is carried out from where it lies; if it
 * has to wait it keeps the buffer. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "catalog/catalog.h"
#include "client/op.h"
#include "nbd/reply.h"
#include "server.h"

#define INPUT_SIZE ((size_t)64 << 10)
/* How often a connection may receive before others have their turn; */
#define ROUNDS 4
/* and how many requests it may have carried out, */
#define TURN_REQUESTS 512
/* with so many bytes of replies. */
#define TURN_BYTES ((size_t)4 << 20)
/* Replies are sent when there are so many bytes of them, or when nothing more
 * was received.  (Sending the first few early, for the client to go on with,
 * costs more in wake-ups than it gains: a sixth of the requests per second on
 * one core, at depth 16.) */
#define SEND_BYTES ((size_t)256 << 10)
/* Always allowed to who holds nothing yet. */
#define BYTES_FREE ((uint64_t)256 << 10)
/* Look again whether there is memory. */
#define RETRY_MSEC 20

struct turn {
  unsigned requests;
  size_t bytes;
};

/* ------------------------------------------------------------------ limits */

/* Memory that a request will need while it is carried out. */
static uint64_t
need_of(const struct nbd_request *req)
{
  return req->type == NBD_CMD_READ || req->type == NBD_CMD_WRITE ? req->len
                                                                 : 0;
}

/* The nearer all connections together come to the limit, the less may one have;
 * so whoever hoards leaves room for the others. */
static bool
allowed(const struct connection *conn, const struct nbd_request *req)
{
  const struct server_limits *limits = &conn->server->config.limits;
  const uint64_t used =
    atomic_load_explicit(&conn->server->bytes, memory_order_relaxed);
  const uint64_t want = conn->bytes + need_of(req);

  if (conn->nops >= limits->requests)
    return false;
  if (want <= BYTES_FREE)
    return true;
  const uint64_t share =
    used < limits->bytes_total ? (limits->bytes_total - used) / 4 : 0;
  return want <= limits->bytes && want <= share;
}

/* --------------------------------------------------------------- commands */

/* The whole of the request is there, save a write's data. */
static void
carry_out(struct connection *conn, const struct nbd_request *req)
{
  switch (req->type) {
  case NBD_CMD_READ:
    read_begin(conn, req);
    break;
  case NBD_CMD_DISC:
    connection_end(conn);
    break;
  case NBD_CMD_CACHE:
    cache_begin(conn, req);
    break;
  case NBD_CMD_BLOCK_STATUS:
    status_begin(conn, req);
    break;
  default:
    op_begin(conn, req);
    break;
  }
}

/* Begins a write, of whose data n bytes are at p.  Returns how many of them
 * were taken. */
static size_t
begin_write(struct connection *conn, const struct nbd_request *req,
            const unsigned char *p, size_t n, struct buf *input)
{
  if (n >= req->payload_len) {
    op_begin_write(conn, req, p, input);
    return req->payload_len;
  }
  struct op *op = op_receive_write(conn, req);
  if (!op) {
    conn->rejected = *req;
    conn->rejected.verdict = NBD_ENOMEM;
    conn->rejected.text = NULL;
    conn->drain = req->payload_len - n;
    return n;
  }
  memcpy(buf_data(op->buf), p, n);
  op->got = n;
  conn->receiving = op;
  return n;
}

static void
answer_rejected(struct connection *conn)
{
  answer(conn, &conn->rejected, conn->rejected.verdict, conn->rejected.text);
}

static size_t
min_size(uint64_t a, size_t b)
{
  return a < b ? (size_t)a : b;
}

/* Once a connection: qemu does it, and whoever looks into a client's troubles
 * should know that they are not from there. */
static void
note_unannounced(struct connection *conn)
{
  if (conn->unannounced)
    return;
  conn->unannounced = true;
  log_debug("export '%s': a client that negotiated extended headers sends "
            "writes without PAYLOAD_LEN, as qemu does; their data are taken "
            "all the same", conn->export->name);
}

/* Acts on one request; returns how many bytes it took, 0 if it must wait for
 * more bytes (then *hold is false) or for its turn. */
static size_t
take_request(struct connection *conn, const unsigned char *p, size_t n,
             struct buf *input, struct turn *turn, bool *hold)
{
  struct nbd_request req;
  const int header = nbd_parse_request(&conn->session, p, n, &req);

  *hold = false;
  if (header == 0)
    return 0;
  if (header < 0) {
    connection_kill(conn);
    return 0;
  }
  size_t used = (size_t)header;
  const bool status_payload =
    req.type == NBD_CMD_BLOCK_STATUS && req.payload_len > 0 && !req.verdict;
  if (status_payload && n - used < req.payload_len)
    return 0;
  if (!req.verdict && !allowed(conn, &req)) {
    *hold = true;
    return 0;
  }

  if (nbd_request_unannounced(&conn->session, &req))
    note_unannounced(conn);
  turn->requests++;
  turn->bytes += req.type == NBD_CMD_READ ? req.len : 0;
  if (status_payload) {
    nbd_parse_status_payload(&conn->session, p + used, &req);
    used += req.payload_len;
    req.payload_len = 0;
  }
  if (req.verdict) {
    const size_t skip = min_size(req.payload_len, n - used);
    conn->rejected = req;
    conn->drain = req.payload_len - skip;
    if (conn->drain == 0)
      answer_rejected(conn);
    return used + skip;
  }
  if (req.type == NBD_CMD_WRITE)
    return used + begin_write(conn, &req, p + used, n - used, input);
  carry_out(conn, &req);
  return used;
}

/* The rest of what is being received or thrown away; returns how much. */
static size_t
take_data(struct connection *conn, const unsigned char *p, size_t n)
{
  struct op *op = conn->receiving;

  if (op) {
    const size_t k = min_size(op->req.payload_len - op->got, n);
    memcpy(buf_data(op->buf) + op->got, p, k);
    op->got += k;
    if (op->got == op->req.payload_len) {
      conn->receiving = NULL;
      op_write_received(op);
    }
    return k;
  }
  const size_t k = min_size(conn->drain, n);
  conn->drain -= k;
  if (conn->drain == 0)
    answer_rejected(conn);
  return k;
}

/* ------------------------------------------------------------- what is left */

/* Keeps [p, p + n), which lies in input. */
static void
hold(struct connection *conn, struct buf *input, const unsigned char *p,
     size_t n)
{
  struct buf *copy = NULL;

  if (n <= BUF_PAGE)
    copy = connection_get_buf(conn, n);
  if (copy) {
    memcpy(buf_data(copy), p, n);
    conn->held = copy;
    conn->held_at = 0;
  } else {
    connection_charge(conn, buf_footprint(input));
    conn->held = buf_ref(input);
    conn->held_at = (uint32_t)(p - buf_data(input));
  }
  conn->held_end = conn->held_at + (uint32_t)n;
}

/* Keeps the beginning of a header. */
static void
keep_part(struct connection *conn, const unsigned char *p, size_t n)
{
  assert(n <= sizeof conn->part);
  memcpy(conn->part, p, n);
  conn->part_len = (uint32_t)n;
}

/* Takes what may be taken of n bytes at p, which lie in input, and keeps the
 * rest. */
static void
take(struct connection *conn, struct buf *input, const unsigned char *p,
     size_t n, struct turn *turn)
{
  size_t at = 0;
  bool wait = false;

  while (at < n && !wait) {
    if (conn->state == CONNECTION_HAGGLING) {
      at += haggle_feed(conn, p + at, n - at);
      wait = conn->state == CONNECTION_HAGGLING;
      continue;
    }
    if (conn->state != CONNECTION_SERVING)
      return;
    if (conn->receiving || conn->drain > 0) {
      at += take_data(conn, p + at, n - at);
      continue;
    }
    if (turn->requests >= TURN_REQUESTS || turn->bytes >= TURN_BYTES) {
      wait = conn->yielding = true;
      connection_set_timer(conn, 0);
      break;
    }
    conn->batching = n - at >= 2 * sizeof(struct nbd_request_header);
    const size_t used =
      take_request(conn, p + at, n - at, input, turn, &wait);
    if (used == 0)
      break;
    at += used;
    if (conn->out_len >= SEND_BYTES) {
      output_send(conn);
      wait = conn->blocked;
    }
  }
  if (conn->state > CONNECTION_SERVING || at == n)
    return;
  if (wait)
    hold(conn, input, p + at, n - at);
  else
    keep_part(conn, p + at, n - at);
}

static void
take_held(struct connection *conn, struct turn *turn)
{
  struct buf *input = conn->held;
  const unsigned char *p = buf_data(input) + conn->held_at;
  const size_t n = conn->held_end - conn->held_at;

  conn->held = NULL;
  take(conn, input, p, n, turn);
  connection_put_buf(conn, input);
}

/* Nothing of this connection will change soon enough by itself: look again. */
static void
schedule_retry(struct connection *conn)
{
  if (conn->held && !conn->yielding && !conn->blocked && conn->nops == 0 &&
      conn->state == CONNECTION_SERVING && TAILQ_EMPTY(&conn->out)) {
    conn->yielding = true;
    connection_set_timer(conn, RETRY_MSEC);
  }
}

/* ---------------------------------------------------------------- receiving */

/* The loop's buffer, to be overwritten. */
static struct buf *
get_input(struct connection *conn)
{
  struct loop *loop = conn->loop;

  if (loop->input && loop->input->refs > 1) {
    buf_unref(&loop->bufs, loop->input);
    loop->input = NULL;
  }
  if (!loop->input)
    loop->input = buf_get(&loop->bufs, INPUT_SIZE + sizeof conn->part);
  return loop->input;
}

static void
ended(struct connection *conn, ssize_t n)
{
  if (n == -EAGAIN)
    return;
  /* An end without DISC: the client has gone, or will not say more. */
  atomic_store_explicit(&conn->cancelled, true, memory_order_relaxed);
  if (n == 0 && conn->state == CONNECTION_SERVING)
    connection_end(conn);
  else
    connection_kill(conn);
}

/* Straight into the buffer of a write.  False: nothing more is there. */
static bool
receive_data(struct connection *conn)
{
  struct op *op = conn->receiving;
  struct stream *s = conn->stream;
  const size_t len = op->req.payload_len - op->got;
  const ssize_t n = s->ops->recv(s, buf_data(op->buf) + op->got, len);

  if (n <= 0) {
    ended(conn, n);
    return false;
  }
  op->got += (uint64_t)n;
  if ((size_t)n < len)
    return s->ops->pending && s->ops->pending(s);
  conn->receiving = NULL;
  op_write_received(op);
  return true;
}

static bool
receive_requests(struct connection *conn, struct turn *turn)
{
  struct stream *s = conn->stream;
  struct buf *input = get_input(conn);
  const size_t part = conn->part_len;

  if (!input) {
    connection_kill(conn);
    return false;
  }
  unsigned char *p = buf_data(input);
  memcpy(p, conn->part, part);
  const ssize_t n = s->ops->recv(s, p + part, INPUT_SIZE);
  if (n <= 0) {
    ended(conn, n);
    return false;
  }
  conn->part_len = 0;
  take(conn, input, p, part + (size_t)n, turn);
  if (connection_is_dead(conn))
    return false;
  /* STARTTLS has put another stream in the place of this one. */
  if (conn->stream != s)
    return false;
  return (size_t)n == INPUT_SIZE || conn->receiving ||
         (s->ops->pending && s->ops->pending(s));
}

void
receive(struct connection *conn)
{
  struct turn turn = { .requests = 0 };

  for (unsigned round = 0; round < ROUNDS; round++) {
    bool more = true;
    if (conn->held)
      take_held(conn, &turn);
    else if (conn->stopping && conn->state == CONNECTION_SERVING)
      break;
    else if (conn->receiving)
      more = receive_data(conn);
    else
      more = receive_requests(conn, &turn);
    if (!more || conn->held || conn->blocked ||
        (conn->state != CONNECTION_SERVING &&
         conn->state != CONNECTION_HAGGLING))
      break;
  }
  if (connection_is_dead(conn))
    return;
  /* TLS may hold bytes that the socket will not announce again. */
  const struct stream *s = conn->stream;
  if (conn->state <= CONNECTION_SERVING && !conn->held && !conn->blocked &&
      s->ops->pending && s->ops->pending(conn->stream)) {
    conn->yielding = true;
    connection_set_timer(conn, 0);
  }
  schedule_retry(conn);
}

void
receive_clear(struct connection *conn)
{
  if (conn->held)
    connection_put_buf(conn, conn->held);
  conn->held = NULL;
  if (conn->receiving)
    op_free(conn->receiving);
  conn->receiving = NULL;
  conn->drain = 0;
  conn->part_len = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conn: one NBD connection. See conn.h.
 *
 * Receiving: bytes land at the same place of the buffer each time, because the
 * kernel's copy is several times slower at some offsets within a page than at
 * others. What remains of a batch and is not whole (a head, a block status
 * descriptor: less than KEPT_MAX bytes) is moved to just before that place.
 *
 *   buffer: | ... kept | received at LANDING ........ RECEIVE_SIZE |
 *
 * Payload is never collected: it is handed on in the pieces in which it came.
 */

#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "fail.h"

#define RECEIVE_SIZE (256 * 1024)
#define LANDING 64
#define KEPT_MAX 64
#define EXTENT_SIZE 8
#define SEND_MAX 256  /* requests in one system call */

static_assert(KEPT_MAX >= NBD_REPLY_SIZE_MAX && KEPT_MAX <= LANDING,
              "a head that is not whole must fit before the landing");

void
conn_init(struct conn *c, unsigned id, const struct conn_setup *setup,
          const struct stream_address *address,
          const struct handshake_wishes *wishes)
{
  *c = (struct conn){
    .setup = setup,
    .id = id,
    .address = address,
    .wishes = wishes,
    .stream.fd = -1,
  };
  c->slots = xcalloc(setup->depth, sizeof *c->slots);
  c->free_slots = xcalloc(setup->depth, sizeof *c->free_slots);
  c->queue = xcalloc(setup->depth, sizeof *c->queue);
}

void
conn_free(struct conn *c)
{
  stream_close(&c->stream);
  free(c->handshake);
  free(c->slots);
  free(c->free_slots);
  free(c->queue);
  free(c->buffer);
}

static _Noreturn void
lost(const struct conn *c, const char *doing, int error)
{
  if (error == -EPROTO && c->stream.tls)
    fail(FAIL_SERVER, "connection %u: %s: %s", c->id, doing, tls_error());
  if (error == -EAGAIN)
    fail(FAIL_SERVER, "connection %u: %s: no answer", c->id, doing);
  fail(FAIL_SERVER, "connection %u: %s: %s", c->id, doing,
       error ? strerror(-error) : "closed by the server");
}

/* --- Negotiation ------------------------------------------------------- */

static void
reset(struct conn *c)
{
  c->free_count = 0;
  for (unsigned i = c->setup->depth; i > 0; i--) {
    c->slots[i - 1].busy = false;
    c->free_slots[c->free_count++] = &c->slots[i - 1];
  }
  c->queue_head = c->queue_count = 0;
  c->head_sent = c->kept = 0;
  c->current = NULL;
  c->blocked = false;
}

void
conn_open(struct conn *c)
{
  reset(c);
  if (!c->handshake)
    c->handshake = xcalloc(1, sizeof *c->handshake);
  handshake_init(c->handshake, c->wishes);

  int r = stream_connect(&c->stream, c->address);
  if (r == 0)
    c->state = CONN_NEGOTIATING;
  else if (r == -EINPROGRESS)
    c->state = CONN_CONNECTING;
  else
    lost(c, "connect", r);
}

static void
handshake_send(struct conn *c)
{
  struct handshake *h = c->handshake;
  struct iovec iov = {.iov_base = h->out, .iov_len = h->out_len};

  if (!h->out_len)
    return;
  ssize_t n = stream_send(&c->stream, &iov, 1);
  if (n != (ssize_t)h->out_len)
    lost(c, "handshake", n < 0 ? (int)n : -ENOBUFS);
  h->out_len = 0;
}

static void
become_ready(struct conn *c)
{
  c->state = CONN_READY;
  c->export_size = c->handshake->export_size;
  c->context = c->handshake->context;
  free(c->handshake);
  c->handshake = NULL;
  c->setup->handler->ready(c);
}

static void
advance_tls(struct conn *c)
{
  int r = tls_handshake(c->stream.tls);

  if (r == -EAGAIN)
    return;
  if (r < 0)
    lost(c, "TLS handshake", r);
  c->state = CONN_NEGOTIATING;
  handshake_tls_is_up(c->handshake);
  handshake_send(c);
}

static void
negotiate(struct conn *c)
{
  struct handshake *h = c->handshake;
  ssize_t n = stream_recv(&c->stream, h->in + h->in_len,
                          sizeof h->in - h->in_len, false);

  if (n == -EAGAIN)
    return;
  if (n <= 0)
    lost(c, "handshake", (int)n);
  h->in_len += n;

  switch (handshake_advance(h)) {
  case HANDSHAKE_FAILED:
    fail(FAIL_SERVER, "connection %u: %s", c->id, h->error);
  case HANDSHAKE_TLS:
    stream_start_tls(&c->stream, c->setup->tls);
    c->state = CONN_TLS;
    advance_tls(c);
    return;
  case HANDSHAKE_READY:
    become_ready(c);
    return;
  default:
    handshake_send(c);
  }
}

/* --- Sending ----------------------------------------------------------- */

struct slot *
conn_take_slot(struct conn *c)
{
  if (!c->free_count)
    return NULL;
  struct slot *slot = c->free_slots[--c->free_count];
  slot->busy = true;
  slot->payload = NULL;
  return slot;
}

void
conn_queue(struct conn *c, struct slot *slot, uint64_t now_ns)
{
  unsigned depth = c->setup->depth;

  assert(slot->busy && c->queue_count < depth);
  slot->request.cookie = ++c->serial << 16 | (uint64_t)(slot - c->slots);
  slot->queued_ns = now_ns;
  slot->answered = 0;
  slot->error = 0;
  c->queue[(c->queue_head + c->queue_count++) % depth] = slot;
}

static size_t
size_on_wire(const struct slot *slot)
{
  return NBD_REQUEST_SIZE + (slot->payload ? slot->request.length : 0);
}

/* Describe the unsent part of up to MAX queued requests. */
static int
gather(const struct conn *c, unsigned max, uint8_t (*heads)[NBD_REQUEST_SIZE],
       struct iovec *iov)
{
  size_t skip = c->head_sent;
  int n = 0;

  for (unsigned i = 0; i < c->queue_count && i < max; i++) {
    const struct slot *slot =
      c->queue[(c->queue_head + i) % c->setup->depth];
    if (skip < NBD_REQUEST_SIZE) {
      wire_put_request(heads[i], &slot->request);
      iov[n].iov_base = heads[i] + skip;
      iov[n++].iov_len = NBD_REQUEST_SIZE - skip;
      skip = 0;
    } else {
      skip -= NBD_REQUEST_SIZE;
    }
    if (slot->payload) {
      iov[n].iov_base = (void *)(slot->payload + skip);
      iov[n++].iov_len = slot->request.length - skip;
    }
    skip = 0;
  }
  return n;
}

/* N more bytes of the queue are gone. */
static void
sent(struct conn *c, size_t n)
{
  n += c->head_sent;
  while (c->queue_count) {
    size_t size = size_on_wire(c->queue[c->queue_head]);
    if (n < size)
      break;
    n -= size;
    c->queue_head = (c->queue_head + 1) % c->setup->depth;
    c->queue_count--;
  }
  c->head_sent = n;
}

static void
send_queue(struct conn *c)
{
  uint8_t heads[SEND_MAX][NBD_REQUEST_SIZE];
  struct iovec iov[2 * SEND_MAX];
  unsigned max = c->setup->one_by_one ? 1 : SEND_MAX;

  c->blocked = false;
  while (c->queue_count) {
    int count = gather(c, max, heads, iov);
    ssize_t n = stream_send(&c->stream, iov, count);
    if (n == -EAGAIN) {
      c->blocked = true;
      return;
    }
    if (n < 0)
      lost(c, "send", (int)n);
    sent(c, n);
  }
}

void
conn_output(struct conn *c)
{
  if (c->state == CONN_CONNECTING) {
    int r = stream_connected(&c->stream);
    if (r < 0)
      lost(c, "connect", r);
    c->state = CONN_NEGOTIATING;
    return;
  }
  if (c->state != CONN_READY)
    return;
  if (stream_has_output(&c->stream)) {
    int r = stream_flush(&c->stream);
    if (r < 0 && r != -EAGAIN)
      lost(c, "send", r);
  }
  send_queue(c);
}

bool
conn_wants_output(const struct conn *c)
{
  return c->state == CONN_CONNECTING || c->blocked ||
    stream_has_output(&c->stream);
}

/* --- Receiving --------------------------------------------------------- */

static struct slot *
find_slot(struct conn *c, uint64_t cookie)
{
  unsigned i = cookie & 0xffff;

  if (i >= c->setup->depth || !c->slots[i].busy ||
      c->slots[i].request.cookie != cookie)
    fail(FAIL_SERVER, "connection %u: a reply to no request, cookie 0x%llx",
         c->id, (unsigned long long)cookie);
  return &c->slots[i];
}

static void
slot_done(struct conn *c, struct slot *slot)
{
  const struct nbd_request *request = &slot->request;

  if (request->command == NBD_CMD_READ && !slot->error &&
      slot->answered != request->length)
    fail(FAIL_SERVER, "connection %u: a read of %u bytes was given %u",
         c->id, request->length, slot->answered);
  slot->busy = false;
  c->free_slots[c->free_count++] = slot;
  c->setup->handler->done(c, slot);
}

/* DATA and HOLE chunks must lie inside what was asked for. */
static void
check_range(struct conn *c, const struct slot *slot, uint64_t offset,
            uint32_t len)
{
  const struct nbd_request *request = &slot->request;

  if (request->command != NBD_CMD_READ || offset < request->offset ||
      offset - request->offset > request->length ||
      len > request->length - (offset - request->offset))
    fail(FAIL_SERVER, "connection %u: a chunk of %u bytes at %llu "
         "outside of its request", c->id, len, (unsigned long long)offset);
}

/* A reply's head is there: act on it, and expect its payload. */
static void
begin_reply(struct conn *c)
{
  const struct nbd_reply *reply = &c->reply;
  struct slot *slot = find_slot(c, reply->cookie);

  c->current = slot;
  c->payload_left = reply->payload;
  if (reply->error && !slot->error)
    slot->error = reply->error;

  if (reply->simple) {
    if (slot->request.command == NBD_CMD_READ && !reply->error) {
      c->payload_left = slot->request.length;
      c->data_offset = slot->request.offset;
    }
  } else if (reply->type == NBD_CHUNK_DATA) {
    check_range(c, slot, reply->offset, reply->payload);
    c->data_offset = reply->offset;
  } else if (reply->type == NBD_CHUNK_HOLE) {
    check_range(c, slot, reply->offset, reply->hole);
    slot->answered += reply->hole;
    c->setup->handler->data(c, reply->offset, NULL, reply->hole);
  } else if (reply->type == NBD_CHUNK_BLOCK_STATUS && reply->payload < 4) {
    fail(FAIL_SERVER, "connection %u: a block status of %u bytes", c->id,
         reply->payload);
  }
}

static bool
has_data(const struct nbd_reply *reply)
{
  return !reply->error && (reply->simple || reply->type == NBD_CHUNK_DATA);
}

/* Take payload from the N bytes at P. Returns how many; 0: need more. */
static size_t
take_payload(struct conn *c, const uint8_t *p, size_t n)
{
  const struct conn_handler *handler = c->setup->handler;
  struct slot *slot = c->current;

  if (n > c->payload_left)
    n = c->payload_left;
  if (has_data(&c->reply)) {
    handler->data(c, c->data_offset, p, n);
    c->data_offset += n;
    slot->answered += n;
    return n;
  }
  if (c->reply.type != NBD_CHUNK_BLOCK_STATUS)
    return n;  /* an error's text */

  if (c->payload_left == c->reply.payload)  /* the context's id */
    return n < 4 ? 0 : 4;
  size_t taken = 0;
  for (; taken + EXTENT_SIZE <= n; taken += EXTENT_SIZE)
    handler->extent(c, slot, get_be32(p + taken), get_be32(p + taken + 4));
  if (!taken && n == c->payload_left)
    fail(FAIL_SERVER, "connection %u: a block status of odd size", c->id);
  return taken;
}

static void
end_reply(struct conn *c)
{
  struct slot *slot = c->current;

  c->current = NULL;
  if (c->reply.done)
    slot_done(c, slot);
}

/* Work through the N bytes at P. Returns how many were whole. */
static size_t
take_replies(struct conn *c, const uint8_t *p, size_t n)
{
  size_t pos = 0;

  for (;;) {
    if (c->current && c->payload_left) {
      size_t taken = take_payload(c, p + pos, n - pos);
      if (!taken)
        return pos;
      pos += taken;
      c->payload_left -= taken;
    } else if (c->current) {
      end_reply(c);
    } else {
      int taken = wire_get_reply(p + pos, n - pos, &c->reply);
      if (taken < 0)
        fail(FAIL_SERVER, "connection %u: a malformed reply", c->id);
      if (!taken)
        return pos;
      pos += taken;
      begin_reply(c);
    }
  }
}

static void
make_buffer(struct conn *c)
{
  if (posix_memalign((void **)&c->buffer, 4096, LANDING + RECEIVE_SIZE) != 0)
    fail(FAIL_SYSTEM, "out of memory");
}

static void
receive_replies(struct conn *c, bool wait)
{
  if (!c->buffer)
    make_buffer(c);
  do {
    uint8_t *landing = c->buffer + LANDING;
    ssize_t n = stream_recv(&c->stream, landing, RECEIVE_SIZE, wait);
    if (n == -EAGAIN && !wait)
      return;
    if (n <= 0)
      lost(c, "receive", (int)n);
    uint8_t *p = landing - c->kept;
    size_t len = c->kept + n;
    size_t taken = take_replies(c, p, len);
    c->kept = len - taken;
    assert(c->kept <= KEPT_MAX);
    memmove(landing - c->kept, p + taken, c->kept);
    wait = false;
  } while (c->state == CONN_READY && stream_has_input(&c->stream));
}

void
conn_input(struct conn *c, bool wait)
{
  switch (c->state) {
  case CONN_NEGOTIATING:
    negotiate(c);
    break;
  case CONN_TLS:
    advance_tls(c);
    break;
  case CONN_READY:
    receive_replies(c, wait);
    break;
  default:
    break;
  }
}

void
conn_close(struct conn *c)
{
  uint8_t goodbye[NBD_REQUEST_SIZE];
  struct nbd_request request = {.command = NBD_CMD_DISC};
  struct iovec iov = {.iov_base = goodbye, .iov_len = sizeof goodbye};

  if (c->state == CONN_READY && !c->blocked) {
    wire_put_request(goodbye, &request);
    stream_send(&c->stream, &iov, 1);
  }
  stream_close(&c->stream);
  c->state = CONN_CLOSED;
}

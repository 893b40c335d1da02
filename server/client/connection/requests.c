/* SPDX-License-Identifier: BSD-2-Clause */
/* requests.c: see requests.h. */
#include "config.h"

#include <string.h>

#include "client/connection/requests.h"
#include "base/log.h"
#include "catalog/generation.h"
#include "client/client.h"
#include "client/command/command.h"
#include "client/host.h"
#include "client/reply.h"
#include "client/command/write.h"
#include "config/server_config.h"

/* How many requests a client may have carried out before others have their
 * turn, */
#define TURN_REQUESTS 512
/* with so many bytes of replies. */
#define TURN_BYTES ((size_t)4 << 20)
/* Replies are sent when there are so many bytes of them, or when nothing more
 * was received.  (Sending the first few early, for the client to go on with,
 * costs more in wake-ups than it gains: a sixth of the requests per second on
 * one core, at depth 16.) */
#define SEND_BYTES ((size_t)256 << 10)
/* An answer without data. */
#define ANSWER_BYTES ((uint64_t)2 * BUF_PAGE)
/* Data of a write is received in no smaller steps, where memory is short. */
#define STEP_BYTES ((uint64_t)64 << 10)

void
requests_init(struct requests *r, struct client *c)
{
  r->client = c;
}

void
requests_begin_turn(struct requests *r)
{
  r->begun = 0;
  r->bytes = 0;
  r->yielding = false;
}

void
requests_clear(struct requests *r)
{
  if (r->arriving)
    budget_put(&r->client->account, r->arriving);
  r->arriving = NULL;
  r->drain = 0;
  r->stuck = false;
}

/* ------------------------------------------------------------------ limits */

/* Memory that a request, of whose data n bytes are there, will need while it is
 * carried out; of a write that is not there whole, until more has come. */
static uint64_t
need_of(const struct nbd_request *req, size_t n)
{
  if (req->verdict)
    return ANSWER_BYTES;
  switch (req->type) {
  case NBD_CMD_READ:
    return req->len;
  case NBD_CMD_WRITE:
    return n >= req->payload_len || req->len < STEP_BYTES ? req->len
                                                          : STEP_BYTES;
  default:
    return ANSWER_BYTES;
  }
}

static bool
allowed(struct requests *r, const struct nbd_request *req, size_t n)
{
  struct client *c = r->client;

  if (req->type == NBD_CMD_DISC)
    return true;
  if (!req->verdict && client_in_flight(c) >= c->host->config->limits.requests)
    return false;
  r->need = need_of(req, n);
  return budget_may(&c->account, r->need);
}

/* -------------------------------------------------------------------- data */

static size_t
min_size(uint64_t a, size_t b)
{
  return a < b ? (size_t)a : b;
}

/* Begins a write, of whose data n bytes are at p.  Returns how many of them
 * were taken. */
static size_t
begin_write(struct requests *r, const struct nbd_request *req,
            const unsigned char *p, size_t n, struct buf *input)
{
  struct client *c = r->client;

  if (n >= req->payload_len) {
    write_begin(c, req, p, input);
    return req->payload_len;
  }
  r->at_hand = *req;
  r->arriving = budget_get_empty(&c->account, req->payload_len);
  if (!r->arriving) {
    r->at_hand.verdict = NBD_ENOMEM;
    r->at_hand.text = NULL;
    r->drain = req->payload_len - n;
    return n;
  }
  memcpy(buf_data(r->arriving), p, n);
  budget_filled(&c->account, r->arriving, n);
  r->got = (uint32_t)n;
  return n;
}

/* More of the data is in the buffer. */
static void
add_data(struct requests *r, size_t n)
{
  struct buf *buf = r->arriving;

  r->got += (uint32_t)n;
  budget_filled(&r->client->account, buf, r->got);
  budget_moved(&r->client->account, n);
  if (r->got < r->at_hand.payload_len)
    return;
  r->arriving = NULL;
  write_begin_with(r->client, &r->at_hand, buf);
}

/* Refuses the request at hand once its data has been thrown away. */
static void
refuse(struct requests *r)
{
  reply_error(r->client, &r->at_hand, r->at_hand.verdict, r->at_hand.text);
}

/* The rest of what is arriving or is thrown away; returns how much. */
static size_t
take_data(struct requests *r, const unsigned char *p, size_t n)
{
  if (r->arriving) {
    const size_t k = min_size(r->at_hand.payload_len - r->got, n);
    memcpy(buf_data(r->arriving) + r->got, p, k);
    add_data(r, k);
    return k;
  }
  const size_t k = min_size(r->drain, n);
  r->drain -= k;
  if (r->drain == 0)
    refuse(r);
  return k;
}

static unsigned char *
place(void *of, size_t *len)
{
  struct requests *r = of;

  if (!r->arriving) {
    *len = min_size(r->drain, SIZE_MAX);
    return NULL;
  }
  r->need = r->at_hand.payload_len - r->got;
  *len = client_is_held(r->client)
           ? 0
           : (size_t)budget_room(&r->client->account, r->need, STEP_BYTES);
  r->stuck = *len == 0;
  return buf_data(r->arriving) + r->got;
}

static enum receive_verdict
took(void *of, size_t n)
{
  struct requests *r = of;

  add_data(r, n);
  return r->arriving ? RECEIVE_PLACE : RECEIVE_MORE;
}

/* ---------------------------------------------------------------- requests */

/* Once a client: qemu does it, and whoever looks into a client's troubles
 * should know that they are not from there. */
static void
note_unannounced(struct requests *r)
{
  if (r->unannounced)
    return;
  r->unannounced = true;
  log_debug("export '%s': a client that negotiated extended headers sends "
            "writes without PAYLOAD_LEN, as qemu does; their data are taken "
            "all the same",
            r->client->export->name);
}

/* The request is allowed, its header `header` bytes long and, of BLOCK_STATUS,
 * its payload is there. */
static enum receive_verdict
begin_request(struct requests *r, struct nbd_request *req, size_t header,
              const unsigned char *p, size_t n, struct buf *input,
              size_t *used)
{
  struct client *c = r->client;

  *used = header;
  if (nbd_request_unannounced(&c->session, req))
    note_unannounced(r);
  r->begun++;
  if (req->type == NBD_CMD_READ)
    r->bytes += req->len;
  if (req->type == NBD_CMD_BLOCK_STATUS && req->payload_len > 0 &&
      !req->verdict) {
    nbd_parse_status_payload(&c->session, p + header, req);
    *used += req->payload_len;
    req->payload_len = 0;
  }
  if (req->verdict) {
    const size_t skip = min_size(req->payload_len, n - *used);
    r->at_hand = *req;
    r->drain = req->payload_len - skip;
    *used += skip;
    if (r->drain == 0)
      refuse(r);
  } else if (req->type == NBD_CMD_WRITE) {
    *used += begin_write(r, req, p + header, n - header, input);
  } else if (req->type == NBD_CMD_DISC) {
    return RECEIVE_END;
  } else {
    command_begin(c, req);
  }
  return RECEIVE_MORE;
}

/* Acts on one request; *used is 0 if it must wait for more bytes, or for its
 * turn (HOLD). */
static enum receive_verdict
take_request(struct requests *r, const unsigned char *p, size_t n,
             struct buf *input, size_t *used)
{
  struct nbd_request req;
  const int header = nbd_parse_request(&r->client->session, p, n, &req);

  *used = 0;
  if (header <= 0)
    return header < 0 ? RECEIVE_FAULT : RECEIVE_MORE;
  if (req.type == NBD_CMD_BLOCK_STATUS && !req.verdict &&
      n - (size_t)header < req.payload_len)
    return RECEIVE_MORE;
  if (!allowed(r, &req, n - (size_t)header))
    return RECEIVE_HOLD;
  return begin_request(r, &req, (size_t)header, p, n, input, used);
}

static enum receive_verdict
take(void *of, struct buf *input, const unsigned char *p, size_t n,
     size_t *used)
{
  struct requests *r = of;
  struct client *c = r->client;
  enum receive_verdict verdict = RECEIVE_MORE;
  size_t taken;

  if (client_is_held(c))
    return RECEIVE_HOLD;
  while (*used < n && verdict == RECEIVE_MORE && !client_has_failed(c)) {
    if (r->arriving || r->drain > 0) {
      *used += take_data(r, p + *used, n - *used);
      continue;
    }
    if (r->begun >= TURN_REQUESTS || r->bytes >= TURN_BYTES) {
      r->yielding = true;
      return RECEIVE_HOLD;
    }
    c->send.batching = n - *used >= 2 * sizeof(struct nbd_request_header);
    verdict = take_request(r, p + *used, n - *used, input, &taken);
    *used += taken;
    if (taken == 0)
      break;
    if (c->send.len >= SEND_BYTES && !client_send(c) &&
        verdict == RECEIVE_MORE)
      verdict = RECEIVE_HOLD;
  }
  if (client_has_failed(c))
    return RECEIVE_FAULT;
  return verdict == RECEIVE_MORE && (r->arriving || r->drain > 0)
           ? RECEIVE_PLACE
           : verdict;
}

const struct consumer requests_consumer = {
  .take = take,
  .place = place,
  .took = took,
};

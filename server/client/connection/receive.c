/* SPDX-License-Identifier: BSD-2-Clause */
/* receive.c: see receive.h.
 *
 * All clients of a loop receive into one buffer, the worker's .input, and
 * take everything out of it before they return.  What is left is little, and
 * stays with the client:
 *
 *   the beginning of a header    is copied to .part, and put before what comes
 *   the beginning of data        the consumer has copied to its place; the rest
 *                                is received right there
 *   what must wait               in .part, too, where it is short; else .held
 *                                keeps the buffer itself, or a copy where that
 *                                is smaller; the worker takes another
 *
 * Where memory is short no more is received than fits into .part, and so those
 * who wait for memory hold none. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "client/connection/receive.h"
#include "client/client.h"
#include "client/worker.h"
#include "net/stream.h"

#define INPUT_SIZE ((size_t)64 << 10)
/* How often a client may receive before others have their turn. */
#define ROUNDS 4

/* ------------------------------------------------------------- what is left */

/* Keeps the beginning of something. */
static void
keep_part(struct receiver *r, const unsigned char *p, size_t n)
{
  assert(n <= sizeof r->part);
  memcpy(r->part, p, n);
  r->part_len = (uint32_t)n;
}

/* Keeps [p, p + n), which lies in input. */
static void
hold(struct receiver *r, struct client *c, struct buf *input,
     const unsigned char *p, size_t n)
{
  struct buf *copy = NULL;

  if (n <= RECEIVE_PART) {
    keep_part(r, p, n);
    r->waits = true;
    return;
  }
  if (n <= BUF_PAGE)
    copy = budget_get(&c->account, n);
  if (copy) {
    memcpy(buf_data(copy), p, n);
    r->held = copy;
    r->held_at = 0;
  } else {
    budget_charge(&c->account, input->resident);
    r->held = buf_ref(input);
    r->held_at = (uint32_t)(p - buf_data(input));
  }
  r->held_end = r->held_at + (uint32_t)n;
}

/* Has the consumer take what it will of n bytes at p, which lie in input, and
 * keeps the rest. */
static enum receive_verdict
take(struct receiver *r, struct client *c, const struct consumer *consumer,
     void *of, struct buf *input, const unsigned char *p, size_t n)
{
  size_t used = 0;
  const enum receive_verdict verdict = consumer->take(of, input, p, n, &used);

  r->places = verdict == RECEIVE_PLACE;
  if (used == n)
    return r->places ? RECEIVE_MORE : verdict;
  if (verdict == RECEIVE_HOLD)
    hold(r, c, input, p + used, n - used);
  else if (verdict == RECEIVE_MORE)
    keep_part(r, p + used, n - used);
  return verdict;
}

static enum receive_verdict
take_held(struct receiver *r, struct client *c,
          const struct consumer *consumer, void *of)
{
  struct buf *input = r->held;
  const unsigned char *p = buf_data(input) + r->held_at;

  /* What is asked for now does not come on top of it. */
  budget_discharge(&c->account, input->resident);
  r->held = NULL;
  const enum receive_verdict verdict =
    take(r, c, consumer, of, input, p, r->held_end - r->held_at);
  buf_unref(&c->loop->bufs, input);
  return verdict;
}

/* ---------------------------------------------------------------- receiving */

/* The worker's buffer, to be overwritten. */
static struct buf *
get_input(struct worker *worker)
{
  struct loop *loop = worker->loop;

  if (worker->input && worker->input->refs > 1)
    receive_clear_input(worker);
  if (!worker->input)
    worker->input = buf_get(&loop->bufs, INPUT_SIZE + RECEIVE_PART);
  return worker->input;
}

/* The stream has given no bytes. */
static enum receive_verdict
no_bytes(struct receiver *r, ssize_t n)
{
  if (n == -EAGAIN)
    return RECEIVE_MORE;
  r->at_end = n == 0;
  r->broken = n < 0;
  return n == 0 ? RECEIVE_END : RECEIVE_FAULT;
}

static bool
is_pending(struct stream *s)
{
  return s->ops->pending && s->ops->pending(s);
}

/* Straight to where the consumer wants them.  *again: there may be more. */
static enum receive_verdict
receive_placed(struct receiver *r, struct client *c,
               const struct consumer *consumer, void *of, unsigned char *at,
               size_t len, bool *again)
{
  struct stream *s = c->stream;
  const ssize_t n = s->ops->recv(s, at, len);

  if (n <= 0)
    return no_bytes(r, n);
  *again = (size_t)n == len || is_pending(s);
  const enum receive_verdict verdict = consumer->took(of, (size_t)n);
  r->places = verdict == RECEIVE_PLACE;
  return r->places ? RECEIVE_MORE : verdict;
}

/* Few bytes that had to wait. */
static enum receive_verdict
take_part(struct receiver *r, struct client *c,
          const struct consumer *consumer, void *of)
{
  struct buf *input = get_input(c->worker);
  const size_t n = r->part_len;

  if (!input)
    return RECEIVE_FAULT;
  memcpy(buf_data(input), r->part, n);
  r->waits = false;
  r->part_len = 0;
  return take(r, c, consumer, of, input, buf_data(input), n);
}

/* Anything, of which `least` bytes belong to what is under way. */
static enum receive_verdict
receive_any(struct receiver *r, struct client *c,
            const struct consumer *consumer, void *of, size_t least,
            bool *again)
{
  struct stream *s = c->stream;
  struct buf *input = get_input(c->worker);
  const size_t part = r->part_len;
  size_t size = INPUT_SIZE;

  if (!input)
    return RECEIVE_FAULT;
  if (budget_is_tight(c->account.budget)) {
    size = least > RECEIVE_PART - part ? least : RECEIVE_PART - part;
    if (size > INPUT_SIZE)
      size = INPUT_SIZE;
  }
  unsigned char *p = buf_data(input);
  memcpy(p, r->part, part);
  const ssize_t n = s->ops->recv(s, p + part, size);
  if (n <= 0)
    return no_bytes(r, n);
  r->part_len = 0;
  const enum receive_verdict verdict =
    take(r, c, consumer, of, input, p, part + (size_t)n);
  /* STARTTLS may have put another stream in the place of this one. */
  if (c->stream == s)
    *again = (size_t)n == size || r->places || is_pending(s);
  return verdict;
}

enum receive_verdict
receive(struct receiver *r, struct client *c, const struct consumer *consumer,
        void *of, bool only_held)
{
  enum receive_verdict verdict = RECEIVE_MORE;
  bool again = true;

  for (unsigned round = 0; round < ROUNDS && again && verdict == RECEIVE_MORE;
       round++) {
    unsigned char *at = NULL;
    size_t len = 0;
    if (receive_is_holding(r)) {
      verdict = r->held ? take_held(r, c, consumer, of)
                        : take_part(r, c, consumer, of);
      continue;
    }
    if (only_held)
      break;
    again = false;
    if (r->places)
      at = consumer->place(of, &len);
    if (at && len == 0)
      verdict = RECEIVE_HOLD;
    else if (at)
      verdict = receive_placed(r, c, consumer, of, at, len, &again);
    else
      verdict = receive_any(r, c, consumer, of, len, &again);
  }
  return verdict;
}

void
receive_clear(struct receiver *r, struct client *c)
{
  if (r->held)
    budget_put(&c->account, r->held);
  r->held = NULL;
  r->waits = r->places = false;
  r->part_len = 0;
}

void
receive_clear_input(struct worker *worker)
{
  buf_unref(&worker->loop->bufs, worker->input);
  worker->input = NULL;
}

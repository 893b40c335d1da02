/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handshake: the client's side of the negotiation. See handshake.h.
 *
 * One option is under way at a time, as with real clients:
 *
 *   GREETING -> [STARTTLS -> TLS] -> [STRUCTURED -> [CONTEXT]] -> GO -> READY
 *
 * Each arrow is next_option(), which skips what was not wished for.
 */

#include "config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "handshake.h"
#include "wire.h"

#define GREETING_SIZE 18
#define OPTION_SIZE 16
#define OPTION_REPLY_SIZE 20
#define CONTEXT_NAME "base:allocation"
#define EXPORT_NAME_MAX 4096

struct option_reply {
  uint32_t option;
  uint32_t type;
  const uint8_t *data;
  uint32_t len;
};

static void __attribute__((format(printf, 2, 3)))
give_up(struct handshake *h, const char *format, ...)
{
  va_list ap;

  va_start(ap, format);
  vsnprintf(h->error, sizeof h->error, format, ap);
  va_end(ap);
  h->state = HANDSHAKE_FAILED;
}

/* Room for LEN bytes at the end of `out`. */
static uint8_t *
out_bytes(struct handshake *h, size_t len)
{
  assert(h->out_len + len <= sizeof h->out);
  uint8_t *p = h->out + h->out_len;
  h->out_len += len;
  return p;
}

static void
put_option(struct handshake *h, enum nbd_option option, uint32_t len)
{
  uint8_t *p = out_bytes(h, OPTION_SIZE);

  put_be64(p, NBD_OPTION_MAGIC);
  put_be32(p + 8, option);
  put_be32(p + 12, len);
}

static void
put_string(struct handshake *h, const char *s)
{
  uint32_t len = strlen(s);

  put_be32(out_bytes(h, 4), len);
  memcpy(out_bytes(h, len), s, len);
}

static void
put_set_context(struct handshake *h)
{
  const char *name = h->wishes->export_name;

  put_option(h, NBD_OPT_SET_META_CONTEXT,
             4 + strlen(name) + 4 + 4 + strlen(CONTEXT_NAME));
  put_string(h, name);
  put_be32(out_bytes(h, 4), 1);  /* one query */
  put_string(h, CONTEXT_NAME);
}

static void
put_go(struct handshake *h)
{
  const char *name = h->wishes->export_name;

  put_option(h, NBD_OPT_GO, 4 + strlen(name) + 2);
  put_string(h, name);
  put_be16(out_bytes(h, 2), 0);  /* no information requests */
}

/* The option under way is answered: send the next one. */
static void
next_option(struct handshake *h)
{
  const struct handshake_wishes *wishes = h->wishes;

  switch (h->state) {
  case HANDSHAKE_GREETING:
    if (wishes->tls) {
      put_option(h, NBD_OPT_STARTTLS, 0);
      h->state = HANDSHAKE_STARTTLS;
      return;
    }
    /* fall through */
  case HANDSHAKE_TLS:
    if (wishes->structured || wishes->status) {
      put_option(h, NBD_OPT_STRUCTURED_REPLY, 0);
      h->state = HANDSHAKE_STRUCTURED;
      return;
    }
    break;
  case HANDSHAKE_STRUCTURED:
    if (wishes->status) {
      put_set_context(h);
      h->state = HANDSHAKE_CONTEXT;
      return;
    }
    break;
  default:
    break;
  }
  put_go(h);
  h->state = HANDSHAKE_GO;
}

void
handshake_init(struct handshake *h, const struct handshake_wishes *wishes)
{
  h->wishes = wishes;
  h->state = HANDSHAKE_GREETING;
  h->in_len = h->out_len = 0;
  h->structured = h->has_context = false;
  h->export_size = 0;
  h->error[0] = '\0';
  assert(strlen(wishes->export_name) <= EXPORT_NAME_MAX);
}

void
handshake_tls_is_up(struct handshake *h)
{
  assert(h->state == HANDSHAKE_TLS);
  next_option(h);
}

/* Returns the bytes taken, 0 for "not all there". */
static size_t
take_greeting(struct handshake *h)
{
  if (h->in_len < GREETING_SIZE)
    return 0;
  if (get_be64(h->in) != NBD_MAGIC || get_be64(h->in + 8) != NBD_OPTION_MAGIC) {
    give_up(h, "the greeting is not NBD's newstyle greeting");
    return 0;
  }
  uint16_t flags = get_be16(h->in + 16);
  if (!(flags & NBD_FIXED_NEWSTYLE)) {
    give_up(h, "the server does not speak fixed newstyle");
    return 0;
  }
  put_be32(out_bytes(h, 4), flags & (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
  next_option(h);
  return GREETING_SIZE;
}

static void
refused(struct handshake *h, const char *what, const struct option_reply *reply)
{
  int len = reply->len < 160 ? (int)reply->len : 160;

  give_up(h, "the server answered %s with type 0x%x %.*s", what, reply->type,
          len, (const char *)reply->data);
}

static void
answer_starttls(struct handshake *h, const struct option_reply *reply)
{
  if (reply->type != NBD_REP_ACK)
    refused(h, "STARTTLS", reply);
  else
    h->state = HANDSHAKE_TLS;
}

static void
answer_structured(struct handshake *h, const struct option_reply *reply)
{
  if (reply->type != NBD_REP_ACK) {
    refused(h, "STRUCTURED_REPLY", reply);
    return;
  }
  h->structured = true;
  next_option(h);
}

static void
answer_context(struct handshake *h, const struct option_reply *reply)
{
  if (reply->type == NBD_REP_META_CONTEXT && reply->len >= 4) {
    h->context = get_be32(reply->data);
    h->has_context = true;
  } else if (reply->type != NBD_REP_ACK) {
    refused(h, "SET_META_CONTEXT", reply);
  } else if (!h->has_context) {
    give_up(h, "the server has no " CONTEXT_NAME);
  } else {
    next_option(h);
  }
}

static void
answer_go(struct handshake *h, const struct option_reply *reply)
{
  if (reply->type == NBD_REP_INFO) {
    if (reply->len >= 12 && get_be16(reply->data) == NBD_INFO_EXPORT)
      h->export_size = get_be64(reply->data + 2);
  } else if (reply->type == NBD_REP_ACK) {
    h->state = HANDSHAKE_READY;
  } else {
    refused(h, "GO", reply);
  }
}

static void
answer(struct handshake *h, const struct option_reply *reply)
{
  switch (h->state) {
  case HANDSHAKE_STARTTLS:
    answer_starttls(h, reply);
    break;
  case HANDSHAKE_STRUCTURED:
    answer_structured(h, reply);
    break;
  case HANDSHAKE_CONTEXT:
    answer_context(h, reply);
    break;
  case HANDSHAKE_GO:
    answer_go(h, reply);
    break;
  default:
    give_up(h, "a reply to an option that was not sent");
  }
}

static size_t
take_option_reply(struct handshake *h)
{
  if (h->in_len < OPTION_REPLY_SIZE)
    return 0;
  struct option_reply reply = {
    .option = get_be32(h->in + 8),
    .type = get_be32(h->in + 12),
    .len = get_be32(h->in + 16),
    .data = h->in + OPTION_REPLY_SIZE,
  };
  if (get_be64(h->in) != NBD_OPTION_REPLY_MAGIC) {
    give_up(h, "an option reply with the wrong magic");
    return 0;
  }
  if (reply.len > sizeof h->in - OPTION_REPLY_SIZE) {
    give_up(h, "an option reply of %u bytes", reply.len);
    return 0;
  }
  if (h->in_len < OPTION_REPLY_SIZE + reply.len)
    return 0;
  answer(h, &reply);
  return OPTION_REPLY_SIZE + reply.len;
}

static bool
is_waiting_for_bytes(const struct handshake *h)
{
  return h->state != HANDSHAKE_TLS && h->state != HANDSHAKE_READY &&
    h->state != HANDSHAKE_FAILED;
}

enum handshake_state
handshake_advance(struct handshake *h)
{
  size_t taken;

  do {
    taken = h->state == HANDSHAKE_GREETING ? take_greeting(h)
                                           : take_option_reply(h);
    h->in_len -= taken;
    memmove(h->in, h->in + taken, h->in_len);
  } while (taken && is_waiting_for_bytes(h));

  if (!is_waiting_for_bytes(h) && h->state != HANDSHAKE_FAILED && h->in_len)
    give_up(h, "%zu stray bytes after the option's reply", h->in_len);
  return h->state;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake.c: the machine of the option haggling.  See handshake.h for its
 * use.  Called from the thread of the connection that owns the handshake.
 *
 * States, and what each takes from the client:
 *
 *   FLAGS    4 bytes of client flags, once               -> OPTION
 *   OPTION   16 bytes of option header                   -> PAYLOAD or DRAIN
 *   PAYLOAD  the option's payload, kept; then its handler
 *                          -> OPTION, LIST, EXPORT, TLS, READY or CLOSED
 *   DRAIN    the payload of an option refused by its header, thrown away;
 *            then the refusal                            -> OPTION
 *   LIST     nothing: the owner names the exports        -> OPTION
 *   EXPORT   nothing: the owner looks an export up       -> OPTION, READY
 *   TLS      nothing: the owner does the TLS handshake   -> OPTION
 *   READY    nothing: over, transmission                 final
 *   CLOSED   nothing: over                               final
 *
 * Which options exist and what their header must fulfil is the table options[].
 * Their handlers are in options.c, options_export.c and options_meta.c.
 *
 * Invariants:
 *  1. An option gets exactly one final reply (ACK or an error), after all of
 *     its payload has been taken; or the connection closes.
 *  2. What comes out depends on the bytes that came in, not on how they were
 *     cut into calls.
 *  3. Nothing that was negotiated before STARTTLS is known after it.
 *  4. Bytes behind STARTTLS that came in plain are never parsed: they close.
 *  5. ERR_TLS_REQD is only sent while TLS is down and the policy knows TLS.
 *  6. session.contexts is nonempty only with structured replies and with
 *     context_name set; any SET_META_CONTEXT empties it first.
 *  7. Memory: at most max_option + 1 bytes of payload, and beyond the first few
 *     no more than twice what has arrived; a context name; replies within
 *     out's bound, because no option is begun without room for its longest
 *     answer.
 *  8. Work: at most max_options options and max_drain drained bytes.
 */
#include "config.h"

#include "nbd/handshake/handshake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "nbd/handshake/options.h"

/* Smallest allocation for a payload. */
#define PAYLOAD_FIRST 128

static_assert(NBD_HANDSHAKE_OUT_MAX >= 2 * NBD_OPTION_ROOM,
              "an empty out has room for any answer");

/* ----------------------------------------------------------------- options */

enum option_data {
  DATA_KEEP,   /* the handler reads it */
  DATA_IGNORE, /* drained, whatever it is */
  DATA_NONE,   /* must be empty */
};

struct option {
  uint32_t code;
  enum option_data data;
  bool before_tls;  /* allowed in plain where TLS is required */
  bool in_shutdown; /* still works while the server stops */
  bool no_errors;   /* has no error reply: refusing it means to close */
  enum nbd_event (*handle)(struct nbd_handshake *hs, struct nbd_out *out);
};

/* clang-format off */
static const struct option options[] = {
  { .code = NBD_OPT_EXPORT_NAME, .data = DATA_KEEP, .no_errors = true,
    .handle = nbd_option_export_name },
  { .code = NBD_OPT_ABORT, .data = DATA_IGNORE, .before_tls = true,
    .in_shutdown = true, .handle = nbd_option_abort },
  { .code = NBD_OPT_LIST, .data = DATA_NONE, .handle = nbd_option_list },
  { .code = NBD_OPT_STARTTLS, .data = DATA_NONE, .before_tls = true,
    .handle = nbd_option_starttls },
  { .code = NBD_OPT_INFO, .data = DATA_KEEP, .handle = nbd_option_info_go },
  { .code = NBD_OPT_GO, .data = DATA_KEEP, .handle = nbd_option_info_go },
  { .code = NBD_OPT_STRUCTURED_REPLY, .data = DATA_NONE,
    .handle = nbd_option_structured },
  { .code = NBD_OPT_LIST_META_CONTEXT, .data = DATA_KEEP,
    .handle = nbd_option_meta },
  { .code = NBD_OPT_SET_META_CONTEXT, .data = DATA_KEEP,
    .handle = nbd_option_meta },
  { .code = NBD_OPT_EXTENDED_HEADERS, .data = DATA_NONE,
    .handle = nbd_option_extended },
};
/* clang-format on */

static const struct option *
find_option(uint32_t code)
{
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (options[i].code == code)
      return &options[i];
  return NULL;
}

/* What is wrong with an option as far as its header tells: 0 or an error. */
static uint32_t
refusal(const struct nbd_handshake *hs, const struct option *opt)
{
  bool tls_missing = hs->policy->tls == NBD_TLS_REQUIRE && !hs->tls;

  if (tls_missing && !(opt && opt->before_tls))
    return NBD_REP_ERR_TLS_REQD;
  if (hs->shutdown && !(opt && opt->in_shutdown))
    return NBD_REP_ERR_SHUTDOWN;
  if (!opt)
    return NBD_REP_ERR_UNSUP;
  if (opt->data == DATA_NONE && hs->option_len > 0)
    return NBD_REP_ERR_INVALID;
  if (opt->data == DATA_KEEP && hs->option_len > hs->policy->max_option)
    return NBD_REP_ERR_TOO_BIG;
  return 0;
}

static enum nbd_event
begin_drain(struct nbd_handshake *hs, uint32_t refused)
{
  if (hs->option_len > hs->policy->max_drain - hs->drained)
    return nbd_handshake_close(hs, NBD_CLOSE_TOO_MUCH);
  hs->drained += hs->option_len;
  hs->after_drain = refused;
  hs->state = NBD_HS_DRAIN;
  return NBD_EVENT_MORE;
}

/* OPTION is complete: hs->head is an option's header. */
static enum nbd_event
take_option(struct nbd_handshake *hs, struct nbd_out *out)
{
  (void)out;
  struct nbd_option_header h;
  memcpy(&h, hs->head, sizeof h);
  if (nbd_get64(h.magic) != NBD_OPTION_MAGIC)
    return nbd_handshake_close(hs, NBD_CLOSE_MAGIC);
  if (++hs->noptions > hs->policy->max_options)
    return nbd_handshake_close(hs, NBD_CLOSE_TOO_MANY);
  hs->option = nbd_get32(h.option);
  hs->option_len = nbd_get32(h.len);

  if (!(hs->client_flags & NBD_FLAG_C_FIXED_NEWSTYLE) &&
      hs->option != NBD_OPT_EXPORT_NAME)
    return nbd_handshake_close(hs, NBD_CLOSE_NOT_FIXED);
  if (hs->option == NBD_OPT_SET_META_CONTEXT)
    nbd_handshake_clear_contexts(hs);

  const struct option *opt = find_option(hs->option);
  uint32_t refused = refusal(hs, opt);
  if (refused && opt && opt->no_errors)
    return nbd_handshake_close(hs, NBD_CLOSE_EXPORT_NAME);
  if (refused || opt->data == DATA_IGNORE)
    return begin_drain(hs, refused);
  hs->state = NBD_HS_PAYLOAD;
  return NBD_EVENT_MORE;
}

/* ------------------------------------------------------- the other pieces */

static enum nbd_event
take_flags(struct nbd_handshake *hs, struct nbd_out *out)
{
  (void)out;
  const uint32_t offered = NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES;
  struct nbd_be32 wire;
  memcpy(&wire, hs->head, sizeof wire);
  uint32_t flags = nbd_get32(wire);

  if (flags & ~offered)
    return nbd_handshake_close(hs, NBD_CLOSE_FLAGS);
  hs->client_flags = (uint8_t)flags;
  hs->state = NBD_HS_OPTION;
  return NBD_EVENT_MORE;
}

static enum nbd_event
take_payload(struct nbd_handshake *hs, struct nbd_out *out)
{
  return find_option(hs->option)->handle(hs, out);
}

static enum nbd_event
take_drained(struct nbd_handshake *hs, struct nbd_out *out)
{
  if (hs->after_drain)
    return nbd_option_error(hs, out, hs->after_drain, NULL);
  return find_option(hs->option)->handle(hs, out);
}

/* Room for the first `need` bytes of the payload and a NUL. */
static bool
grow_payload(struct nbd_handshake *hs, uint32_t need)
{
  if (need < hs->payload_cap)
    return true;
  uint64_t cap = hs->payload_cap ? hs->payload_cap : PAYLOAD_FIRST;
  while (cap <= need)
    cap *= 2;
  if (cap > (uint64_t)hs->option_len + 1)
    cap = (uint64_t)hs->option_len + 1;
  unsigned char *p = realloc(hs->payload, cap);
  if (!p)
    return false;
  hs->payload = p;
  hs->payload_cap = (uint32_t)cap;
  return true;
}

/* ------------------------------------------------------------------ states */

enum keep {
  KEEP_NOTHING,
  KEEP_HEAD,
  KEEP_PAYLOAD,
};

struct state {
  uint32_t size; /* of the piece; 0: hs->option_len */
  enum keep keep;
  enum nbd_event (*take)(struct nbd_handshake *hs, struct nbd_out *out);
};

/* Of those that take something. */
static const struct state states[NBD_HS_STATES] = {
  [NBD_HS_FLAGS] = { .size = 4, .keep = KEEP_HEAD, .take = take_flags },
  [NBD_HS_OPTION] = { .size = sizeof(struct nbd_option_header),
                      .keep = KEEP_HEAD,
                      .take = take_option },
  [NBD_HS_PAYLOAD] = { .keep = KEEP_PAYLOAD, .take = take_payload },
  [NBD_HS_DRAIN] = { .keep = KEEP_NOTHING, .take = take_drained },
};

static bool
keep_bytes(struct nbd_handshake *hs, enum keep keep, const unsigned char *p,
           uint32_t n)
{
  if (keep == KEEP_PAYLOAD && !grow_payload(hs, hs->have + n))
    return false;
  /* n may be 0 (an empty payload), and p NULL then. */
  if (n > 0 && keep == KEEP_HEAD)
    memcpy(hs->head + hs->have, p, n);
  if (n > 0 && keep == KEEP_PAYLOAD)
    memcpy(hs->payload + hs->have, p, n);
  if (keep == KEEP_PAYLOAD)
    hs->payload[hs->have + n] = '\0';
  hs->have += n;
  return true;
}

/* Takes what it can of the piece at hand and, once that is complete, acts on
 * it.  MORE with *done=false: the piece is incomplete. */
static enum nbd_event
feed_piece(struct nbd_handshake *hs, const unsigned char *p, size_t n,
           size_t *used, struct nbd_out *out, bool *done)
{
  const struct state *st = &states[hs->state];
  uint32_t size = st->size ? st->size : hs->option_len;
  size_t left = n - *used;

  *done = false;
  if (left == 0 && hs->have < size)
    return NBD_EVENT_MORE;
  if (hs->state == NBD_HS_OPTION && hs->have == 0 &&
      !nbd_out_has_room(out, NBD_OPTION_ROOM))
    return NBD_EVENT_FLUSH;
  uint32_t n32 = size - hs->have;
  if (left < n32)
    n32 = (uint32_t)left;
  if (!keep_bytes(hs, st->keep, n32 ? p + *used : NULL, n32))
    return nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
  *used += n32;
  if (hs->have < size)
    return NBD_EVENT_MORE;
  hs->have = 0;
  *done = true;
  return st->take(hs, out);
}

enum nbd_event
nbd_handshake_feed(struct nbd_handshake *hs, const void *bytes, size_t n,
                   size_t *used, struct nbd_out *out)
{
  enum nbd_event event = NBD_EVENT_MORE;
  bool done = true;

  *used = 0;
  while (event == NBD_EVENT_MORE && done) {
    if (states[hs->state].take)
      event = feed_piece(hs, bytes, n, used, out, &done);
    else
      event = nbd_handshake_wait(hs, hs->state);
    if (out->failed)
      event = nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
  }
  if (hs->state == NBD_HS_TLS && *used < n)
    return nbd_handshake_close(hs, NBD_CLOSE_INJECTION);
  return event;
}

/* --------------------------------------------------------- the owner's part */

void
nbd_handshake_init(struct nbd_handshake *hs, const struct nbd_policy *policy,
                   bool is_tls)
{
  *hs = (struct nbd_handshake){
    .policy = policy,
    .tls = is_tls,
    .state = NBD_HS_FLAGS,
  };
}

enum nbd_event
nbd_handshake_start(struct nbd_handshake *hs, struct nbd_out *out)
{
  struct nbd_greeting g = {
    .magic = nbd_be64(NBD_MAGIC),
    .option_magic = nbd_be64(NBD_OPTION_MAGIC),
    .flags = nbd_be16(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES),
  };

  if (!nbd_out_put(out, &g, sizeof g))
    return nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
  return NBD_EVENT_MORE;
}

enum nbd_event
nbd_handshake_tls_up(struct nbd_handshake *hs)
{
  assert(hs->state == NBD_HS_TLS);
  nbd_handshake_clear_contexts(hs);
  hs->session = (struct nbd_session){ 0 };
  hs->tls = true;
  return nbd_handshake_next(hs);
}

void
nbd_handshake_shutdown(struct nbd_handshake *hs)
{
  hs->shutdown = true;
}

const char *
nbd_event_name(enum nbd_event event)
{
  static const char *const names[] = {
    [NBD_EVENT_MORE] = "MORE",         [NBD_EVENT_FLUSH] = "FLUSH",
    [NBD_EVENT_LIST] = "LIST",         [NBD_EVENT_EXPORT] = "EXPORT",
    [NBD_EVENT_STARTTLS] = "STARTTLS", [NBD_EVENT_READY] = "READY",
    [NBD_EVENT_CLOSE] = "CLOSE",
  };
  unsigned i = event;
  return i < sizeof names / sizeof *names ? names[i] : "unknown";
}

const char *
nbd_close_name(enum nbd_close reason)
{
  static const char *const names[] = {
    [NBD_CLOSE_NONE] = "open",
    [NBD_CLOSE_ABORT] = "the client left",
    [NBD_CLOSE_FLAGS] = "unknown client flags",
    [NBD_CLOSE_MAGIC] = "not the NBD protocol",
    [NBD_CLOSE_NOT_FIXED] = "an option without fixed newstyle",
    [NBD_CLOSE_EXPORT_NAME] = "EXPORT_NAME that cannot be served",
    [NBD_CLOSE_INJECTION] = "plain data behind STARTTLS",
    [NBD_CLOSE_TOO_MANY] = "too many options",
    [NBD_CLOSE_TOO_MUCH] = "too much useless option data",
    [NBD_CLOSE_NO_MEMORY] = "no memory for the handshake",
  };
  unsigned i = reason;
  return i < sizeof names / sizeof *names ? names[i] : "unknown";
}

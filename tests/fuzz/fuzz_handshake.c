/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_handshake.c: the NBD handshake against a client that may do anything.
 *
 * The input is a program: its first byte chooses the policy, then each byte
 * is an instruction that says a message, mostly valid, sometimes with a lie in
 * it, sometimes plain garbage; names and lengths come from the bytes that
 * follow.  The program is played twice, in whole messages and byte by byte,
 * and both must say the same.  What the server says is parsed: replies must be
 * well-formed, one final reply an option, TLS_REQD only where it may be. */
#include "config.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nbd/extents.h"
#include "nbd/handshake/handshake.h"
#include "nbd/protocol.h"
#include "nbd/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SAID ((size_t)1 << 20)

struct input {
  const uint8_t *p;
  size_t left;
};

struct bytes {
  unsigned char *p;
  size_t len, cap;
};

struct play {
  struct input in;
  struct nbd_handshake hs;
  struct nbd_out out;
  struct bytes said; /* by the server */
  enum nbd_event event;
  bool byte_by_byte;
  bool raw; /* the client left the grammar: options cannot be counted */
  unsigned options;
};

/* -------------------------------------------------------------- the input */

static uint8_t
take(struct input *in)
{
  if (in->left == 0)
    return 0;
  in->left--;
  return *in->p++;
}

static void
put(struct bytes *b, const void *p, size_t n)
{
  if (b->len + n > b->cap) {
    b->cap = (b->len + n) * 2;
    b->p = realloc(b->p, b->cap);
    assert(b->p);
  }
  if (n > 0)
    memcpy(b->p + b->len, p, n);
  b->len += n;
}

static void
put_number(struct bytes *b, uint64_t v, unsigned size)
{
  while (size-- > 0) {
    unsigned char c = (unsigned char)(v >> (8 * size));
    put(b, &c, 1);
  }
}

static uint64_t
get_number(const unsigned char *p, unsigned size)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < size; i++)
    v = v << 8 | p[i];
  return v;
}

/* A string with its length before it, which sometimes lies. */
static void
put_string(struct bytes *b, struct input *in, const char *const *known,
           unsigned nknown, bool with_len)
{
  uint8_t how = take(in);
  char text[4000 + 256];
  size_t len;

  if (how < 0xe0) {
    len = strlen(known[how % nknown]);
    memcpy(text, known[how % nknown], len);
  } else {
    len = how & 1 ? take(in) : 4000 + take(in);
    memset(text, take(in), len);
  }
  uint8_t lie = take(in);
  if (with_len)
    put_number(b, lie < 0xf8 ? len : lie < 0xfc ? len + lie - 0xf9
                                                : UINT32_MAX - lie, 4);
  put(b, text, len);
}

/* ------------------------------------------------------------- the client */

static const char *const names[] = {"", "disk", "flat", "ro", "secret",
                                    "coarse", "nope", "\xff"};
static const char *const queries[] = {
  "base:allocation", "base:", "qemu:allocation-depth", "qemu:",
  "x-vhdkit:depth", "x-vhdkit:", "x-other:thing", "nonsense", "",
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void
put_name(struct bytes *b, struct input *in, bool with_len)
{
  put_string(b, in, names, COUNT(names), with_len);
}

static void
put_option(struct bytes *b, struct input *in, uint32_t option,
           const struct bytes *payload)
{
  uint8_t lie = take(in);
  uint64_t len = payload->len;

  if (lie >= 0xf8)
    len += lie == 0xff ? UINT32_MAX - 100 : (uint64_t)lie - 0xfb;
  put_number(b, NBD_OPTION_MAGIC, 8);
  put_number(b, option, 4);
  put_number(b, len, 4);
  put(b, payload->p, payload->len);
}

static void
say_option(struct bytes *b, struct input *in, uint8_t what)
{
  struct bytes payload = {0};
  uint32_t option = 1 + what % 12; /* 12 is unknown */

  switch (option) {
  case NBD_OPT_EXPORT_NAME:
    put_name(&payload, in, false);
    break;
  case NBD_OPT_INFO:
  case NBD_OPT_GO:
    put_name(&payload, in, true);
    put_number(&payload, take(in) % 8, 2);
    for (unsigned n = take(in) % 8; n > 0; n--)
      put_number(&payload, take(in) % 6, 2);
    break;
  case NBD_OPT_LIST_META_CONTEXT:
  case NBD_OPT_SET_META_CONTEXT:
    put_name(&payload, in, true);
    put_number(&payload, take(in) % 5, 4);
    for (unsigned n = take(in) % 5; n > 0; n--)
      put_string(&payload, in, queries, COUNT(queries), true);
    break;
  default:
    for (unsigned n = take(in) % 4; n > 2; n--)
      put_number(&payload, take(in), 1);
  }
  put_option(b, in, option, &payload);
  free(payload.p);
}

/* ------------------------------------------------------ the server's owner */

static enum nbd_event
answer_export(struct play *p)
{
  struct nbd_export_info info = {
    .name = "disk", .description = "a\x1b description", .size = 1 << 20,
    .flags = 0xffff & ~NBD_FLAG_READ_ONLY,
  };
  const char *name = p->hs.want.name;

  assert(nbd_text_valid(name, strlen(name)));
  switch (*name) {
  case '\0':
  case 'd':
    break;
  case 'r':
    info.flags |= NBD_FLAG_READ_ONLY;
    break;
  case 's':
    info.tls_only = true;
    break;
  case 'c':
    info.min_block = info.preferred_block = 4096;
    info.max_payload = 65536;
    break;
  case 'b':
    return nbd_handshake_refuse(&p->hs, NBD_REP_ERR_POLICY, name, &p->out);
  default:
    return nbd_handshake_refuse(&p->hs, NBD_REP_ERR_UNKNOWN, NULL, &p->out);
  }
  return nbd_handshake_export(&p->hs, &info, &p->out);
}

/* Sends some of what the server has to say, as a slow network would. */
static void
hear(struct play *p)
{
  size_t n = (p->out.len + 1) / 2;

  assert(p->out.len <= NBD_HANDSHAKE_OUT_MAX && !p->out.failed);
  put(&p->said, p->out.data, n);
  nbd_out_consume(&p->out, n);
}

static enum nbd_event
answer_list(struct play *p)
{
  for (unsigned i = 0; i < COUNT(names); i++)
    while (!nbd_handshake_list_item(&p->hs, &p->out, names[i], queries[i]))
      hear(p);
  return nbd_handshake_list_end(&p->hs, &p->out);
}

static bool
is_over(const struct play *p)
{
  return p->event == NBD_EVENT_READY || p->event == NBD_EVENT_CLOSE;
}

static void
feed(struct play *p, const struct bytes *b)
{
  size_t done = 0, used;

  for (;;) {
    size_t n = b->len - done;
    if (p->byte_by_byte && n > 1)
      n = 1;
    /* A copy of its own, so that reading past it is seen. */
    unsigned char *copy = malloc(n ? n : 1);
    if (n > 0)
      memcpy(copy, b->p + done, n);
    p->event = nbd_handshake_feed(&p->hs, copy, n, &used, &p->out);
    free(copy);
    assert(used <= n);
    assert(p->hs.payload_cap <= NBD_DEFAULT_MAX_OPTION + 1);
    done += used;
    assert(p->event != NBD_EVENT_FLUSH || used < n);
    if (p->event == NBD_EVENT_FLUSH)
      hear(p);
    else if (p->event == NBD_EVENT_EXPORT)
      p->event = answer_export(p);
    else if (p->event == NBD_EVENT_LIST)
      p->event = answer_list(p);
    else if (n == 0)
      break;
    if (is_over(p))
      break;
  }
}

/* ------------------------------------------------------------- the play */

static void
play_instruction(struct play *p, uint8_t what)
{
  struct bytes b = {0};

  if (what < 0xc0) {
    say_option(&b, &p->in, what);
    p->options++;
  } else if (what < 0xd0) { /* two at once */
    say_option(&b, &p->in, what);
    say_option(&b, &p->in, take(&p->in));
    p->options += 2;
  } else if (what < 0xe0) { /* garbage */
    size_t n = take(&p->in) % 40;
    n = n < p->in.left ? n : p->in.left;
    put(&b, p->in.p, n);
    p->in.p += n;
    p->in.left -= n;
    p->raw = true;
  } else if (what < 0xe8) {
    nbd_handshake_shutdown(&p->hs);
  } else { /* again and again */
    struct bytes empty = {0};
    for (unsigned n = take(&p->in); n > 0; n--)
      put_option(&b, &(struct input){0}, what, &empty);
    p->raw = true;
  }
  feed(p, &b);
  free(b.p);
}

/* What holds whenever transmission begins. */
static void
check_session(const struct play *p)
{
  const struct nbd_session *s = &p->hs.session;

  assert(s->flags & NBD_FLAG_HAS_FLAGS);
  assert(s->structured || !s->extended);
  assert(s->structured || s->contexts == 0);
  assert(!(s->contexts & ~0x0eu));
  assert(!!(s->flags & NBD_FLAG_SEND_DF) == s->structured);
  assert(!(s->flags & NBD_FLAG_BLOCK_STATUS_PAYLOAD) ||
         (s->extended && s->contexts));
  assert(!(s->flags & NBD_FLAG_SEND_FAST_ZERO) ||
         (s->flags & NBD_FLAG_SEND_WRITE_ZEROES));
  assert(!(s->flags & NBD_FLAG_READ_ONLY) ||
         !(s->flags & (NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES)));
  assert(p->hs.policy->tls != NBD_TLS_REQUIRE || p->hs.tls);
}

/* The server's words make sense. */
static void
check_said(const struct play *p)
{
  const unsigned char *q = p->said.p + 18;
  size_t left = p->said.len - 18;
  unsigned finals = 0;

  assert(p->said.len >= 18 && get_number(p->said.p, 8) == NBD_MAGIC);
  while (left >= 20 && get_number(q, 8) == NBD_OPTION_REPLY_MAGIC) {
    uint32_t type = (uint32_t)get_number(q + 12, 4);
    size_t len = get_number(q + 16, 4);
    assert(strcmp(nbd_rep_name(type), "unknown") != 0);
    assert(len <= left - 20 && len <= 4 + 2 * NBD_MAX_STRING);
    if (type & NBD_REP_ERR)
      assert(len < NBD_TEXT_SIZE && nbd_text_valid(q + 20, len));
    if (type == NBD_REP_ERR_TLS_REQD)
      assert(p->hs.policy->tls != NBD_TLS_OFF);
    finals += type == NBD_REP_ACK || (type & NBD_REP_ERR);
    q += 20 + len;
    left -= 20 + len;
  }
  if (left > 0) { /* EXPORT_NAME's answer */
    assert(p->event == NBD_EVENT_READY && (left == 10 || left == 134));
    assert(get_number(q, 8) == p->hs.session.size);
    finals++;
  }
  /* Each option got one answer, but the last may have led to a close. */
  assert(p->raw || finals <= p->options);
}

static void
play(struct play *p, const struct nbd_policy *policy, const uint8_t *data,
     size_t size)
{
  static const unsigned char fixed[] = {0, 0, 0, 3};
  struct bytes flags = {.p = (unsigned char *)fixed, .len = sizeof fixed};
  struct input *in = &p->in;

  p->in = (struct input){data, size};
  p->out.max = NBD_HANDSHAKE_OUT_MAX;
  nbd_handshake_init(&p->hs, policy, take(in) == 0xff);
  p->event = nbd_handshake_start(&p->hs, &p->out);
  uint8_t unusual = take(in);
  if (unusual >= 0xf0) {
    flags = (struct bytes){0};
    put_number(&flags, unusual - 0xf0u, 4);
  }
  feed(p, &flags);
  if (unusual >= 0xf0)
    free(flags.p);
  while (in->left > 0 && !is_over(p) && p->said.len < MAX_SAID) {
    if (p->event == NBD_EVENT_STARTTLS && take(in) < 0xe0)
      p->event = nbd_handshake_tls_up(&p->hs);
    play_instruction(p, take(in));
  }
  while (p->out.len > 0)
    hear(p);
  if (p->event == NBD_EVENT_READY)
    check_session(p);
  check_said(p);
}

static void
end(struct play *p)
{
  nbd_handshake_free(&p->hs);
  nbd_out_free(&p->out);
  free(p->said.p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  struct nbd_policy policy = {
    .tls = data[0] % 3, .max_option = NBD_DEFAULT_MAX_OPTION,
    .max_options = 300, .max_drain = 60000,
  };
  struct play whole = {.byte_by_byte = false};
  struct play bytes = {.byte_by_byte = true};

  play(&whole, &policy, data + 1, size - 1);
  play(&bytes, &policy, data + 1, size - 1);
  assert(whole.event == bytes.event);
  assert(whole.hs.reason == bytes.hs.reason);
  assert(whole.said.len == bytes.said.len);
  assert(memcmp(whole.said.p, bytes.said.p, whole.said.len) == 0);
  assert(memcmp(&whole.hs.session, &bytes.hs.session,
                sizeof whole.hs.session) == 0);
  end(&whole);
  end(&bytes);
  return 0;
}

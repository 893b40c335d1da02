/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_transmission.c: NBD requests from a client that may do anything, and
 * the replies to them.
 *
 * The input's first bytes choose the session, then each message is built from
 * a few of them: any command, flags, offset and length, often near an edge.
 * What a request without objection promises is checked against the session
 * by other code than the parser's; then it is answered, with data, holes,
 * errors and extents as the input says, and the answer is decoded and must
 * obey the protocol. */
#include "config.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nbd/extents.h"
#include "nbd/protocol.h"
#include "nbd/reply.h"
#include "nbd/text.h"
#include "nbd/transmission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
  const uint8_t *p;
  size_t left;
};

static uint64_t
take(struct input *in, unsigned bytes)
{
  uint64_t v = 0;
  for (; bytes > 0; bytes--) {
    v = v << 8 | (in->left ? *in->p : 0);
    in->p += in->left ? 1 : 0;
    in->left -= in->left ? 1 : 0;
  }
  return v;
}

static void
put(uint8_t *p, uint64_t v, unsigned bytes)
{
  while (bytes-- > 0) {
    p[bytes] = (uint8_t)v;
    v >>= 8;
  }
}

static uint64_t
get(const uint8_t *p, unsigned bytes)
{
  return take(&(struct input){p, bytes}, bytes);
}

/* A number that is often at an edge of what is allowed. */
static uint64_t
take_edge(struct input *in, const struct nbd_session *s)
{
  const uint64_t edges[] = {0, 1, 512, 4096, s->size, s->max_payload,
                            UINT32_MAX, UINT64_MAX, s->size / 2,
                            UINT64_C(1) << 32, 0xffff0000};
  uint8_t how = (uint8_t)take(in, 1);

  if (how >= 0xc0)
    return take(in, 8);
  if (how >= 0x80)
    return take(in, 2);
  uint64_t edge = edges[how % (sizeof edges / sizeof *edges)];
  return edge + (how >= 0x40 ? take(in, 1) - 128 : 0);
}

static struct nbd_session
take_session(struct input *in)
{
  uint8_t how = (uint8_t)take(in, 1);
  struct nbd_session s = {
    .size = take(in, 1) % 2 ? take(in, 2) : take(in, 5),
    .min_block = 1u << (take(in, 1) % 4 ? 0 : 12),
    .max_payload = NBD_LEGAL_PAYLOAD,
    .structured = how & 3,
    .extended = (how & 3) == 3,
    .shutdown = how >= 0xf8,
  };

  s.flags = (uint16_t)(take(in, 2) & 0x0fff) | NBD_FLAG_HAS_FLAGS;
  s.flags &= (uint16_t)~NBD_FLAG_SEND_DF;
  s.contexts = s.structured ? take(in, 1) & 0x0e : 0;
  if (s.structured)
    s.flags |= NBD_FLAG_SEND_DF;
  if (s.extended && s.contexts)
    s.flags |= NBD_FLAG_BLOCK_STATUS_PAYLOAD;
  return s;
}

/* ----------------------------------------------------------- what comes out */

enum form { FORM_SIMPLE, FORM_STRUCTURED, FORM_EXTENDED };

struct chunk {
  enum form form;
  uint16_t flags, type;
  uint32_t error;
  uint64_t len; /* of the payload */
  const uint8_t *payload;
  size_t size; /* with its header */
};

static struct chunk
decode(const struct nbd_session *s, const struct nbd_request *req,
       const uint8_t *p, size_t n)
{
  struct chunk c = {0};
  uint32_t magic = (uint32_t)get(p, 4);
  size_t head = magic == 0x67446698 ? 16 : magic == 0x668e33ef ? 20 : 32;

  assert(n >= head && memcmp(p + 8, req->cookie, 8) == 0);
  if (head == 16) {
    assert(!s->extended);
    assert(!s->structured || req->type != NBD_CMD_READ);
    c.error = (uint32_t)get(p + 4, 4);
    c.size = head;
    return c;
  }
  assert(s->structured && s->extended == (head == 32));
  assert(head == 20 || (magic == 0x6e8a278c && get(p + 16, 8) == req->off));
  c.form = head == 32 ? FORM_EXTENDED : FORM_STRUCTURED;
  c.flags = (uint16_t)get(p + 4, 2);
  c.type = (uint16_t)get(p + 6, 2);
  c.len = head == 32 ? get(p + 24, 8) : get(p + 16, 4);
  c.payload = p + head;
  c.size = head + c.len;
  return c;
}

static void
check_error(const struct nbd_session *s, const struct nbd_request *req,
            uint32_t error, const char *text)
{
  uint8_t p[NBD_REPLY_ERROR_MAX];
  size_t n = nbd_reply_error(s, req, error, text, p);
  struct chunk c = decode(s, req, p, n);

  assert(n == c.size);
  if (c.form == FORM_SIMPLE) {
    assert(c.error == error);
    return;
  }
  assert(c.flags == NBD_REPLY_FLAG_DONE && c.type == NBD_REPLY_TYPE_ERROR);
  assert(get(c.payload, 4) == error && c.len == 6 + get(c.payload + 4, 2));
  assert(nbd_text_valid(c.payload + 6, c.len - 6));
}

/* The same, with a place. */
static void
check_error_at(const struct nbd_session *s, const struct nbd_request *req,
               uint32_t error, uint64_t off, const char *text)
{
  uint8_t p[NBD_REPLY_ERROR_MAX];
  size_t n = nbd_reply_error_at(s, req, error, off, text, true, p);
  struct chunk c = decode(s, req, p, n);

  assert(n == c.size);
  if (c.form == FORM_SIMPLE) {
    assert(c.error == error);
    return;
  }
  size_t text_len = get(c.payload + 4, 2);
  assert(c.type == NBD_REPLY_TYPE_ERROR_OFFSET);
  assert(get(c.payload, 4) == error && c.len == 14 + text_len);
  assert(nbd_text_valid(c.payload + 6, text_len));
  assert(get(c.payload + 6 + text_len, 8) == off);
}

static void
check_ok(const struct nbd_session *s, const struct nbd_request *req)
{
  uint8_t p[NBD_REPLY_MAX];
  size_t n = nbd_reply_ok(s, req, p);
  struct chunk c = decode(s, req, p, n);

  assert(n == c.size && c.error == 0 && c.len == 0);
  assert(c.form == FORM_SIMPLE ||
         (c.flags == NBD_REPLY_FLAG_DONE && c.type == NBD_REPLY_TYPE_NONE));
}

/* A READ in pieces, as the input says. */
static void
answer_read(const struct nbd_session *s, const struct nbd_request *req,
            struct input *in)
{
  uint8_t p[NBD_REPLY_MAX];
  uint64_t off = req->off, end = off + req->len;

  if (req->len == 0) {
    check_ok(s, req);
    return;
  }
  while (off < end) {
    uint64_t len = end - off;
    bool split = nbd_reply_may_split(s, req) && in->left > 0;
    if (split)
      len = 1 + take(in, 3) % len;
    bool hole = split && take(in, 1) % 2, done = off + len == end;
    size_t n = hole ? nbd_reply_hole(s, req, off, (uint32_t)len, done, p)
                    : nbd_reply_data(s, req, off, (uint32_t)len, done, p);
    struct chunk c = decode(s, req, p, n);
    if (c.form == FORM_SIMPLE) {
      assert(c.error == 0 && n == 16 && len == req->len);
    } else {
      assert(get(c.payload, 8) == off && c.flags == done);
      assert(c.type == (hole ? 2 : 1));
      assert(c.len == (hole ? 12 : 8 + len));
      assert(n == c.size - (hole ? 0 : len));
      assert(!hole || get(c.payload + 8, 4) == len);
    }
    off += len;
  }
}

static void
check_extents(const struct nbd_session *s, const struct nbd_request *req,
              const struct chunk *c, unsigned id)
{
  unsigned half = s->extended ? 8 : 4;
  const uint8_t *e = c->payload + half;
  uint64_t sum = 0, last = 0, n = (c->len - half) / (2 * half);

  assert(c->type == (s->extended ? 6 : 5) && get(c->payload, 4) == id);
  assert(n > 0 && c->len == half + n * 2 * half);
  assert(!s->extended || get(c->payload + 4, 4) == n);
  for (uint64_t i = 0; i < n; i++, e += 2 * half) {
    last = get(e, half);
    assert(last > 0);
    assert(i == 0 || get(e + half, half) != get(e - half, half));
    sum += last;
  }
  assert(sum - last < req->len && req->off + sum <= s->size);
  if (req->flags & NBD_CMD_FLAG_REQ_ONE)
    assert(n == 1 && sum <= req->len);
}

static void
answer_status(const struct nbd_session *s, const struct nbd_request *req,
              struct input *in)
{
  uint8_t buf[NBD_NCONTEXTS][NBD_STATUS_SIZE(9)];
  struct nbd_status st[NBD_NCONTEXTS];
  size_t room = NBD_STATUS_SIZE(1 + take(in, 1) % 9);
  unsigned n = 0, id;
  bool more;

  assert(req->contexts && !(req->contexts & ~s->contexts));
  for (id = 1; id <= NBD_NCONTEXTS; id++)
    if (req->contexts & NBD_CONTEXT_BIT(id))
      nbd_status_begin(&st[n], s, req, id, buf[n], room), n++;
  do {
    uint64_t len = 1 + (take(in, 1) % 2 ? take(in, 5) : take(in, 1));
    uint8_t kind = (uint8_t)take(in, 1);
    more = false;
    for (unsigned i = 0; i < n; i++)
      more |= nbd_status_add(&st[i], len,
                             nbd_context_flags(st[i].id, kind & 1, kind & 2,
                                               kind >> 6));
  } while (more && in->left > 0);
  for (unsigned i = 0; i < n; i++) {
    size_t size = nbd_status_end(&st[i], i + 1 == n);
    struct chunk c = decode(s, req, buf[i], size);
    assert(size == c.size && size <= room && c.flags == (i + 1 == n));
    check_extents(s, req, &c, st[i].id);
  }
}

/* ------------------------------------------------------------ what goes in */

/* What the owner relies on when there is no verdict. */
static void
check_promises(const struct nbd_session *s, const struct nbd_request *req)
{
  static const uint16_t known[] = {
    [NBD_CMD_READ] = NBD_CMD_FLAG_DF, [NBD_CMD_WRITE] = 0,
    [NBD_CMD_FLUSH] = 0, [NBD_CMD_TRIM] = 0, [NBD_CMD_CACHE] = 0,
    [NBD_CMD_WRITE_ZEROES] = NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
    [NBD_CMD_BLOCK_STATUS] = NBD_CMD_FLAG_REQ_ONE |
                             NBD_CMD_FLAG_PAYLOAD_LEN,
  };
  bool writes = req->type == NBD_CMD_WRITE || req->type == NBD_CMD_TRIM ||
                req->type == NBD_CMD_WRITE_ZEROES;
  uint16_t flags = NBD_CMD_FLAG_FUA | (s->extended && req->type == 1 ? 32 : 0);

  assert(!s->shutdown && req->text == NULL);
  assert(req->type <= NBD_CMD_BLOCK_STATUS && req->type != NBD_CMD_DISC);
  assert(!(req->flags & ~(known[req->type] | flags)));
  assert(!(req->flags & NBD_CMD_FLAG_FUA) || (s->flags & NBD_FLAG_SEND_FUA));
  assert(!writes || !(s->flags & NBD_FLAG_READ_ONLY));
  if (req->type == NBD_CMD_FLUSH) {
    assert(req->len == 0);
    return;
  }
  assert(req->len <= s->size && req->off <= s->size - req->len);
  assert(req->off % s->min_block == 0 && req->len % s->min_block == 0);
  if (req->type == NBD_CMD_READ || req->type == NBD_CMD_WRITE)
    assert(req->len <= s->max_payload);
  assert(req->payload_len == (req->type == NBD_CMD_WRITE ? req->len : 0) ||
         req->type == NBD_CMD_BLOCK_STATUS);
}

static void
answer(const struct nbd_session *s, const struct nbd_request *req,
       struct input *in)
{
  if (req->verdict) {
    assert(strcmp(nbd_error_name(req->verdict), "unknown") != 0);
    assert(req->text && *req->text);
    check_error(s, req, req->verdict, req->text);
    return;
  }
  check_promises(s, req);
  uint8_t fail = (uint8_t)take(in, 1);
  const char *text =
    (const char *[]){NULL, "why", "\xff\xc3\x1b"}[fail % 3];
  if (fail >= 0xf0) {
    uint32_t error = nbd_error_from_errno(req, (int)take(in, 1));
    assert(error != NBD_ENOTSUP || (req->flags & NBD_CMD_FLAG_FAST_ZERO));
    assert(error != NBD_EOVERFLOW || req->type == NBD_CMD_READ);
    check_error(s, req, error, text);
  } else if (fail >= 0xe0)
    check_error_at(s, req, NBD_EIO, req->off, text);
  else if (req->type == NBD_CMD_READ)
    answer_read(s, req, in);
  else if (req->type == NBD_CMD_BLOCK_STATUS)
    answer_status(s, req, in);
  else
    check_ok(s, req);
}

/* A BLOCK_STATUS with a payload. */
static void
complete_status(const struct nbd_session *s, struct nbd_request *req,
                struct input *in)
{
  assert(req->payload_len <= NBD_STATUS_PAYLOAD_MAX);
  uint8_t *payload = malloc(req->payload_len);
  put(payload, take_edge(in, s), 8);
  for (uint32_t i = 8; i < req->payload_len; i += 4)
    put(payload + i, take(in, 1) % 6, 4);
  nbd_parse_status_payload(s, payload, req);
  free(payload);
}

/* Mostly one flag, or none; the payload's besides, as most writes have it. */
static uint64_t
take_flags(struct input *in)
{
  uint8_t how = (uint8_t)take(in, 1);
  unsigned payload = how & 1 ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;

  if (how >= 0xf0)
    return take(in, 2);
  return payload | (how >= 0x80 ? 1u << (how >> 1) % 6 : 0);
}

/* How much follows the header h, from h alone and whatever the verdict; more
 * than is legal closes where 64 bits could announce it. */
static bool
check_payload(const struct nbd_session *s, const uint8_t *h, int used,
              uint32_t payload_len)
{
  uint64_t len = get(h + 24, s->extended ? 8 : 4);
  bool write = h[6] == 0 && h[7] == NBD_CMD_WRITE;
  bool disc = h[6] == 0 && h[7] == NBD_CMD_DISC;
  bool carries = write || (s->extended && (h[5] & 32) && !disc);

  if (used == NBD_REQUEST_OVERSIZED) {
    assert(s->extended && carries && len > s->max_payload);
    return false;
  }
  assert(payload_len == (carries ? len : 0));
  assert(!s->extended || payload_len <= s->max_payload);
  return true;
}

/* One message; false where the connection would be closed. */
static bool
play_message(const struct nbd_session *s, struct input *in)
{
  uint8_t h[32], how = (uint8_t)take(in, 1);
  size_t size = s->extended ? 32 : 28;
  struct nbd_request req;

  put(h, s->extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC, 4);
  if (how >= 0xfc)
    h[how % 4] ^= (uint8_t)take(in, 1);
  put(h + 4, take_flags(in), 2);
  put(h + 6, how >= 0xf8 ? take(in, 2) : how % 10, 2);
  put(h + 8, take(in, 1), 8);
  put(h + 16, take_edge(in, s), 8);
  bool ids = h[7] == NBD_CMD_BLOCK_STATUS && (h[5] & 32);
  put(h + 24, ids ? 8 + 4 * (take(in, 1) % 5) : take_edge(in, s),
      s->extended ? 8 : 4);

  for (size_t i = 0; i < size; i++) {
    uint8_t *part = malloc(i ? i : 1);
    memcpy(part, h, i);
    int r = nbd_parse_request(s, part, i, &req);
    free(part);
    assert(r == 0 || (r == NBD_REQUEST_BAD_MAGIC && i >= 4));
  }
  int used = nbd_parse_request(s, h, size, &req);
  if (used == NBD_REQUEST_BAD_MAGIC ||
      !check_payload(s, h, used, req.payload_len))
    return false;
  assert((size_t)used == size && memcmp(req.cookie, h + 8, 8) == 0);
  if (req.type == NBD_CMD_DISC) {
    assert(req.verdict == 0 && req.payload_len == 0);
    return false;
  }
  if (req.type == NBD_CMD_BLOCK_STATUS && req.payload_len && !req.verdict)
    complete_status(s, &req, in);
  answer(s, &req, in);
  return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input in = {data, size};
  struct nbd_session s = take_session(&in);

  while (in.left > 0 && play_message(&s, &in))
    ;
  return 0;
}

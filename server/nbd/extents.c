/* SPDX-License-Identifier: BSD-2-Clause */
/* extents.c: block status chunks.  See extents.h.  Pure; any thread.
 *
 * The extent being merged is held back in .len and .flags until one that
 * differs follows, so at any time .count + (.len > 0) extents are in hand, and
 *  1. .written + .len <= .asked, so nothing past the export's end, nor with
 *     REQ_ONE past the request's, is reported;
 *  2. .written < req->len, so all but the last add up to less than asked;
 *  3. .full is set as soon as the held extent is known to be the last. */
#include "config.h"

#include "nbd/extents.h"

#include <assert.h>

/* The longest extent of the compact form: below 2^32, and a multiple of any
 * minimum block. */
#define COMPACT_MAX UINT64_C(0xffff0000)

static const char *const context_names[] = {
  [NBD_CONTEXT_ALLOCATION] = "base:allocation",
  [NBD_CONTEXT_QEMU_DEPTH] = "qemu:allocation-depth",
  [NBD_CONTEXT_DEPTH] = "x-vhdkit:depth",
};

static_assert(sizeof context_names / sizeof *context_names ==
                NBD_NCONTEXTS + 1,
              "every context has a name");

const char *
nbd_context_name(uint32_t id)
{
  return id >= 1 && id <= NBD_NCONTEXTS ? context_names[id] : "unknown";
}

uint32_t
nbd_context_flags(enum nbd_context id, bool hole, bool zero, uint16_t depth)
{
  switch (id) {
  case NBD_CONTEXT_ALLOCATION:
    return (hole ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0) |
           (zero ? NBD_STATE_ZERO : 0);
  case NBD_CONTEXT_QEMU_DEPTH:
    return hole ? 0 : (uint32_t)depth + 1;
  case NBD_CONTEXT_DEPTH:
    return (uint32_t)depth | (hole ? NBD_DEPTH_HOLE | NBD_DEPTH_ZERO : 0) |
           (zero ? NBD_DEPTH_ZERO : 0);
  }
  return 0;
}

static size_t
extent_size(const struct nbd_session *s)
{
  return s->extended ? sizeof(struct nbd_extent64)
                     : sizeof(struct nbd_extent32);
}

/* Chunk header, context id and, in the extended form, the count. */
static size_t
head_size(const struct nbd_session *s)
{
  return s->extended ? sizeof(struct nbd_extended_reply) + 8
                     : sizeof(struct nbd_structured_reply) + 4;
}

void
nbd_status_begin(struct nbd_status *st, const struct nbd_session *s,
                 const struct nbd_request *req, enum nbd_context id, void *buf,
                 size_t cap)
{
  bool one = req->flags & NBD_CMD_FLAG_REQ_ONE;

  assert(cap >= NBD_STATUS_SIZE(1) && s->structured);
  size_t fit = (cap - head_size(s)) / extent_size(s);
  *st = (struct nbd_status){
    .session = s,
    .req = req,
    .buf = buf,
    .id = id,
    .asked = one ? req->len : s->size - req->off,
    .max = one                     ? 1
           : fit < NBD_MAX_EXTENTS ? (uint32_t)fit
                                   : NBD_MAX_EXTENTS,
  };
}

static void
write_extent(struct nbd_status *st)
{
  unsigned char *p = st->buf + head_size(st->session) +
                     (size_t)st->count * extent_size(st->session);

  if (st->session->extended) {
    struct nbd_extent64 e = { nbd_be64(st->len), nbd_be64(st->flags) };
    memcpy(p, &e, sizeof e);
  } else {
    struct nbd_extent32 e = { nbd_be32((uint32_t)st->len),
                              nbd_be32(st->flags) };
    memcpy(p, &e, sizeof e);
  }
  st->count++;
  st->written += st->len;
  st->len = 0;
}

bool
nbd_status_add(struct nbd_status *st, uint64_t len, uint32_t flags)
{
  if (st->full || len == 0)
    return !st->full;
  if (st->len > 0 && flags != st->flags) {
    if (st->count + 1 == st->max) {
      st->full = true;
      return false;
    }
    write_extent(st);
  }
  st->flags = flags;

  uint64_t room = st->asked - st->written - st->len;
  if (!st->session->extended && COMPACT_MAX - st->len < room)
    room = COMPACT_MAX - st->len;
  st->len += len < room ? len : room;
  if (len >= room || st->written + st->len >= st->req->len)
    st->full = true;
  return !st->full;
}

size_t
nbd_status_end(struct nbd_status *st, bool done)
{
  struct nbd_be32 id = nbd_be32(st->id);

  if (st->len > 0)
    write_extent(st);
  if (st->count == 0)
    return 0;
  size_t head = head_size(st->session);
  size_t all = head + (size_t)st->count * extent_size(st->session);
  bool extended = st->session->extended;
  size_t fixed = extended ? sizeof(struct nbd_extended_reply)
                          : sizeof(struct nbd_structured_reply);

  nbd_put_chunk(st->session, st->buf, st->req, done ? NBD_REPLY_FLAG_DONE : 0,
                extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT
                         : NBD_REPLY_TYPE_BLOCK_STATUS,
                (uint32_t)(all - fixed));
  memcpy(st->buf + fixed, &id, sizeof id);
  if (extended) {
    struct nbd_be32 count = nbd_be32(st->count);
    memcpy(st->buf + fixed + sizeof id, &count, sizeof count);
  }
  return all;
}

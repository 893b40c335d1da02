/* SPDX-License-Identifier: BSD-2-Clause */
/* client_serve.c: see client.h: commands and the replies to them. */
#include "config.h"

#include <string.h>

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "nbd/protocol.h"

#define LONGEST_TEXT 4096

static bool
changes(uint16_t type)
{
  return type == NBD_CMD_WRITE || type == NBD_CMD_TRIM ||
         type == NBD_CMD_WRITE_ZEROES;
}

/* -------------------------------------------------------- what is asked for */

static bool
flags_are_good(const struct client *c, const struct command *m)
{
  unsigned good = NBD_CMD_FLAG_FUA;

  switch (m->type) {
  case NBD_CMD_READ:
    good |= c->structured ? NBD_CMD_FLAG_DF : 0;
    break;
  case NBD_CMD_WRITE:
    good |= c->extended ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
    break;
  case NBD_CMD_WRITE_ZEROES:
    good |= NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
    break;
  case NBD_CMD_BLOCK_STATUS:
    good |= NBD_CMD_FLAG_REQ_ONE;
    good |= c->extended ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
    break;
  default:
    break;
  }
  return !(m->flags & ~good);
}

/* Whether the server has no reason to refuse it; the form and the payload are
 * the caller's business. */
static bool
is_acceptable(const struct client *c, const struct command *m)
{
  const struct house_disk *disk = house_disk(c->export);

  if (c->stopped || m->type > NBD_CMD_BLOCK_STATUS || !flags_are_good(c, m))
    return false;
  if (m->type == NBD_CMD_FLUSH)
    return true;
  if (m->off > disk->size || m->len > disk->size - m->off)
    return false;
  if (m->type == NBD_CMD_BLOCK_STATUS)
    return m->len > 0 && m->contexts != 0;
  return !changes(m->type) || !disk->readonly;
}

static bool
overlap(const struct command *a, const struct command *b)
{
  return a->off < b->off + b->len && b->off < a->off + a->len;
}

/* The command is not alone, nor are others, where their ranges overlap and one
 * of them changes something. */
static void
find_company(const struct client *c, struct command *m)
{
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *other = &clients[i];
    if (other->link.fd < 0 || other->phase != CLIENT_SERVING ||
        other->export != c->export)
      continue;
    for (unsigned j = 0; j < CLIENT_COMMANDS; j++) {
      struct command *o = &other->commands[j];
      if (o->used && o != m && o->hope != HOPE_ERROR && overlap(o, m) &&
          (changes(o->type) || changes(m->type)))
        o->alone = m->alone = false;
    }
  }
}

struct command *
client_note_command(struct client *c, const struct command *command,
                    bool sound)
{
  struct command *m = c->commands;

  while (m->used)
    m++;
  FUZZ_ASSERT(m < c->commands + CLIENT_COMMANDS);
  *m = *command;
  m->cookie = ++c->cookie << 8 | (uint64_t)(m - c->commands);
  m->used = m->alone = true;
  c->ncommands++;
  if (c->phase != CLIENT_SERVING) {
    /* Behind an option that has not been answered yet. */
    m->alone = false;
    m->hope = HOPE_NONE;
    house_forget();
    return m;
  }
  m->hope = sound && is_acceptable(c, m) ? HOPE_SUCCESS : HOPE_ERROR;
  if (m->hope == HOPE_ERROR || m->type == NBD_CMD_FLUSH)
    return m;
  find_company(c, m);
  if (changes(m->type))
    memset(house_disk(c->export)->known + m->off, false, m->len);
  return m;
}

void
client_fill(const struct command *m, uint8_t *p)
{
  uint8_t part[64] = {0};

  for (uint64_t at = 0; at < m->len; at += sizeof part) {
    /* Other bytes for each sector. */
    for (size_t i = 0; m->seed != 0 && at % 512 == 0 && i < sizeof part; i++)
      part[i] = (uint8_t)(m->seed + i + at / 512 * 5);
    memcpy(p + at, part,
           m->len - at < sizeof part ? (size_t)(m->len - at) : sizeof part);
  }
}

/* ---------------------------------------------------------- what is replied */

/* A command has been carried out well. */
static void
apply(const struct client *c, const struct command *m)
{
  const struct house_disk *disk = house_disk(c->export);

  if (!m->alone || house_forgot())
    return;
  /* After a TRIM anything may be there. */
  if (m->type != NBD_CMD_WRITE && m->type != NBD_CMD_WRITE_ZEROES)
    return;
  memset(disk->known + m->off, true, m->len);
  if (m->type == NBD_CMD_WRITE)
    client_fill(m, disk->data + m->off);
  else
    memset(disk->data + m->off, 0, m->len);
}

/* The last chunk, or the only reply. */
static void
finish(struct client *c, struct command *m, uint32_t error)
{
  if (!c->wild && !c->half && m->hope == HOPE_SUCCESS)
    FUZZ_ASSERT(error == 0 || (error == NBD_ENOTSUP &&
                               (m->flags & NBD_CMD_FLAG_FAST_ZERO)));
  FUZZ_ASSERT(c->wild || m->hope != HOPE_ERROR || error != 0);
  if (error == 0 && !c->wild) {
    FUZZ_ASSERT(m->type != NBD_CMD_READ || m->got == m->len);
    FUZZ_ASSERT(m->type != NBD_CMD_BLOCK_STATUS || m->contexts == 0 ||
                m->hope == HOPE_NONE);
    apply(c, m);
  }
  m->used = false;
  c->ncommands--;
}

/* Bytes that were read; p NULL: zeros. */
static void
check_data(struct client *c, struct command *m, const uint8_t *p, uint64_t off,
           uint64_t len)
{
  const struct house_disk *disk = house_disk(c->export);

  if (c->wild)
    return;
  /* In order and in one piece: so this server does it. */
  FUZZ_ASSERT(m->type == NBD_CMD_READ && len > 0);
  FUZZ_ASSERT(off == m->off + m->got && len <= m->len - m->got);
  FUZZ_ASSERT(!(m->flags & NBD_CMD_FLAG_DF) || len == m->len);
  m->got += len;
  FUZZ_ASSERT(!m->alone || house_forgot() || house_agrees(disk, off, p, len));
}

static void
check_zero(const struct client *c, const struct command *m, uint64_t off,
           uint64_t len)
{
  const struct house_disk *disk = house_disk(c->export);

  if (len > m->off + m->len - off)
    len = m->off + m->len - off;
  FUZZ_ASSERT(!m->alone || house_forgot() ||
              house_agrees(disk, off, NULL, len));
}

/* The payload of a status chunk. */
static void
check_extents(struct client *c, struct command *m, const uint8_t *p, size_t n)
{
  const unsigned half = c->extended ? 8 : 4;
  uint64_t off = m->off, last = 0, id;

  FUZZ_ASSERT(n >= 3 * half && (n - half) % (2 * half) == 0);
  if (c->wild)
    return;
  id = get(p, 4);
  FUZZ_ASSERT(id < 8 && (m->hope == HOPE_NONE || (m->contexts & 1 << id)));
  m->contexts &= (uint8_t)~(1 << id);
  FUZZ_ASSERT(!c->extended || get(p + 4, 4) == (n - half) / (2 * half));
  for (size_t i = half; i < n; i += 2 * half) {
    /* Only the last may reach past the range. */
    FUZZ_ASSERT(off < m->off + m->len);
    last = get(p + i, half);
    FUZZ_ASSERT(last > 0);
    if (id == 1 && (get(p + i + half, half) & NBD_STATE_ZERO))
      check_zero(c, m, off, last);
    off += last;
  }
  FUZZ_ASSERT(off <= house_disk(c->export)->size);
  if (m->flags & NBD_CMD_FLAG_REQ_ONE)
    FUZZ_ASSERT(n == 3 * half && last <= m->len);
}

static struct command *
find(struct client *c, uint64_t cookie)
{
  const unsigned i = cookie & 0xff;

  if (i < CLIENT_COMMANDS && c->commands[i].used &&
      c->commands[i].cookie == cookie)
    return &c->commands[i];
  FUZZ_ASSERT(c->wild); /* an answer to nothing */
  return NULL;
}

static size_t
take_simple(struct client *c, const uint8_t *p, size_t n)
{
  const uint32_t error = (uint32_t)get(p + 4, 4);
  struct command *m = find(c, get(p + 8, 8));

  FUZZ_ASSERT(!c->extended);
  if (!m)
    return 16;
  FUZZ_ASSERT(c->wild || !c->structured || m->type != NBD_CMD_READ);
  size_t size = 16;
  if (m->type == NBD_CMD_READ && error == 0 && m->len > 0) {
    size += m->len;
    if (n < size)
      return 0;
    check_data(c, m, p + 16, m->off, m->len);
  }
  finish(c, m, error);
  return size;
}

struct chunk {
  uint16_t flags, type;
  uint64_t len;
  const uint8_t *payload;
};

static void
take_error(struct client *c, struct command *m, const struct chunk *k)
{
  const bool at = k->type == NBD_REPLY_TYPE_ERROR_OFFSET;

  FUZZ_ASSERT(k->len >= 6 && (k->flags & NBD_REPLY_FLAG_DONE));
  const uint32_t error = (uint32_t)get(k->payload, 4);
  const uint64_t len = get(k->payload + 4, 2);
  FUZZ_ASSERT(error != 0 && k->len == 6 + len + (at ? 8 : 0));
  for (uint64_t i = 0; i < len; i++)
    FUZZ_ASSERT(k->payload[6 + i] >= ' ' && k->payload[6 + i] != 0x7f);
  if (m)
    finish(c, m, error);
}

/* A chunk that is there as a whole; m: NULL if it is a wild one's. */
static void
act(struct client *c, struct command *m, const struct chunk *k)
{
  const bool done = k->flags & NBD_REPLY_FLAG_DONE;
  const uint8_t *p = k->payload;

  FUZZ_ASSERT(!(k->flags & ~NBD_REPLY_FLAG_DONE));
  switch (k->type) {
  case NBD_REPLY_TYPE_NONE:
    FUZZ_ASSERT(k->len == 0 && done);
    break;
  case NBD_REPLY_TYPE_OFFSET_DATA:
    FUZZ_ASSERT(k->len > 8);
    if (m)
      check_data(c, m, p + 8, get(p, 8), k->len - 8);
    break;
  case NBD_REPLY_TYPE_OFFSET_HOLE:
    FUZZ_ASSERT(k->len == 12);
    if (m)
      check_data(c, m, NULL, get(p, 8), get(p + 8, 4));
    break;
  case NBD_REPLY_TYPE_BLOCK_STATUS:
  case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
    FUZZ_ASSERT(c->extended == (k->type == NBD_REPLY_TYPE_BLOCK_STATUS_EXT));
    FUZZ_ASSERT(!m || c->wild || m->type == NBD_CMD_BLOCK_STATUS);
    if (m)
      check_extents(c, m, p, k->len);
    break;
  case NBD_REPLY_TYPE_ERROR:
  case NBD_REPLY_TYPE_ERROR_OFFSET:
    take_error(c, m, k);
    return;
  default:
    FUZZ_ASSERT(!"a chunk of a type that is known");
  }
  if (m && done)
    finish(c, m, 0);
}

/* No chunk is longer than its command allows. */
static uint64_t
longest(const struct client *c, const struct command *m)
{
  if (!m || c->wild)
    return NBD_LEGAL_PAYLOAD + 8;
  if (m->type == NBD_CMD_READ && m->hope != HOPE_ERROR)
    return m->len + 8 > LONGEST_TEXT ? m->len + 8 : LONGEST_TEXT;
  return m->type == NBD_CMD_BLOCK_STATUS ? 128 << 10 : LONGEST_TEXT;
}

size_t
client_take_chunk(struct client *c, const uint8_t *p, size_t n)
{
  const size_t head = c->extended ? 32 : 20;

  if (n < 16)
    return 0;
  if (get(p, 4) == NBD_SIMPLE_REPLY_MAGIC)
    return take_simple(c, p, n);
  FUZZ_ASSERT(c->structured &&
              get(p, 4) == (c->extended ? NBD_EXTENDED_REPLY_MAGIC
                                        : NBD_STRUCTURED_REPLY_MAGIC));
  if (n < head)
    return 0;
  struct command *m = find(c, get(p + 8, 8));
  const struct chunk k = {
    .flags = (uint16_t)get(p + 4, 2),
    .type = (uint16_t)get(p + 6, 2),
    .len = c->extended ? get(p + 24, 8) : get(p + 16, 4),
    .payload = p + head,
  };
  FUZZ_ASSERT(k.len <= longest(c, m));
  if (c->extended && m && !c->wild)
    FUZZ_ASSERT(get(p + 16, 8) == m->off);
  if (n < head + k.len)
    return 0;
  act(c, m, &k);
  return head + k.len;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* say_command.c: see say.h: commands. */
#include "config.h"

#include <string.h>

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/say.h"
#include "nbd/protocol.h"
#include "nbd/session.h"

/* No more than that is really sent of one command's data. */
#define PAYLOAD_MAX (160U << 10)

enum fault {
  FAULT_NONE,
  FAULT_MAGIC,
  FAULT_TYPE,
  FAULT_FLAGS,
  FAULT_CUT_HEADER,  /* and nothing follows */
  FAULT_CUT_PAYLOAD,
  FAULT_GAP_HEADER,  /* something else follows */
  FAULT_GAP_PAYLOAD,
  FAULT_PAYLOAD, /* extended: a payload for what has none; a write's without
                  * its flag, which is no fault */
  NFAULTS,
};

/* A command under construction. */
struct draft {
  struct command command;
  enum fault fault;
  uint8_t detail;
  bool sound;      /* as far as only we know */
  uint64_t length; /* as the header has it */
  uint64_t payload;
  size_t head;     /* bytes of the header in bytes[] */
  uint8_t bytes[32 + PAYLOAD_MAX];
};

/* -------------------------------------------------------------- its numbers */

static uint64_t
take_off(struct fuzz_input *in, uint64_t size)
{
  const uint64_t edges[] = {0, 1, 65535, 65536, 131072 - 512, size, size - 1,
                            size - 512, UINT64_MAX, UINT64_C(1) << 32};
  const uint8_t how = (uint8_t)fuzz_take(in, 1);

  if (how < 0x80)
    return how * (size / 128);
  if (how < 0xc0)
    return fuzz_take(in, 3) % (size + 1);
  if (how < 0xf8)
    return edges[how % (sizeof edges / sizeof *edges)];
  return fuzz_take(in, 8);
}

static uint64_t
take_len(struct fuzz_input *in, uint64_t size, uint64_t off)
{
  const uint64_t edges[] = {0, size, size - off, size - off + 1, 65536, 65537,
                            NBD_LEGAL_PAYLOAD, NBD_LEGAL_PAYLOAD + 1,
                            UINT32_MAX, UINT64_C(1) << 32};
  const uint8_t how = (uint8_t)fuzz_take(in, 1);

  if (how < 0x40)
    return how;
  if (how < 0x80)
    return (how & 63U) * 512;
  if (how < 0xa0)
    return (how & 31U) * 4096;
  if (how < 0xd0)
    return fuzz_take(in, 3) % (size + 1);
  if (how < 0xf8)
    return edges[how % (sizeof edges / sizeof *edges)];
  return fuzz_take(in, 8);
}

static void
take_flags(struct draft *d, uint8_t step)
{
  static const uint16_t own[8] = {
    [NBD_CMD_READ] = NBD_CMD_FLAG_DF,
    [NBD_CMD_WRITE_ZEROES] = NBD_CMD_FLAG_NO_HOLE,
    [NBD_CMD_BLOCK_STATUS] = NBD_CMD_FLAG_REQ_ONE,
    [NBD_CMD_TRIM] = NBD_CMD_FLAG_NO_HOLE, /* is none */
  };
  struct command *m = &d->command;

  m->flags = step & 0x20 ? NBD_CMD_FLAG_FUA : 0;
  if (step & 0x40)
    m->flags |= own[m->type & 7];
  if (d->fault == FAULT_FLAGS)
    m->flags ^= d->detail;
}

/* -------------------------------------------------------------- its payload */

/* The list of contexts behind a status.  The range is in there, too. */
static void
put_ids(const struct client *c, struct draft *d, struct fuzz_input *in)
{
  struct command *m = &d->command;
  const uint8_t ids = (uint8_t)fuzz_take(in, 1);
  uint8_t *p = d->bytes + d->head, seen = 0;
  uint64_t n = 8;

  put(p, m->len, 8);
  for (unsigned i = 0; i < 4 && ids >> 2 * i; i++) {
    const uint8_t id = ids >> 2 * i & 3;
    d->sound = d->sound && (c->contexts & 1 << id) && !(seen & 1 << id);
    seen |= (uint8_t)(1 << id);
    put(p + n, id, 4);
    n += 4;
  }
  d->sound = d->sound && n > 8 && n <= 8 + 4 * NBD_NCONTEXTS;
  m->contexts = seen;
  d->length = d->payload = n;
}

static void
plan_payload(const struct client *c, struct draft *d, bool extended,
             struct fuzz_input *in)
{
  struct command *m = &d->command;

  d->sound = true;
  d->length = m->len;
  d->payload = 0;
  m->contexts = m->type == NBD_CMD_BLOCK_STATUS ? c->contexts : 0;
  if (!extended) {
    d->length = m->len &= UINT32_MAX;
    if (m->type == NBD_CMD_WRITE)
      d->payload = m->len;
    return;
  }
  if ((m->type == NBD_CMD_WRITE) != (d->fault == FAULT_PAYLOAD))
    m->flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
  if (m->type == NBD_CMD_WRITE)
    d->payload = m->len;
  else if (!(m->flags & NBD_CMD_FLAG_PAYLOAD_LEN))
    return;
  else if (m->type == NBD_CMD_BLOCK_STATUS)
    put_ids(c, d, in);
  else
    d->payload = m->len;
}

static void
put_header(struct draft *d, bool extended, uint64_t cookie)
{
  uint8_t *p = d->bytes;

  put(p, extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC, 4);
  if (d->fault == FAULT_MAGIC)
    p[d->detail & 3] ^= (uint8_t)(d->detail | 1);
  put(p + 4, d->command.flags, 2);
  put(p + 6, d->command.type, 2);
  put(p + 8, cookie, 8);
  put(p + 16, d->command.off, 8);
  put(p + 24, d->length, extended ? 8 : 4);
}

/* --------------------------------------------------------------------- send */

/* What becomes of the connection; returns whether an answer is due. */
static bool
foresee(struct client *c, const struct draft *d, bool extended)
{
  if (c->ending || c->half)
    return false; /* nobody listens any more */
  if (d->fault == FAULT_GAP_HEADER) {
    client_go_wild(c);
    return false;
  }
  if (d->fault == FAULT_CUT_HEADER) {
    c->half = true;
    return false;
  }
  if (d->fault == FAULT_MAGIC ||
      (extended && d->command.type != NBD_CMD_DISC &&
       d->payload > NBD_LEGAL_PAYLOAD)) {
    c->ending = true;
    return false;
  }
  if (d->fault == FAULT_CUT_PAYLOAD && d->payload > 0) {
    c->half = true;
    return false;
  }
  if (d->command.type == NBD_CMD_DISC) {
    c->ending = c->polite = true;
    return false;
  }
  return true;
}

static void
send_draft(struct client *c, struct draft *d)
{
  uint64_t payload = d->payload;
  size_t n;

  if (d->fault == FAULT_CUT_PAYLOAD || d->fault == FAULT_GAP_PAYLOAD)
    payload = payload > 0 ? payload * d->detail / 256 : 0;
  if (payload > PAYLOAD_MAX)
    payload = PAYLOAD_MAX;
  n = d->head + payload;
  if (d->fault == FAULT_CUT_HEADER || d->fault == FAULT_GAP_HEADER)
    n = d->detail % d->head;
  if (n < d->head + d->payload && !c->half && !c->ending)
    client_go_wild(c);
  link_send(&c->link, d->bytes, n);
  if (c->half && !c->link.shut)
    link_shut(&c->link);
}

void
say_command(struct client *c, uint8_t step, struct fuzz_input *in)
{
  static struct draft d;
  const bool extended =
    c->phase == CLIENT_SERVING ? c->extended : c->extended_said;
  const uint64_t size = house_disk(HOUSE_DYNAMIC)->size; /* as of all */
  struct command *m = &d.command;

  *m = (struct command){.type = step & 7};
  d.fault = step & 8 ? fuzz_take(in, 1) % NFAULTS : FAULT_NONE;
  d.detail = step & 8 ? (uint8_t)fuzz_take(in, 1) : 0;
  d.head = extended ? 32 : 28;
  if (d.fault == FAULT_TYPE)
    m->type = d.detail;
  m->off = take_off(in, size);
  m->len = take_len(in, size, m->off);
  take_flags(&d, step);
  if (m->type == NBD_CMD_WRITE)
    m->seed = (uint8_t)fuzz_take(in, 1);
  plan_payload(c, &d, extended, in);

  uint64_t cookie = 0; /* of what is not to be answered */
  if (foresee(c, &d, extended))
    cookie = client_note_command(c, m, d.sound)->cookie;
  put_header(&d, extended, cookie);
  if (d.payload > 0 && m->type != NBD_CMD_BLOCK_STATUS) {
    struct command filled = *m;
    if (filled.len > PAYLOAD_MAX)
      filled.len = PAYLOAD_MAX;
    client_fill(&filled, d.bytes + d.head);
  }
  send_draft(c, &d);
  if (!(step & 0x10))
    client_sync(c);
}

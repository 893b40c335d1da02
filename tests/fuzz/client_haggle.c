/* SPDX-License-Identifier: BSD-2-Clause */
/* client_haggle.c: see client.h: options and the replies to them. */
#include "config.h"

#include <string.h>

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "nbd/protocol.h"

#define REPLY_MAX (16U << 10)

/* ------------------------------------------------------------ what is asked */

static bool
may_use(const struct client *c, unsigned name)
{
  return name < HOUSE_NEXPORTS && (!house_disk(name)->tls_only || c->tls);
}

/* What the server must answer, all that was asked before being answered. */
static bool
is_acceptable(const struct client *c, const struct option *o)
{
  if (c->stopped)
    return o->code == NBD_OPT_ABORT;
  switch (o->code) {
  case NBD_OPT_ABORT:
    return true;
  case NBD_OPT_LIST:
  case NBD_OPT_EXTENDED_HEADERS:
    return o->sound;
  case NBD_OPT_STARTTLS:
    return o->sound && !c->tls;
  case NBD_OPT_STRUCTURED_REPLY:
    return o->sound && !c->extended;
  case NBD_OPT_INFO:
  case NBD_OPT_GO:
    return o->sound && may_use(c, o->name);
  case NBD_OPT_EXPORT_NAME:
    return o->sound && may_use(c, o->name) && !c->extended;
  case NBD_OPT_LIST_META_CONTEXT:
  case NBD_OPT_SET_META_CONTEXT: /* which do not look at the image */
    return o->sound && c->structured &&
           (may_use(c, o->name) || o->name == HOUSE_BROKEN);
  default:
    return false;
  }
}

void
client_note_option(struct client *c, const struct option *o)
{
  if (!c->fixed && o->code != NBD_OPT_EXPORT_NAME)
    c->ending = true;
  if (o->code == NBD_OPT_ABORT && c->fixed)
    c->ending = c->polite = true;
  /* It has no other way to say no. */
  if (o->code == NBD_OPT_EXPORT_NAME && !is_acceptable(c, o))
    c->ending = true;
  if (o->code == NBD_OPT_STRUCTURED_REPLY && o->sound)
    c->structured_said = true;
  if (o->code == NBD_OPT_EXTENDED_HEADERS && o->sound)
    c->structured_said = c->extended_said = true;
  if (o->code == NBD_OPT_EXPORT_NAME ||
      (o->code == NBD_OPT_GO && o->sound && o->name < HOUSE_NEXPORTS))
    c->commands_said = true;
  FUZZ_ASSERT(c->noptions < CLIENT_OPTIONS);
  c->options[c->noptions++] = *o;
}

/* ---------------------------------------------------------- what is replied */

/* Transmission begins. */
static void
begin_serving(struct client *c, unsigned export)
{
  c->phase = CLIENT_SERVING;
  c->export = export;
  if (c->contexts_of != export || !c->structured)
    c->contexts = 0;
  /* Commands that were sent in another form than was agreed on. */
  if (c->ncommands > 0 && c->extended_said != c->extended)
    client_go_wild(c);
  if (c->wild && !c->structured)
    c->link.deaf = true;
}

static void
accepted(struct client *c, const struct option *o)
{
  switch (o->code) {
  case NBD_OPT_STRUCTURED_REPLY:
    c->structured = true;
    break;
  case NBD_OPT_EXTENDED_HEADERS:
    c->structured = c->extended = true;
    break;
  case NBD_OPT_STARTTLS:
    c->secure = !c->wild;
    c->link.deaf = c->wild; /* it may take anything for TLS, and answer */
    break;
  case NBD_OPT_SET_META_CONTEXT:
    c->contexts = o->contexts;
    c->contexts_of = o->name;
    break;
  case NBD_OPT_GO:
    begin_serving(c, o->name);
    break;
  default:
    break;
  }
}

static void
check_text(const uint8_t *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    FUZZ_ASSERT(p[i] >= ' ' && p[i] != 0x7f);
}

/* The end of the option at the queue's head. */
static void
finish(struct client *c, uint32_t type)
{
  const struct option o = c->options[0];
  const bool ack = type == NBD_REP_ACK;

  FUZZ_ASSERT(c->wild || ack == is_acceptable(c, &o));
  memmove(c->options, c->options + 1, --c->noptions * sizeof o);
  if (o.code == NBD_OPT_SET_META_CONTEXT)
    c->contexts = 0;
  if (ack)
    accepted(c, &o);
  else if (o.code == NBD_OPT_GO && c->commands_said) {
    /* They were counted on, and now are options. */
    c->commands_said = false;
    if (c->ncommands > 0)
      client_go_wild(c);
  }
}

static void
check_flags(struct client *c, const struct house_disk *disk, uint16_t flags)
{
  c->flags = flags;
  FUZZ_ASSERT(flags & NBD_FLAG_HAS_FLAGS);
  FUZZ_ASSERT(disk->readonly == !!(flags & NBD_FLAG_READ_ONLY));
  FUZZ_ASSERT(c->wild || c->structured == !!(flags & NBD_FLAG_SEND_DF));
}

static void
check_info(struct client *c, const struct option *o, const uint8_t *p,
           size_t n)
{
  const struct house_disk *disk = house_disk(o->name);

  FUZZ_ASSERT(n >= 2);
  switch (get(p, 2)) {
  case NBD_INFO_EXPORT:
    FUZZ_ASSERT(n == 12 && (c->wild || get(p + 2, 8) == disk->size));
    if (!c->wild)
      check_flags(c, disk, (uint16_t)get(p + 10, 2));
    break;
  case NBD_INFO_BLOCK_SIZE:
    FUZZ_ASSERT(n == 14 && get(p + 2, 4) == 1);
    break;
  default:
    FUZZ_ASSERT(get(p, 2) <= NBD_INFO_BLOCK_SIZE);
    check_text(p + 2, n - 2);
  }
}

/* An answer that others follow. */
static void
check_answer(struct client *c, uint32_t type, const uint8_t *p, size_t n)
{
  struct option *o = &c->options[0];

  switch (type) {
  case NBD_REP_SERVER:
    FUZZ_ASSERT(o->code == NBD_OPT_LIST && n >= 4 && get(p, 4) <= n - 4);
    check_text(p + 4, n - 4);
    break;
  case NBD_REP_INFO:
    FUZZ_ASSERT(o->code == NBD_OPT_INFO || o->code == NBD_OPT_GO);
    check_info(c, o, p, n);
    break;
  case NBD_REP_META_CONTEXT:
    FUZZ_ASSERT(n > 4);
    if (o->code == NBD_OPT_SET_META_CONTEXT) {
      const uint64_t id = get(p, 4);
      FUZZ_ASSERT(id < 8 && !(o->contexts & 1 << id));
      FUZZ_ASSERT(c->wild || (o->queries & 1 << id));
      o->contexts |= (uint8_t)(1 << id);
    } else {
      FUZZ_ASSERT(o->code == NBD_OPT_LIST_META_CONTEXT);
    }
    check_text(p + 4, n - 4);
    break;
  default:
    FUZZ_ASSERT(!"a reply of a kind that is known");
  }
}

/* EXPORT_NAME has a reply without a form. */
static size_t
take_export(struct client *c, const uint8_t *p, size_t n)
{
  const size_t size = c->no_zeroes ? 10 : 134;
  const struct option o = c->options[0];

  if (c->wild) {
    c->link.deaf = true;
    return n;
  }
  FUZZ_ASSERT(is_acceptable(c, &o));
  if (n < size)
    return 0;
  c->noptions--;
  FUZZ_ASSERT(c->noptions == 0 && get(p, 8) == house_disk(o.name)->size);
  check_flags(c, house_disk(o.name), (uint16_t)get(p + 8, 2));
  for (size_t i = 10; i < size; i++)
    FUZZ_ASSERT(p[i] == 0);
  begin_serving(c, o.name);
  return size;
}

/* What was sent may have been anything: the server tells what it took it
 * for. */
static void
believe(struct client *c, uint32_t code)
{
  if (c->noptions > 0 && c->options[0].code == code)
    return;
  c->options[0] = (struct option){.code = code};
  c->noptions = 1;
}

size_t
client_take_reply(struct client *c, const uint8_t *p, size_t n)
{
  if (c->noptions > 0 && c->options[0].code == NBD_OPT_EXPORT_NAME)
    return take_export(c, p, n);
  if (n < 20)
    return 0;
  if (c->wild && get(p, 8) != NBD_OPTION_REPLY_MAGIC) {
    c->link.deaf = true;
    return n;
  }
  FUZZ_ASSERT(get(p, 8) == NBD_OPTION_REPLY_MAGIC);
  const uint32_t code = (uint32_t)get(p + 8, 4);
  const uint32_t type = (uint32_t)get(p + 12, 4);
  const size_t len = get(p + 16, 4);
  FUZZ_ASSERT(len <= REPLY_MAX);
  if (n < 20 + len)
    return 0;
  if (c->wild)
    believe(c, code);
  FUZZ_ASSERT(c->noptions > 0 && c->options[0].code == code);
  FUZZ_ASSERT(type != NBD_REP_ACK || len == 0);
  if (type & NBD_REP_ERR)
    check_text(p + 20, len);
  if (type == NBD_REP_ACK || (type & NBD_REP_ERR))
    finish(c, type);
  else
    check_answer(c, type, p + 20, len);
  return 20 + len;
}

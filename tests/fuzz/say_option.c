/* SPDX-License-Identifier: BSD-2-Clause */
/* say_option.c: see say.h: client flags and options. */
#include "config.h"

#include <string.h>

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/say.h"
#include "fuzz/tls_client.h"
#include "nbd/protocol.h"
#include "nbd/session.h"

#define HEAD 16
#define DATA_MAX (40U << 10)
/* An option that is longer than the server looks at. */
#define TOO_LONG ((32U << 10) + 1)
/* Of a handshake, so that the server has no reason to be tired of it. */
#define THROWN_AWAY_MAX (900U << 10)

enum fault {
  FAULT_NONE,
  FAULT_CLAIM_MORE, /* than is sent */
  FAULT_CLAIM_LESS,
  FAULT_MAGIC,
  FAULT_MORE_DATA,
  FAULT_LONG,
  FAULT_INSIDE, /* a wrong length within */
  FAULT_NAME,   /* not UTF-8 */
  FAULT_CUT,    /* only the beginning is sent */
  FAULT_INJECT, /* STARTTLS: something follows in the same breath */
  NFAULTS,
};

/* An option under construction. */
struct draft {
  struct option option;
  enum fault fault;
  uint8_t detail;
  size_t len;        /* of the data */
  uint8_t bytes[HEAD + DATA_MAX];
};

static uint8_t *
end_of(struct draft *d)
{
  return d->bytes + HEAD + d->len;
}

static void
add(struct draft *d, const void *p, size_t n)
{
  FUZZ_ASSERT(DATA_MAX - d->len >= n);
  memcpy(end_of(d), p, n);
  d->len += n;
}

static void
add_number(struct draft *d, uint64_t v, unsigned bytes)
{
  put(end_of(d), v, bytes);
  d->len += bytes;
}

static void
add_name(struct draft *d)
{
  const char *name = house_disk(d->option.name)->name;

  if (d->fault == FAULT_NAME) {
    name = "\xc3(";
    d->option.sound = false;
  }
  if (d->option.code != NBD_OPT_EXPORT_NAME)
    add_number(d, strlen(name), 4);
  add(d, name, strlen(name));
}

static void
add_infos(struct draft *d, uint8_t infos)
{
  unsigned n = 0;
  uint8_t *count = end_of(d);

  d->len += 2;
  for (unsigned i = 0; i < 8; i++)
    if (infos & 1 << i) {
      add_number(d, i, 2);
      n++;
    }
  put(count, n, 2);
}

static void
add_queries(struct draft *d, uint8_t which)
{
  static const struct {
    const char *text;
    uint8_t meant;
  } queries[8] = {
    {"base:allocation", NBD_CONTEXT_BIT(NBD_CONTEXT_ALLOCATION)},
    {"qemu:allocation-depth", NBD_CONTEXT_BIT(NBD_CONTEXT_QEMU_DEPTH)},
    {"x-vhdkit:depth", NBD_CONTEXT_BIT(NBD_CONTEXT_DEPTH)},
    {"base:", 0},
    {"qemu:", 0},
    {"", 0},
    {"x-other:thing", 0},
    {"base:allocation:", 0},
  };
  unsigned n = 0;
  uint8_t *count = end_of(d);

  d->len += 4;
  for (unsigned i = 0; i < 8; i++)
    if (which & 1 << i) {
      const char *text = queries[i].text;
      add_number(d, strlen(text), 4);
      add(d, text, strlen(text));
      d->option.queries |= queries[i].meant;
      n++;
    }
  put(count, n, 4);
}

static void
add_data(struct draft *d, uint8_t choice)
{
  d->len = 0;
  d->option.sound = true;
  switch (d->option.code) {
  case NBD_OPT_EXPORT_NAME:
    add_name(d);
    break;
  case NBD_OPT_INFO:
  case NBD_OPT_GO:
    add_name(d);
    add_infos(d, choice);
    break;
  case NBD_OPT_LIST_META_CONTEXT:
  case NBD_OPT_SET_META_CONTEXT:
    add_name(d);
    add_queries(d, choice);
    break;
  default:
    break;
  }
}

/* Faults of what is sent, the length in the header being that. */
static void
add_faults(struct draft *d)
{
  size_t more = 0;

  if (d->fault == FAULT_MORE_DATA)
    more = 1 + d->detail;
  if (d->fault == FAULT_LONG)
    more = TOO_LONG;
  if (more > 0) {
    memset(end_of(d), 'x', more);
    d->len += more;
    d->option.sound = false;
  }
  if (d->fault == FAULT_INSIDE && d->len > 4) {
    d->bytes[HEAD + d->detail % 4] ^= (uint8_t)(d->detail | 0x80);
    d->option.sound = false;
  }
}

/* ------------------------------------------------------------------ sending */

static void
send_draft(struct client *c, struct draft *d)
{
  static const uint8_t junk[] = "\x16\x03\x01 injected";
  size_t n = d->len, claimed = n;
  bool noted = !c->ending && !c->half;

  if (d->fault == FAULT_CLAIM_MORE)
    claimed += 1 + d->detail;
  if (d->fault == FAULT_CLAIM_LESS && n > 0)
    claimed -= 1 + d->detail % n;
  put(d->bytes, NBD_OPTION_MAGIC, 8);
  put(d->bytes + 8, d->option.code, 4);
  put(d->bytes + 12, claimed, 4);
  if (d->fault == FAULT_MAGIC) {
    d->bytes[d->detail % 8] ^= (uint8_t)(d->detail | 1);
    c->ending = true;
    c->polite = noted = false;
  } else if (d->fault == FAULT_CUT) {
    n = d->detail % (HEAD + n);
    c->half = true;
    noted = false;
  } else if (claimed != n) {
    client_go_wild(c);
  }
  if (noted)
    client_note_option(c, &d->option);
  if (d->fault == FAULT_INJECT) {
    /* In pieces it may look like the beginning of TLS. */
    if (c->link.piece > 0 || c->link.corrupt_at > 0 || c->tls || c->stopped)
      client_go_wild(c);
    c->ending = c->link.deaf = true;
    memcpy(d->bytes + HEAD, junk, sizeof junk);
    n = sizeof junk;
  }
  link_send(&c->link, d->bytes, d->fault == FAULT_CUT ? n : HEAD + n);
  if (d->fault == FAULT_CUT)
    link_shut(&c->link);
}

static void
say_draft(struct client *c, struct draft *d, uint8_t choice)
{
  add_data(d, choice);
  add_faults(d);
  send_draft(c, d);
}

static void
secure(struct client *c, unsigned kind, bool half)
{
  client_sync(c);
  if (c->link.fd >= 0 && c->secure)
    client_secure(c, kind, half);
}

/* ------------------------------------------------------------ what is right */

void
say_flags(struct client *c, uint32_t flags)
{
  uint8_t p[4];

  if (c->flags_said || c->link.fd < 0)
    return;
  c->flags_said = true;
  c->fixed = flags & NBD_FLAG_C_FIXED_NEWSTYLE;
  c->no_zeroes = flags & NBD_FLAG_C_NO_ZEROES;
  if (flags & ~(uint32_t)(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES))
    c->ending = true;
  put(p, flags, 4);
  link_send(&c->link, p, 4);
}

static void
say_sound(struct client *c, uint32_t code, unsigned name, uint8_t choice)
{
  static struct draft d;

  if (c->link.fd < 0)
    return;
  d.option = (struct option){.code = code, .name = name};
  d.fault = FAULT_NONE;
  say_draft(c, &d, choice);
  if (code != NBD_OPT_STARTTLS)
    client_sync(c);
}

void
say_simple_option(struct client *c, uint32_t code)
{
  say_sound(c, code, 0, 0);
}

void
say_go(struct client *c, unsigned name)
{
  say_sound(c, NBD_OPT_GO, name, 0);
}

void
say_export_name(struct client *c, unsigned name)
{
  say_sound(c, NBD_OPT_EXPORT_NAME, name, 0);
}

void
say_all_contexts(struct client *c, unsigned name)
{
  say_sound(c, NBD_OPT_SET_META_CONTEXT, name, 7);
}

void
say_starttls(struct client *c, unsigned kind)
{
  say_flags(c, NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
  say_sound(c, NBD_OPT_STARTTLS, 0, 0);
  secure(c, kind, false);
}

/* -------------------------------------------------------- what may be wrong */

/* What must stand alone: nothing before it is unanswered, and it is itself
 * waited for. */
static bool
is_alone(const struct draft *d)
{
  return d->option.code == NBD_OPT_STARTTLS ||
         d->option.code == NBD_OPT_EXPORT_NAME || d->fault == FAULT_INJECT;
}

void
say_option(struct client *c, uint8_t step, struct fuzz_input *in,
           unsigned name)
{
  static const uint32_t codes[16] = {
    NBD_OPT_GO, NBD_OPT_EXPORT_NAME, NBD_OPT_ABORT, NBD_OPT_LIST,
    NBD_OPT_PEEK_EXPORT, NBD_OPT_STARTTLS, NBD_OPT_INFO, NBD_OPT_GO,
    NBD_OPT_STRUCTURED_REPLY, NBD_OPT_LIST_META_CONTEXT,
    NBD_OPT_SET_META_CONTEXT, NBD_OPT_EXTENDED_HEADERS, 0, 12, 0x7fffffff,
    NBD_OPT_SET_META_CONTEXT,
  };
  static struct draft d;

  if (!c->flags_said) {
    say_flags(c, (step & 0x20) ? (uint32_t)fuzz_take(in, 1) : 3);
    client_sync(c);
    return;
  }
  d.option = (struct option){.code = codes[step & 15], .name = name};
  d.fault = (step & 0x20) ? fuzz_take(in, 1) % NFAULTS : FAULT_NONE;
  d.detail = (step & 0x20) ? (uint8_t)fuzz_take(in, 1) : 0;
  if (step & 0x40)
    d.option.name = fuzz_take(in, 1) % HOUSE_NNAMES;
  if (d.fault == FAULT_LONG && (c->thrown_away += TOO_LONG) > THROWN_AWAY_MAX)
    return;
  if (d.fault == FAULT_INJECT)
    d.option.code = NBD_OPT_STARTTLS;
  if (is_alone(&d))
    client_sync(c);
  if (c->link.fd < 0)
    return;
  const uint8_t choice = (uint8_t)fuzz_take(in, 1);
  say_draft(c, &d, choice);
  if (d.option.code == NBD_OPT_STARTTLS && d.fault != FAULT_INJECT)
    secure(c, choice % TLS_NKINDS, choice >= 0xf0);
  else if (!(step & 0x10) || is_alone(&d))
    client_sync(c);
}

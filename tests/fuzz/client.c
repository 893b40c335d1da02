/* SPDX-License-Identifier: BSD-2-Clause */
/* client.c: see client.h. */
#include "config.h"

#include <string.h>

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/tls_client.h"
#include "nbd/protocol.h"

/* Of the server's end, so that it has to wait for who does not read. */
#define SMALL_BUFFER 4096

struct client clients[CLIENTS] = {
  [0 ... CLIENTS - 1] = {.link = {.fd = -1, .ended = true, .shut = true}},
};

void
client_open(struct client *c, bool small)
{
  *c = (struct client){.small = small};
  link_open(&c->link, house_connect(small ? SMALL_BUFFER : 0));
}

void
client_close(struct client *c)
{
  /* What was asked may be done at any time from now on, or not. */
  for (unsigned i = 0; i < CLIENT_COMMANDS; i++)
    if (c->commands[i].used && c->commands[i].type != NBD_CMD_READ)
      house_forget();
  link_close(&c->link);
}

void
client_go_wild(struct client *c)
{
  c->wild = true;
  house_forget();
  /* Where the lengths of what comes cannot be known. */
  if (c->phase == CLIENT_SERVING ? !c->structured : c->commands_said)
    c->link.deaf = true;
}

/* ------------------------------------------------------------------ looking */

static size_t
take_greeting(struct client *c, const uint8_t *p, size_t n)
{
  if (n < 18)
    return 0;
  FUZZ_ASSERT(get(p, 8) == NBD_MAGIC && get(p + 8, 8) == NBD_OPTION_MAGIC);
  FUZZ_ASSERT(get(p + 16, 2) ==
              (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
  c->phase = CLIENT_HAGGLING;
  return 18;
}

/* Nothing more comes: did it have to, was it right? */
static void
check_end(const struct client *c)
{
  if (c->wild)
    return;
  FUZZ_ASSERT(!c->link.broken);
  FUZZ_ASSERT(c->ending || c->half);
  if (!c->polite)
    return;
  FUZZ_ASSERT(c->link.came.n == 0);
  FUZZ_ASSERT(c->noptions == 0 && c->ncommands == 0);
  /* A small socket may have no room for the last word. */
  FUZZ_ASSERT(!c->link.tls || c->small || c->link.goodbye);
}

static size_t
take_message(struct client *c)
{
  const uint8_t *p = c->link.came.p;
  const size_t n = c->link.came.n;

  switch (c->phase) {
  case CLIENT_GREETING:
    return take_greeting(c, p, n);
  case CLIENT_HAGGLING:
    return client_take_reply(c, p, n);
  default:
    return client_take_chunk(c, p, n);
  }
}

void
client_look(struct client *c)
{
  if (c->link.corrupted && !c->wild)
    client_go_wild(c);
  for (;;) {
    /* Behind the go-ahead for TLS nothing may come in plain. */
    if (c->link.deaf || c->secure) {
      FUZZ_ASSERT(c->link.deaf || c->link.came.n == 0);
      c->link.came.n = 0;
      return;
    }
    const size_t n = c->link.came.n > 0 ? take_message(c) : 0;
    if (n == 0)
      return;
    link_consume(&c->link, n);
  }
}

static bool
is_done(const struct client *c)
{
  if (c->ending || c->half)
    return false;
  return c->secure || (c->phase != CLIENT_GREETING && c->noptions == 0 &&
                       c->ncommands == 0);
}

void
client_sync(struct client *c)
{
  if (c->link.fd < 0)
    return;
  link_uncork(&c->link);
  for (;;) {
    client_look(c);
    if (c->link.ended) {
      check_end(c);
      client_close(c);
      return;
    }
    if (c->wild)
      break;
    if (is_done(c))
      return;
    link_wait(&c->link);
  }
  house_barrier();
  link_gather(&c->link);
  client_look(c);
}

bool
client_make_room(struct client *c)
{
  if (c->noptions < CLIENT_OPTIONS && c->ncommands < CLIENT_COMMANDS)
    return true;
  client_sync(c);
  if (c->link.fd < 0)
    return false;
  if (c->wild) { /* answers may never come */
    c->noptions = c->ncommands = 0;
    memset(c->commands, 0, sizeof c->commands);
  }
  return true;
}

void
client_secure(struct client *c, unsigned kind, bool half)
{
  const bool done = link_secure(&c->link, kind, half);

  c->secure = false;
  if (c->link.corrupted || half) {
    c->link.deaf = !done;
    client_go_wild(c);
  }
  FUZZ_ASSERT(c->wild || done == (kind <= TLS_KIND_GOOD));
  c->tls = done;
  if (!done) {
    c->ending = c->link.deaf = true;
    return;
  }
  /* What was agreed before is void. */
  c->structured = c->extended = false;
  c->structured_said = c->extended_said = false;
  c->contexts = 0;
}

/* -------------------------------------------------------------------- leave */

static void
say_goodbye(struct client *c)
{
  uint8_t p[32] = {0};

  if (c->phase == CLIENT_SERVING) {
    put(p, c->extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC, 4);
    put(p + 6, NBD_CMD_DISC, 2);
    c->ending = c->polite = true;
    link_send(&c->link, p, c->extended ? 32 : 28);
  } else if (c->flags_said && c->fixed) {
    const struct option abort = {.code = NBD_OPT_ABORT, .sound = true};
    put(p, NBD_OPTION_MAGIC, 8);
    put(p + 8, NBD_OPT_ABORT, 4);
    client_note_option(c, &abort);
    link_send(&c->link, p, 16);
  }
}

void
client_leave(struct client *c)
{
  client_sync(c);
  if (c->link.fd < 0)
    return;
  if (!c->wild && !c->secure) {
    say_goodbye(c);
    if (c->ending && !c->link.corrupted)
      client_sync(c);
  }
  client_close(c);
}

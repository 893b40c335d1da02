/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_connection.c: the whole server, from its sockets to its images, and
 * clients that may do anything, plain and over TLS.
 *
 * Input: two bytes for the first client (enum preamble, who it asks for), then
 * steps.  A step below 0x80 is a message of whatever phase the client is in: an
 * option or a command, right or wrong in one of many ways; one from 0x80 on is
 * something else: waiting, cutting up, raw bytes, ends, another client, what
 * TLS has besides data.  So most inputs go deep, and stay in step with the
 * server; what must hold is in client.h and house.h. */
#include "config.h"

#include "fuzz/client.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/say.h"
#include "fuzz/tls_client.h"
#include "nbd/protocol.h"

/* Of an input. */
#define STEPS 256
#define MESSAGES 320
#define REPEATS 24
/* OpenSSL takes only so many new keys without data in between. */
#define UPDATES 24

enum preamble {
  PREAMBLE_NOTHING,
  PREAMBLE_FLAGS,
  PREAMBLE_STRUCTURED,
  PREAMBLE_EXTENDED,
  PREAMBLE_GO,
  PREAMBLE_STRUCTURED_GO, /* these two with all contexts */
  PREAMBLE_EXTENDED_GO,
  PREAMBLE_EXPORT_NAME,
  PREAMBLE_MASK = 7,
  PREAMBLE_TLS = 1 << 3,   /* before all that */
  PREAMBLE_SMALL = 1 << 4, /* the server's socket has little room */
  PREAMBLE_PIECES = 1 << 5,
  PREAMBLE_CORRUPT = 1 << 6,
};

enum step {
  STEP_SYNC,
  STEP_BARRIER,
  STEP_LOOK,
  STEP_PIECES,
  STEP_RAW,
  STEP_SHUT,
  STEP_CLOSE,
  STEP_OTHER, /* goes on with the other client */
  STEP_UPDATE,
  STEP_UPDATE_BOTH,
  STEP_RENEGOTIATE,
  STEP_GOODBYE,
  STEP_BELOW, /* raw bytes below TLS */
  STEP_REPEAT,
  STEP_NEXT, /* the clients to be opened next ask for another export */
  STEP_CORK, /* what is sent next goes at once when somebody waits */
  STEP_STOP, /* the server is to stop */
  STEP_SPOIL, /* the image is cut off */
  STEP_STARVE, /* there is no memory */
  NSTEPS,
};

struct play {
  struct fuzz_input in;
  struct client *c;
  unsigned name; /* of the export that is asked for */
  unsigned messages;
};

/* -------------------------------------------------------------------- begin */

static void
say_preamble(struct client *c, unsigned how, unsigned name)
{
  const unsigned what = how & PREAMBLE_MASK;

  if (how & PREAMBLE_TLS)
    say_starttls(c, TLS_KIND_13);
  if (what != PREAMBLE_NOTHING)
    say_flags(c, NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
  if (what == PREAMBLE_STRUCTURED || what == PREAMBLE_STRUCTURED_GO)
    say_simple_option(c, NBD_OPT_STRUCTURED_REPLY);
  if (what == PREAMBLE_EXTENDED || what == PREAMBLE_EXTENDED_GO)
    say_simple_option(c, NBD_OPT_EXTENDED_HEADERS);
  if (what == PREAMBLE_STRUCTURED_GO || what == PREAMBLE_EXTENDED_GO)
    say_all_contexts(c, name);
  if (what >= PREAMBLE_GO && what <= PREAMBLE_EXTENDED_GO)
    say_go(c, name);
  if (what == PREAMBLE_EXPORT_NAME)
    say_export_name(c, name);
}

static void
begin(struct play *play, unsigned how)
{
  struct client *c = play->c;

  client_open(c, how & PREAMBLE_SMALL);
  if (house_is_troubled())
    client_go_wild(c);
  if (how & PREAMBLE_PIECES)
    c->link.piece = 1 + fuzz_take(&play->in, 1);
  if (how & PREAMBLE_CORRUPT) {
    c->link.corrupt_at = 1 + fuzz_take(&play->in, 2) % 4096;
    c->link.corrupt_how = (uint8_t)fuzz_take(&play->in, 1);
  }
  say_preamble(c, how, play->name);
}

/* -------------------------------------------------------------------- steps */

static void
say_message(struct play *play, uint8_t step)
{
  if (play->messages++ >= MESSAGES || !client_make_room(play->c))
    return;
  play->c->updates = 0;
  if (play->c->phase == CLIENT_SERVING || play->c->commands_said)
    say_command(play->c, step, &play->in);
  else
    say_option(play->c, step, &play->in, play->name);
}

/* The same message several times. */
static void
repeat(struct play *play)
{
  const unsigned times = 1 + fuzz_take(&play->in, 1) % REPEATS;
  const uint8_t step = fuzz_take(&play->in, 1) & 0x7f;
  const struct fuzz_input in = play->in;

  for (unsigned i = 0; i < times && client_is_open(play->c); i++) {
    play->in = in;
    say_message(play, step);
  }
}

/* Up to so many bytes as they are. */
static void
send_raw(struct play *play, bool below)
{
  struct link *l = &play->c->link;
  size_t n = fuzz_take(&play->in, 1);

  if (n > play->in.size)
    n = play->in.size;
  if (n > 0) {
    client_go_wild(play->c);
    (below ? link_send_raw : link_send)(l, play->in.data, n);
  }
  play->in.data += n;
  play->in.size -= n;
}

static void
step_tls(struct play *play, enum step step)
{
  struct client *c = play->c;

  if (!c->tls || c->link.shut)
    return;
  if (step == STEP_GOODBYE) {
    tls_client_goodbye(c->link.tls);
    c->half = true;
  } else if (step == STEP_RENEGOTIATE) {
    client_go_wild(c);
    tls_client_renegotiate(c->link.tls);
  } else {
    if (++c->updates > UPDATES)
      client_go_wild(c);
    tls_client_update(c->link.tls, step == STEP_UPDATE_BOTH);
  }
  link_flush(&c->link);
  if (step == STEP_GOODBYE) {
    link_uncork(&c->link);
    c->link.shut = true;
  }
}

/* Nobody is in the middle of something: whoever negotiates is refused all from
 * now on, whoever is served is left at once. */
static void
stop(void)
{
  for (unsigned i = 0; i < CLIENTS; i++)
    client_sync(&clients[i]);
  house_stop();
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *c = &clients[i];
    c->stopped = true;
    if (!client_is_open(c) || c->wild || c->phase != CLIENT_SERVING)
      continue;
    c->ending = c->polite = true;
    client_sync(c);
  }
}

/* What fails from now on, and how, hangs on too much. */
static void
expect_nothing(void)
{
  for (unsigned i = 0; i < CLIENTS; i++)
    if (client_is_open(&clients[i]))
      client_go_wild(&clients[i]);
  house_forget();
}

/* For one allocation soon, or for several. */
static void
starve(struct play *play)
{
  const unsigned how = (unsigned)fuzz_take(&play->in, 1);

  house_starve(how & 31, how < 0xe0 ? 1 + (how >> 5) : 1000);
}

static void
make_step(struct play *play, uint8_t byte)
{
  struct client *c = play->c;
  const enum step step = (byte - 0x80) % NSTEPS;

  switch (step) {
  case STEP_SYNC:
    client_sync(c);
    break;
  case STEP_BARRIER:
    link_uncork(&c->link);
    house_barrier();
    break;
  case STEP_LOOK:
    link_gather(&c->link);
    client_look(c);
    break;
  case STEP_PIECES:
    c->link.piece = fuzz_take(&play->in, 1);
    break;
  case STEP_RAW:
  case STEP_BELOW:
    send_raw(play, step == STEP_BELOW);
    break;
  case STEP_SHUT:
    c->half = true;
    link_shut(&c->link);
    break;
  case STEP_CLOSE:
    client_close(c);
    break;
  case STEP_REPEAT:
    repeat(play);
    break;
  case STEP_CORK:
    c->link.corked = true;
    break;
  case STEP_STOP:
    stop();
    break;
  case STEP_SPOIL:
    expect_nothing();
    house_spoil(c->phase == CLIENT_SERVING ? c->export : HOUSE_DYNAMIC);
    break;
  case STEP_STARVE:
    expect_nothing();
    starve(play);
    break;
  case STEP_OTHER:
  case STEP_NEXT:
  case NSTEPS:
    break;
  case STEP_UPDATE:
  case STEP_UPDATE_BOTH:
  case STEP_RENEGOTIATE:
  case STEP_GOODBYE:
    step_tls(play, step);
    break;
  }
}

static void
go_on(struct play *play)
{
  const uint8_t byte = (uint8_t)fuzz_take(&play->in, 1);
  const int step = byte >= 0x80 ? (byte - 0x80) % NSTEPS : -1;

  if (step == STEP_OTHER)
    play->c = play->c == clients ? clients + 1 : clients;
  else if (step == STEP_NEXT)
    play->name = fuzz_take(&play->in, 1) % HOUSE_NNAMES;
  else if (!client_is_open(play->c)) {
    client_close(play->c);
    begin(play, byte);
  } else if (byte >= 0x80)
    make_step(play, byte);
  else
    say_message(play, byte);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct play play = {.in = {data, size}, .c = clients};
  unsigned steps = 0;

  house_open();
  const uint8_t how = (uint8_t)fuzz_take(&play.in, 1);
  play.name = fuzz_take(&play.in, 1) % HOUSE_NNAMES;
  begin(&play, how);
  while (play.in.size > 0 && steps++ < STEPS)
    go_on(&play);
  for (unsigned i = 0; i < CLIENTS; i++)
    client_leave(&clients[i]);
  house_settle();
  return 0;
}

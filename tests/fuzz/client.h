/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h: a client of fuzz_connection: what it has asked, what it may expect,
 * and whether what comes is that.
 *
 * As long as it keeps to the protocol it knows of each message whether it must
 * be answered, and with success or not; that the server closes only when it
 * has a reason to; and what the bytes are that are read.  Once it has sent what
 * the server may take for anything it is wild, and only the outward form of
 * what comes is looked at.
 *
 * client.c is the stream as a whole, client_haggle.c the options,
 * client_serve.c the commands. */
#ifndef FUZZ_CLIENT_H
#define FUZZ_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/link.h"

#define CLIENTS 2
#define CLIENT_OPTIONS 64
#define CLIENT_COMMANDS 48

enum client_phase {
  CLIENT_GREETING,
  CLIENT_HAGGLING,
  CLIENT_SERVING,
};

/* An option that awaits its final reply. */
struct option {
  uint32_t code;
  bool sound;       /* its data is well formed */
  unsigned name;    /* of the export that it is about */
  uint8_t queries;  /* contexts that are meant: 1 << id */
  uint8_t contexts; /* those that were named in reply */
};

enum hope {
  HOPE_NONE,
  HOPE_SUCCESS,
  HOPE_ERROR,
};

/* A command that awaits its final reply. */
struct command {
  uint64_t cookie, off, len;
  uint16_t type, flags;
  bool used;
  bool alone;       /* nothing else may have touched its range meanwhile */
  enum hope hope;
  uint8_t seed;     /* of a write's data */
  uint8_t contexts; /* of a status: those that have not come yet */
  uint64_t got;     /* of a read: bytes that have come */
};

struct client {
  struct link link;
  bool small; /* the server's socket is */
  /* What was said. */
  bool flags_said, fixed, no_zeroes;
  bool commands_said; /* whatever follows is taken for commands */
  bool structured_said, extended_said;
  unsigned thrown_away; /* bytes of options that are too long */
  unsigned updates;     /* of TLS keys, one after the other */
  bool wild;
  bool ending; /* the server must close */
  bool polite; /* ... but not before it has answered */
  bool half;   /* we have: it answers what it likes, then closes */
  bool stopped; /* it was told that the server stops */
  /* What was received. */
  enum client_phase phase;
  bool structured, extended, tls;
  bool secure; /* STARTTLS was allowed: TLS is to begin */
  uint8_t contexts;
  unsigned contexts_of, export;
  uint16_t flags; /* of the export */
  struct option options[CLIENT_OPTIONS]; /* in order */
  unsigned noptions;
  struct command commands[CLIENT_COMMANDS];
  unsigned ncommands;
  uint64_t cookie;
};

extern struct client clients[CLIENTS];

void client_open(struct client *c, bool small);
/* At once, without a word. */
void client_close(struct client *c);
static inline bool
client_is_open(const struct client *c)
{
  return c->link.fd >= 0 && !c->link.ended;
}

/* From now on anything goes. */
void client_go_wild(struct client *c);

/* Looks at what is there. */
void client_look(struct client *c);
/* Waits for all that must come. */
void client_sync(struct client *c);
/* Ends the session as it should be ended, if it still can be. */
void client_leave(struct client *c);

/* TLS after STARTTLS, of kind enum tls_kind; see link_secure(). */
void client_secure(struct client *c, unsigned kind, bool half);

/* Whether there is room for one more option and command; waits for it. */
bool client_make_room(struct client *c);

/* Takes note of an option that is being sent; all before EXPORT_NAME must have
 * been answered. */
void client_note_option(struct client *c, const struct option *o);
/* The same of a command, of which all is set but .cookie, .hope and .alone;
 * payload: of a status, the ids; they are sound or not. */
struct command *client_note_command(struct client *c,
                                    const struct command *command,
                                    bool sound);
void client_fill(const struct command *command, uint8_t *p);

/* For client.c: each takes one message off what came; 0: it is incomplete. */
size_t client_take_reply(struct client *c, const uint8_t *p, size_t n);
size_t client_take_chunk(struct client *c, const uint8_t *p, size_t n);

static inline uint64_t
get(const uint8_t *p, unsigned bytes)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < bytes; i++)
    v = v << 8 | p[i];
  return v;
}

static inline void
put(uint8_t *p, uint64_t v, unsigned bytes)
{
  while (bytes-- > 0) {
    p[bytes] = (uint8_t)v;
    v >>= 8;
  }
}

#endif

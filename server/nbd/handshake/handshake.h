/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake.h: the server's side of NBD's option haggling (fixed newstyle) as
 * a state machine: bytes in, events out, bytes out.  It does no I/O.
 *
 * The owner, a connection, drives it:
 *
 *   nbd_handshake_init(&hs, &policy, is_tls);
 *   event = nbd_handshake_start(&hs, &out);          (the server speaks first)
 *   loop: send what is in out; receive; event = nbd_handshake_feed(...)
 *
 * and acts on the event:
 *
 *   MORE      everything was consumed: send out, receive more, feed it.
 *   FLUSH     too many replies are waiting: send out, then feed the rest of
 *             the input, of which some is left (this bounds memory).
 *   LIST      call nbd_handshake_list_item() for each export this client may
 *             see, or send what nbd_list_format() made of them, then
 *             nbd_handshake_list_end().
 *   EXPORT    look up hs.want (open it, where .purpose says so); call
 *             nbd_handshake_export() or nbd_handshake_refuse().
 *   STARTTLS  send out, do the TLS handshake, call nbd_handshake_tls_up().
 *             Nothing may be read in plain from now on.
 *   READY     hs.session is agreed; send out; transmission begins with the
 *             input's next byte.  Copy the session, free the handshake.
 *   CLOSE     send out if that is possible, then close.  hs.reason says why.
 *
 * The answer to LIST, EXPORT and STARTTLS may come at any later time; until
 * then feed() consumes nothing (it returns the same event again).  The
 * answering calls return the next event as feed() does; after MORE the owner
 * feeds what input it still has.
 *
 * Deadlines are the owner's: a handshake is over when READY or CLOSE was
 * returned.  Nothing is global; a handshake belongs to one thread at a time. */
#ifndef NBD_HANDSHAKE_HANDSHAKE_H
#define NBD_HANDSHAKE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd/out.h"
#include "nbd/protocol.h"
#include "nbd/session.h"

enum nbd_tls {
  NBD_TLS_OFF,     /* STARTTLS is refused */
  NBD_TLS_ON,      /* for who wants it; single exports may insist */
  NBD_TLS_REQUIRE, /* nothing works before it */
};

/* Shared by all connections of a listener; outlives them. */
struct nbd_policy {
  enum nbd_tls tls;
  uint32_t max_option;  /* longest option payload that is looked at */
  uint32_t max_options; /* in one handshake */
  uint64_t max_drain;   /* bytes thrown away in one handshake */
};

/* Sensible limits: names of 4096 bytes, lists of contexts, many INFOs. */
#define NBD_DEFAULT_MAX_OPTION (UINT32_C(32) << 10)
#define NBD_DEFAULT_MAX_OPTIONS UINT32_C(1024)
#define NBD_DEFAULT_MAX_DRAIN (UINT64_C(1) << 20)

/* The .max of an nbd_out for a handshake must be at least this. */
#define NBD_HANDSHAKE_OUT_MAX ((size_t)64 << 10)

enum nbd_event {
  NBD_EVENT_MORE,
  NBD_EVENT_FLUSH,
  NBD_EVENT_LIST,
  NBD_EVENT_EXPORT,
  NBD_EVENT_STARTTLS,
  NBD_EVENT_READY,
  NBD_EVENT_CLOSE,
};

enum nbd_close {
  NBD_CLOSE_NONE,
  NBD_CLOSE_ABORT,       /* the client's wish: no fault */
  NBD_CLOSE_FLAGS,       /* client flags that were not offered */
  NBD_CLOSE_MAGIC,       /* not NBD */
  NBD_CLOSE_NOT_FIXED,   /* an option that needs fixed newstyle */
  NBD_CLOSE_EXPORT_NAME, /* EXPORT_NAME failed; it cannot carry an error */
  NBD_CLOSE_INJECTION,   /* plain bytes behind STARTTLS */
  NBD_CLOSE_TOO_MANY,    /* options */
  NBD_CLOSE_TOO_MUCH,    /* to drain */
  NBD_CLOSE_NO_MEMORY,   /* ours, or out is full */
};

enum nbd_purpose {
  NBD_WANT_INFO,        /* describe it */
  NBD_WANT_GO,          /* open it: transmission follows */
  NBD_WANT_EXPORT_NAME, /* the same; a refusal closes */
  NBD_WANT_META,        /* which contexts has it? */
};

struct nbd_want {
  const char *name; /* what the client asked for: UTF-8, "" for the default;
                     * valid until the answer */
  enum nbd_purpose purpose;
};

/* An export, as nbd_handshake_export() describes it.  The same values must be
 * given for INFO and the GO after it. */
struct nbd_export_info {
  const char *name;        /* canonical */
  const char *description; /* NULL or "": none */
  uint64_t size;
  /* What the export is capable of (READ_ONLY, SEND_FLUSH, SEND_FUA, SEND_TRIM,
   * SEND_WRITE_ZEROES, SEND_FAST_ZERO, SEND_CACHE, CAN_MULTI_CONN,
   * ROTATIONAL); what hangs on the negotiation (SEND_DF,
   * BLOCK_STATUS_PAYLOAD) and HAS_FLAGS is added here, and what
   * contradicts READ_ONLY left out. */
  uint16_t flags;
  /* All 0 stands for 1 / 4096 / 32 MiB. */
  uint32_t min_block, preferred_block, max_payload;
  bool tls_only; /* not without TLS, whatever the policy */
};

/* Read by the owner: .want after EXPORT, .session after READY, .reason after
 * CLOSE, .tls, .nerrors and what is of the last one always.  All else is
 * private. */
struct nbd_handshake {
  struct nbd_want want;
  struct nbd_session session;
  const struct nbd_policy *policy;
  uint32_t nerrors;             /* options that were answered with one, */
  uint32_t error, error_option; /* and the last of them */
  unsigned char *payload;       /* of the option at hand */
  char *context_name; /* the export that session.contexts belong to */
  uint64_t drained;
  uint32_t option, option_len;
  uint32_t have; /* bytes of the current piece that have arrived */
  uint32_t payload_cap;
  uint32_t noptions;
  uint32_t after_drain; /* the reply to send behind a drained payload */
  uint16_t infos;       /* what GO or INFO asked for: 1 << enum nbd_info */
  uint8_t client_flags;
  uint8_t state;
  uint8_t reason; /* enum nbd_close */
  bool tls;       /* TLS is up */
  bool shutdown;
  unsigned char head[sizeof(struct nbd_option_header)];
};

/* hs->policy and everything it negotiates live in *hs; policy is not copied.
 * is_tls: TLS is already up below this connection. */
void nbd_handshake_init(struct nbd_handshake *hs,
                        const struct nbd_policy *policy, bool is_tls);

/* Frees what the handshake holds; the session in it stays readable. */
void nbd_handshake_free(struct nbd_handshake *hs);

/* Puts the greeting into out. */
enum nbd_event nbd_handshake_start(struct nbd_handshake *hs,
                                   struct nbd_out *out);

/* Takes up to n bytes, sets *used to how many were taken, and puts replies
 * into out.  With STARTTLS bytes left over mean that somebody injected them:
 * feed() returns CLOSE then, and so it does if it is called again before
 * nbd_handshake_tls_up(), so an owner that feeds all it has received is
 * safe. */
enum nbd_event nbd_handshake_feed(struct nbd_handshake *hs, const void *bytes,
                                  size_t n, size_t *used, struct nbd_out *out);

/* The reply to LIST about one export, the same for every client; nothing for a
 * name that the protocol cannot carry.  Any thread. */
void nbd_list_format(struct nbd_out *out, const char *name,
                     const char *description);

/* After LIST: one export.  False: out has no room now; send some, repeat.  A
 * name that the protocol cannot carry (not UTF-8, too long) is left out. */
bool nbd_handshake_list_item(struct nbd_handshake *hs, struct nbd_out *out,
                             const char *name, const char *description);
enum nbd_event nbd_handshake_list_end(struct nbd_handshake *hs,
                                      struct nbd_out *out);

/* After EXPORT: it is there.  Returns READY where that was asked for, CLOSE
 * for an EXPORT_NAME that cannot be served, else MORE.  (A TLS-only
 * export is refused here, too, but the owner should look before it opens
 * anything.)  info is not kept.  Whoever opened an export for GO and
 * gets something else than READY closes it again. */
enum nbd_event nbd_handshake_export(struct nbd_handshake *hs,
                                    const struct nbd_export_info *info,
                                    struct nbd_out *out);

/* After EXPORT or LIST: no.  why: NBD_REP_ERR_UNKNOWN, _TLS_REQD, _POLICY,
 * _PLATFORM, _SHUTDOWN...; text: for a person, NULL for none, cut to a sane
 * length; it goes to a client that may be anybody, so no paths.  EXPORT_NAME
 * returns CLOSE.  TLS_REQD becomes UNKNOWN (of LIST: POLICY) where the protocol
 * forbids it. */
enum nbd_event nbd_handshake_refuse(struct nbd_handshake *hs, uint32_t why,
                                    const char *text, struct nbd_out *out);

/* After STARTTLS: the TLS handshake succeeded.  Everything negotiated before
 * is forgotten.  (Who the client is, the connection knows.) */
enum nbd_event nbd_handshake_tls_up(struct nbd_handshake *hs);

/* From now on options, but ABORT, are answered with ERR_SHUTDOWN.  An EXPORT
 * or LIST that waits must still be answered. */
void nbd_handshake_shutdown(struct nbd_handshake *hs);

/* Whether an answer of the owner is awaited (after EXPORT, LIST, STARTTLS). */
bool nbd_handshake_waits(const struct nbd_handshake *hs);

/* For logs; never NULL. */
const char *nbd_event_name(enum nbd_event event);
const char *nbd_close_name(enum nbd_close reason);

#endif

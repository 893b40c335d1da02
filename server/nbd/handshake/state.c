/* SPDX-License-Identifier: BSD-2-Clause */
/* state.c: how the handshake goes from one option to the next, waits for its
 * owner, and ends; the ground that the options and the machine (handshake.c)
 * stand on.  Called from the thread of the connection that owns the
 * handshake. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "nbd/handshake/options.h"

/* What the owner is told in a state that takes nothing. */
static const enum nbd_event waits[NBD_HS_STATES] = {
  [NBD_HS_LIST] = NBD_EVENT_LIST,    [NBD_HS_EXPORT] = NBD_EVENT_EXPORT,
  [NBD_HS_TLS] = NBD_EVENT_STARTTLS, [NBD_HS_READY] = NBD_EVENT_READY,
  [NBD_HS_CLOSED] = NBD_EVENT_CLOSE,
};

static void
free_payload(struct nbd_handshake *hs)
{
  free(hs->payload);
  hs->payload = NULL;
  hs->payload_cap = 0;
}

void
nbd_handshake_free(struct nbd_handshake *hs)
{
  free_payload(hs);
  free(hs->context_name);
  hs->context_name = NULL;
  hs->want = (struct nbd_want){ 0 };
}

enum nbd_event
nbd_handshake_next(struct nbd_handshake *hs)
{
  free_payload(hs);
  hs->want = (struct nbd_want){ 0 };
  hs->state = NBD_HS_OPTION;
  return NBD_EVENT_MORE;
}

enum nbd_event
nbd_handshake_wait(struct nbd_handshake *hs, enum nbd_handshake_state state)
{
  assert(waits[state] != NBD_EVENT_MORE);
  hs->state = (uint8_t)state;
  return waits[state];
}

enum nbd_event
nbd_handshake_ready(struct nbd_handshake *hs)
{
  nbd_handshake_free(hs);
  return nbd_handshake_wait(hs, NBD_HS_READY);
}

enum nbd_event
nbd_handshake_close(struct nbd_handshake *hs, enum nbd_close reason)
{
  if (hs->state != NBD_HS_CLOSED)
    hs->reason = (uint8_t)reason;
  nbd_handshake_free(hs);
  return nbd_handshake_wait(hs, NBD_HS_CLOSED);
}

void
nbd_handshake_clear_contexts(struct nbd_handshake *hs)
{
  free(hs->context_name);
  hs->context_name = NULL;
  hs->session.contexts = 0;
}

bool
nbd_handshake_waits(const struct nbd_handshake *hs)
{
  return hs->state == NBD_HS_LIST || hs->state == NBD_HS_EXPORT ||
         hs->state == NBD_HS_TLS;
}

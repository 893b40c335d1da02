/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h: what the files that implement the handshake's options share with
 * its machine (handshake.c).  Nobody else includes it. */
#ifndef NBD_HANDSHAKE_OPTIONS_H
#define NBD_HANDSHAKE_OPTIONS_H

#include <stdint.h>

#include "nbd/handshake/handshake.h"
#include "nbd/out.h"

/* Room that the longest answer to one option needs, except LIST's items: INFO
 * with a name and a description of 4096 bytes each. */
#define NBD_OPTION_ROOM ((size_t)12 << 10)

enum nbd_handshake_state {
  NBD_HS_FLAGS,
  NBD_HS_OPTION,
  NBD_HS_PAYLOAD,
  NBD_HS_DRAIN,
  NBD_HS_LIST,
  NBD_HS_EXPORT,
  NBD_HS_TLS,
  NBD_HS_READY,
  NBD_HS_CLOSED,
  NBD_HS_STATES, /* how many there are */
};

/* ---------------------------------------------------- the machine (state.c) */

/* The option at hand is over (it got its final reply): the next one may
 * come. */
enum nbd_event nbd_handshake_next(struct nbd_handshake *hs);

/* Waits for the owner: LIST, EXPORT or TLS. */
enum nbd_event nbd_handshake_wait(struct nbd_handshake *hs,
                                  enum nbd_handshake_state state);

enum nbd_event nbd_handshake_ready(struct nbd_handshake *hs);
enum nbd_event nbd_handshake_close(struct nbd_handshake *hs,
                                   enum nbd_close reason);

/* Nothing is selected any more. */
void nbd_handshake_clear_contexts(struct nbd_handshake *hs);

/* ------------------------------------------------------ replies (options.c) */

/* The header of a reply to the option at hand, with len bytes to follow. */
void nbd_option_head(struct nbd_handshake *hs, struct nbd_out *out,
                     uint32_t type, uint32_t len);

/* The final reply, and on to the next option (or CLOSE, if out is broken).
 * text: NULL for a standard one; it is made harmless and cut to fit. */
enum nbd_event nbd_option_ack(struct nbd_handshake *hs, struct nbd_out *out);
enum nbd_event nbd_option_error(struct nbd_handshake *hs, struct nbd_out *out,
                                uint32_t type, const char *text);

/* ---------------------------------------------------------------- handlers
 * Called with the whole payload in hs->payload[0 .. hs->option_len), NUL
 * behind it; each ends in one of the functions above. */

/* options.c */
enum nbd_event nbd_option_abort(struct nbd_handshake *, struct nbd_out *);
enum nbd_event nbd_option_list(struct nbd_handshake *, struct nbd_out *);
enum nbd_event nbd_option_starttls(struct nbd_handshake *, struct nbd_out *);
enum nbd_event nbd_option_structured(struct nbd_handshake *, struct nbd_out *);
enum nbd_event nbd_option_extended(struct nbd_handshake *, struct nbd_out *);

/* options_export.c */
enum nbd_event nbd_option_export_name(struct nbd_handshake *,
                                      struct nbd_out *);
enum nbd_event nbd_option_info_go(struct nbd_handshake *, struct nbd_out *);

/* options_meta.c */
enum nbd_event nbd_option_meta(struct nbd_handshake *, struct nbd_out *);
/* The export of LIST_ or SET_META_CONTEXT is there; every export has all
 * contexts. */
enum nbd_event nbd_option_meta_answer(struct nbd_handshake *,
                                      struct nbd_out *);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handshake: the client's side of NBD's fixed newstyle negotiation, as a state
 * machine over bytes: what the server sent goes into `in`, what is to be sent
 * comes out of `out`. It knows no socket; whoever owns it moves the bytes, and
 * starts TLS when it is told to.
 */

#ifndef BENCH_LOAD_HANDSHAKE_H
#define BENCH_LOAD_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handshake_wishes {
  const char *export_name;
  bool tls;
  bool structured;  /* ask for structured replies */
  bool status;      /* ask for base:allocation too; fail without it */
};

enum handshake_state {
  HANDSHAKE_GREETING,
  HANDSHAKE_STARTTLS,
  HANDSHAKE_TLS,  /* bytes stop until handshake_tls_is_up() */
  HANDSHAKE_STRUCTURED,
  HANDSHAKE_CONTEXT,
  HANDSHAKE_GO,
  HANDSHAKE_READY,
  HANDSHAKE_FAILED,
};

struct handshake {
  const struct handshake_wishes *wishes;
  enum handshake_state state;

  uint8_t in[8192];
  size_t in_len;
  uint8_t out[8192];
  size_t out_len;  /* the owner sends these bytes and sets it to 0 */

  bool structured;  /* granted */
  bool has_context;
  uint32_t context;
  uint64_t export_size;
  char error[256];  /* why, in HANDSHAKE_FAILED */
};

/* Begin; WISHES must outlive the handshake. */
void handshake_init(struct handshake *h, const struct handshake_wishes *wishes);

/* Take what is whole in `in`, append to `out`. Returns the new state. */
enum handshake_state handshake_advance(struct handshake *h);

/* The stream is encrypted now: go on from HANDSHAKE_TLS. */
void handshake_tls_is_up(struct handshake *h);

#endif

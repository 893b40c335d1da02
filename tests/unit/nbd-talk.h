/* SPDX-License-Identifier: BSD-2-Clause */
/* nbd-talk.h: conversations with the NBD handshake, written as text.
 *
 * A script has a command per line:
 *
 *   C flags N              the client's flags
 *   C opt NAME [len=N] DATA...  an option (GO, LIST..., or a number); its
 *                          length is that of DATA unless len= lies about it
 *   C raw DATA...
 *   S greeting
 *   S rep OPTION TYPE DATA...   a reply to an option; of an error (ERR_...) the
 *                          text is checked for being valid, not compared
 *   S raw DATA...
 *   TLS                    everything before was answered; TLS comes up
 *   SHUTDOWN               everything before was answered; the server stops
 *   = more                 how it ends: the server waits for the client,
 *   = close REASON         it closes (ABORT, FLAGS, MAGIC...; enum nbd_close),
 *   = ready [structured] [extended] [contexts=N] [flags=N] [size=N]
 *                          transmission begins; what is not named must be off
 *                          (flags and size: are not looked at)
 *
 * DATA is made of u16:N, u32:N, u64:N, 'text', %HH (a byte), zN (N zero bytes),
 * NxC (N times the character C).  N in C's notation.
 *
 * The owner's part is played here, with this catalogue ("" and "/disk" are
 * other names of "disk"):
 *   disk    1 MiB, everything allowed, with depth contexts, "a disk"
 *   flat    1 MiB, without depth contexts
 *   ro      1 MiB, read-only
 *   secret  TLS only; not listed without TLS
 *   coarse  minimum block of 4096: needs a client that asks
 *   busy    refused with ERR_POLICY
 */
#ifndef NBD_TALK_H
#define NBD_TALK_H

#include <stdbool.h>

#include "nbd/handshake/handshake.h"

/* Plays the script whole, byte by byte and in random pieces, with the same
 * outcome; fails the test otherwise. */
void nbd_talk(const char *name, const struct nbd_policy *policy, bool is_tls,
              const char *script);

#endif

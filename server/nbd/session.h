/* SPDX-License-Identifier: BSD-2-Clause */
/* session.h: what a handshake has agreed on, and transmission needs to know.
 * Plain values; owns nothing; belongs to its connection's thread. */
#ifndef NBD_SESSION_H
#define NBD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

/* Metadata contexts.  The value is the id on the wire, which must be unique
 * and need not be anything else. */
enum nbd_context {
  NBD_CONTEXT_ALLOCATION = 1, /* base:allocation */
  NBD_CONTEXT_QEMU_DEPTH = 2, /* qemu:allocation-depth */
  NBD_CONTEXT_DEPTH = 3,      /* x-vhdkit:depth */
};

#define NBD_NCONTEXTS 3
#define NBD_CONTEXT_BIT(id) (1u << (id))

struct nbd_session {
  uint64_t size;        /* of the export */
  uint32_t min_block;   /* a power of two */
  uint32_t max_payload; /* longer reads and writes are refused */
  uint16_t flags;       /* enum nbd_export_flag, as the client was told */
  uint8_t contexts;     /* those selected: NBD_CONTEXT_BIT(id) | ... */
  bool structured;      /* also true with extended */
  bool extended;
  bool shutdown; /* set by the owner: answer ESHUTDOWN from now on */
};

#endif

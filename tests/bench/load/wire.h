/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire: NBD's numbers, and the messages of its transmission phase as bytes.
 * Pure functions: no socket, no state, any thread.
 */

#ifndef BENCH_LOAD_WIRE_H
#define BENCH_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)         /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054)  /* "IHAVEOPT" */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)
#define NBD_SIMPLE_REPLY_MAGIC UINT32_C(0x67446698)
#define NBD_CHUNK_MAGIC UINT32_C(0x668e33ef)

enum nbd_handshake_flag {
  NBD_FIXED_NEWSTYLE = 1,
  NBD_NO_ZEROES = 2,
};

enum nbd_option {
  NBD_OPT_STARTTLS = 5,
  NBD_OPT_GO = 7,
  NBD_OPT_STRUCTURED_REPLY = 8,
  NBD_OPT_SET_META_CONTEXT = 10,
};

enum nbd_option_reply {
  NBD_REP_ACK = 1,
  NBD_REP_INFO = 3,
  NBD_REP_META_CONTEXT = 4,
};

#define NBD_REP_IS_ERROR(type) ((type) & UINT32_C(0x80000000))
#define NBD_INFO_EXPORT 0

enum nbd_command {
  NBD_CMD_READ = 0,
  NBD_CMD_WRITE = 1,
  NBD_CMD_DISC = 2,
  NBD_CMD_FLUSH = 3,
  NBD_CMD_TRIM = 4,
  NBD_CMD_WRITE_ZEROES = 6,
  NBD_CMD_BLOCK_STATUS = 7,
};

enum nbd_command_flag {
  NBD_CMD_FLAG_FUA = 1,
  NBD_CMD_FLAG_NO_HOLE = 2,
  NBD_CMD_FLAG_FAST_ZERO = 16,
};

enum nbd_chunk_type {
  NBD_CHUNK_NONE = 0,
  NBD_CHUNK_DATA = 1,
  NBD_CHUNK_HOLE = 2,
  NBD_CHUNK_BLOCK_STATUS = 5,
};

#define NBD_CHUNK_IS_ERROR(type) ((type) & 0x8000)

#define NBD_REQUEST_SIZE 28
#define NBD_REPLY_SIZE_MAX 32  /* of a head, before data */

struct nbd_request {
  uint16_t flags;
  uint16_t command;
  uint64_t cookie;
  uint64_t offset;
  uint32_t length;
};

/* The head of a simple reply or of a chunk, and what comes with it. */
struct nbd_reply {
  bool simple;
  bool done;           /* nothing more follows for this request */
  uint16_t type;       /* of a chunk */
  uint32_t error;      /* 0, or NBD's error number */
  uint64_t cookie;
  uint64_t offset;     /* DATA, HOLE: where in the export */
  uint32_t hole;       /* HOLE: its length */
  uint32_t payload;    /* bytes that follow the head; a simple reply to READ
                          has some too, but does not say how many */
};

static inline void
put_be16(uint8_t *p, uint16_t v)
{
  p[0] = v >> 8;
  p[1] = v;
}

static inline void
put_be32(uint8_t *p, uint32_t v)
{
  put_be16(p, v >> 16);
  put_be16(p + 2, v);
}

static inline void
put_be64(uint8_t *p, uint64_t v)
{
  put_be32(p, v >> 32);
  put_be32(p + 4, v);
}

static inline uint16_t
get_be16(const uint8_t *p)
{
  return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_be32(const uint8_t *p)
{
  return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t
get_be64(const uint8_t *p)
{
  return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

/* Write REQUEST into the NBD_REQUEST_SIZE bytes at P. */
void wire_put_request(uint8_t *p, const struct nbd_request *request);

/* Read the head of a reply from the N bytes at P. Returns how many bytes it
 * takes (at most NBD_REPLY_SIZE_MAX), 0 if N is too little to tell, or -EPROTO.
 * For DATA and HOLE the head includes the offset, for errors the number; what
 * `payload` counts comes after. */
int wire_get_reply(const uint8_t *p, size_t n, struct nbd_reply *reply);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol.h: the constants and message layouts of the NBD protocol, and their
 * names for logs.  Nothing here knows how a server behaves.
 *
 * Pure; any thread. */
#ifndef NBD_PROTOCOL_H
#define NBD_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#include "nbd/wire.h"

/* ------------------------------------------------------------------- magic */

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)        /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)
#define NBD_EXTENDED_REQUEST_MAGIC UINT32_C(0x21e41c71)
#define NBD_SIMPLE_REPLY_MAGIC UINT32_C(0x67446698)
#define NBD_STRUCTURED_REPLY_MAGIC UINT32_C(0x668e33ef)
#define NBD_EXTENDED_REPLY_MAGIC UINT32_C(0x6e8a278c)

/* ------------------------------------------------------------------ limits */

/* No string (export name, description, query, error text) is longer. */
#define NBD_MAX_STRING 4096
/* Any payload up to this is legal, whatever maximum was advertised. */
#define NBD_LEGAL_PAYLOAD (UINT32_C(32) << 20)
/* The largest maximum that this server may advertise. */
#define NBD_MAX_PAYLOAD (UINT32_C(1) << 30)
/* Descriptors of one block status chunk. */
#define NBD_MAX_EXTENTS (UINT32_C(1) << 20)
/* Zeros behind the reply to EXPORT_NAME, for old clients. */
#define NBD_EXPORT_NAME_PADDING 124

/* --------------------------------------------------------------- handshake */

/* Server to client. */
enum nbd_handshake_flag {
  NBD_FLAG_FIXED_NEWSTYLE = 1 << 0,
  NBD_FLAG_NO_ZEROES = 1 << 1,
};

/* Client to server. */
enum nbd_client_flag {
  NBD_FLAG_C_FIXED_NEWSTYLE = 1 << 0,
  NBD_FLAG_C_NO_ZEROES = 1 << 1,
};

enum nbd_opt {
  NBD_OPT_EXPORT_NAME = 1,
  NBD_OPT_ABORT = 2,
  NBD_OPT_LIST = 3,
  NBD_OPT_PEEK_EXPORT = 4, /* withdrawn */
  NBD_OPT_STARTTLS = 5,
  NBD_OPT_INFO = 6,
  NBD_OPT_GO = 7,
  NBD_OPT_STRUCTURED_REPLY = 8,
  NBD_OPT_LIST_META_CONTEXT = 9,
  NBD_OPT_SET_META_CONTEXT = 10,
  NBD_OPT_EXTENDED_HEADERS = 11,
};

#define NBD_REP_ERR UINT32_C(0x80000000)

/* Not an enum: the errors do not fit an int. */
#define NBD_REP_ACK UINT32_C(1)
#define NBD_REP_SERVER UINT32_C(2)
#define NBD_REP_INFO UINT32_C(3)
#define NBD_REP_META_CONTEXT UINT32_C(4)
#define NBD_REP_ERR_UNSUP (NBD_REP_ERR + 1)
#define NBD_REP_ERR_POLICY (NBD_REP_ERR + 2)
#define NBD_REP_ERR_INVALID (NBD_REP_ERR + 3)
#define NBD_REP_ERR_PLATFORM (NBD_REP_ERR + 4)
#define NBD_REP_ERR_TLS_REQD (NBD_REP_ERR + 5)
#define NBD_REP_ERR_UNKNOWN (NBD_REP_ERR + 6)
#define NBD_REP_ERR_SHUTDOWN (NBD_REP_ERR + 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERR + 8)
#define NBD_REP_ERR_TOO_BIG (NBD_REP_ERR + 9)
#define NBD_REP_ERR_EXT_HEADER_REQD (NBD_REP_ERR + 10)

enum nbd_info {
  NBD_INFO_EXPORT = 0,
  NBD_INFO_NAME = 1,
  NBD_INFO_DESCRIPTION = 2,
  NBD_INFO_BLOCK_SIZE = 3,
};

/* The "transmission flags". */
enum nbd_export_flag {
  NBD_FLAG_HAS_FLAGS = 1 << 0,
  NBD_FLAG_READ_ONLY = 1 << 1,
  NBD_FLAG_SEND_FLUSH = 1 << 2,
  NBD_FLAG_SEND_FUA = 1 << 3,
  NBD_FLAG_ROTATIONAL = 1 << 4,
  NBD_FLAG_SEND_TRIM = 1 << 5,
  NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
  NBD_FLAG_SEND_DF = 1 << 7,
  NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
  NBD_FLAG_SEND_RESIZE = 1 << 9,
  NBD_FLAG_SEND_CACHE = 1 << 10,
  NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
  NBD_FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12,
};

/* ------------------------------------------------------------ transmission */

enum nbd_cmd {
  NBD_CMD_READ = 0,
  NBD_CMD_WRITE = 1,
  NBD_CMD_DISC = 2,
  NBD_CMD_FLUSH = 3,
  NBD_CMD_TRIM = 4,
  NBD_CMD_CACHE = 5,
  NBD_CMD_WRITE_ZEROES = 6,
  NBD_CMD_BLOCK_STATUS = 7,
  NBD_CMD_RESIZE = 8, /* an extension nobody speaks */
};

enum nbd_cmd_flag {
  NBD_CMD_FLAG_FUA = 1 << 0,
  NBD_CMD_FLAG_NO_HOLE = 1 << 1,
  NBD_CMD_FLAG_DF = 1 << 2,
  NBD_CMD_FLAG_REQ_ONE = 1 << 3,
  NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
  NBD_CMD_FLAG_PAYLOAD_LEN = 1 << 5,
};

enum nbd_reply_flag {
  NBD_REPLY_FLAG_DONE = 1 << 0,
};

enum nbd_reply_type {
  NBD_REPLY_TYPE_NONE = 0,
  NBD_REPLY_TYPE_OFFSET_DATA = 1,
  NBD_REPLY_TYPE_OFFSET_HOLE = 2,
  NBD_REPLY_TYPE_BLOCK_STATUS = 5,
  NBD_REPLY_TYPE_BLOCK_STATUS_EXT = 6,
  NBD_REPLY_TYPE_ERROR = 0x8001,
  NBD_REPLY_TYPE_ERROR_OFFSET = 0x8002,
};

enum nbd_error {
  NBD_SUCCESS = 0,
  NBD_EPERM = 1,
  NBD_EIO = 5,
  NBD_ENOMEM = 12,
  NBD_EINVAL = 22,
  NBD_ENOSPC = 28,
  NBD_EOVERFLOW = 75,
  NBD_ENOTSUP = 95,
  NBD_ESHUTDOWN = 108,
};

/* The values of base:allocation. */
enum nbd_state_flag {
  NBD_STATE_HOLE = 1 << 0,
  NBD_STATE_ZERO = 1 << 1,
};

/* ----------------------------------------------------------------- layouts */

struct nbd_greeting {
  struct nbd_be64 magic, option_magic;
  struct nbd_be16 flags;
};

struct nbd_option_header {
  struct nbd_be64 magic;
  struct nbd_be32 option, len;
};

struct nbd_option_reply {
  struct nbd_be64 magic;
  struct nbd_be32 option, type, len;
};

struct nbd_export_name_reply {
  struct nbd_be64 size;
  struct nbd_be16 flags;
};

struct nbd_info_export {
  struct nbd_be16 type;
  struct nbd_be64 size;
  struct nbd_be16 flags;
};

struct nbd_info_block_size {
  struct nbd_be16 type;
  struct nbd_be32 min, preferred, max;
};

struct nbd_request_header {
  struct nbd_be32 magic;
  struct nbd_be16 flags, type;
  unsigned char cookie[8];
  struct nbd_be64 off;
  struct nbd_be32 len;
};

struct nbd_extended_request_header {
  struct nbd_be32 magic;
  struct nbd_be16 flags, type;
  unsigned char cookie[8];
  struct nbd_be64 off, len;
};

struct nbd_simple_reply {
  struct nbd_be32 magic, error;
  unsigned char cookie[8];
};

struct nbd_structured_reply {
  struct nbd_be32 magic;
  struct nbd_be16 flags, type;
  unsigned char cookie[8];
  struct nbd_be32 len;
};

struct nbd_extended_reply {
  struct nbd_be32 magic;
  struct nbd_be16 flags, type;
  unsigned char cookie[8];
  struct nbd_be64 off, len;
};

struct nbd_hole_payload {
  struct nbd_be64 off;
  struct nbd_be32 len;
};

struct nbd_error_payload { /* then the text; then, of ERROR_OFFSET, be64 off */
  struct nbd_be32 error;
  struct nbd_be16 text_len;
};

struct nbd_extent32 {
  struct nbd_be32 len, flags;
};

struct nbd_extent64 {
  struct nbd_be64 len, flags;
};

static_assert(sizeof(struct nbd_greeting) == 18, "greeting");
static_assert(sizeof(struct nbd_option_header) == 16, "option");
static_assert(sizeof(struct nbd_option_reply) == 20, "option reply");
static_assert(sizeof(struct nbd_export_name_reply) == 10, "EXPORT_NAME");
static_assert(sizeof(struct nbd_info_export) == 12, "INFO_EXPORT");
static_assert(sizeof(struct nbd_info_block_size) == 14, "INFO_BLOCK_SIZE");
static_assert(sizeof(struct nbd_request_header) == 28, "request");
static_assert(sizeof(struct nbd_extended_request_header) == 32, "ext request");
static_assert(sizeof(struct nbd_simple_reply) == 16, "simple reply");
static_assert(sizeof(struct nbd_structured_reply) == 20, "structured reply");
static_assert(sizeof(struct nbd_extended_reply) == 32, "extended reply");
static_assert(sizeof(struct nbd_hole_payload) == 12, "hole");
static_assert(sizeof(struct nbd_error_payload) == 6, "error");

/* ------------------------------------------------------------------- names */

/* For logs: "NBD_OPT_GO", "NBD_CMD_READ", "NBD_EPERM"...; "unknown" for other
 * values.  Never NULL. */
const char *nbd_opt_name(uint32_t option);
const char *nbd_rep_name(uint32_t reply);
const char *nbd_info_name(uint16_t info);
const char *nbd_cmd_name(uint16_t type);
const char *nbd_reply_type_name(uint16_t type);
const char *nbd_error_name(uint32_t error);

#endif

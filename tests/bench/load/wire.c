/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire: the messages of NBD's transmission phase as bytes. See wire.h.
 */

#include "config.h"

#include <errno.h>
#include <string.h>

#include "wire.h"

#define SIMPLE_REPLY_SIZE 16
#define CHUNK_SIZE 20
#define CHUNK_DONE 1

/* What of a chunk's payload the head takes in. */
#define DATA_HEAD 8
#define HOLE_HEAD 12
#define ERROR_HEAD 4

void
wire_put_request(uint8_t *p, const struct nbd_request *request)
{
  put_be32(p, NBD_REQUEST_MAGIC);
  put_be16(p + 4, request->flags);
  put_be16(p + 6, request->command);
  put_be64(p + 8, request->cookie);
  put_be64(p + 16, request->offset);
  put_be32(p + 24, request->length);
}

static int
get_simple(const uint8_t *p, size_t n, struct nbd_reply *reply)
{
  if (n < SIMPLE_REPLY_SIZE)
    return 0;
  reply->simple = true;
  reply->done = true;
  reply->error = get_be32(p + 4);
  reply->cookie = get_be64(p + 8);
  return SIMPLE_REPLY_SIZE;
}

/* How many bytes of payload the head of this chunk takes in. */
static uint32_t
chunk_head(uint16_t type)
{
  if (NBD_CHUNK_IS_ERROR(type))
    return ERROR_HEAD;
  switch (type) {
  case NBD_CHUNK_DATA:
    return DATA_HEAD;
  case NBD_CHUNK_HOLE:
    return HOLE_HEAD;
  default:
    return 0;
  }
}

static int
get_chunk(const uint8_t *p, size_t n, struct nbd_reply *reply)
{
  if (n < CHUNK_SIZE)
    return 0;
  reply->done = get_be16(p + 4) & CHUNK_DONE;
  reply->type = get_be16(p + 6);
  reply->cookie = get_be64(p + 8);

  uint32_t length = get_be32(p + 16);
  uint32_t head = chunk_head(reply->type);
  if (length < head)
    return -EPROTO;
  if (n < CHUNK_SIZE + head)
    return 0;
  reply->payload = length - head;
  p += CHUNK_SIZE;

  if (head == ERROR_HEAD)
    reply->error = get_be32(p);
  if (head >= DATA_HEAD)
    reply->offset = get_be64(p);
  if (head == HOLE_HEAD) {
    reply->hole = get_be32(p + 8);
    if (reply->payload)
      return -EPROTO;
  }
  return (int)(CHUNK_SIZE + head);
}

int
wire_get_reply(const uint8_t *p, size_t n, struct nbd_reply *reply)
{
  if (n < 4)
    return 0;
  memset(reply, 0, sizeof *reply);
  switch (get_be32(p)) {
  case NBD_SIMPLE_REPLY_MAGIC:
    return get_simple(p, n, reply);
  case NBD_CHUNK_MAGIC:
    return get_chunk(p, n, reply);
  default:
    return -EPROTO;
  }
}

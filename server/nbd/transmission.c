/* SPDX-License-Identifier: BSD-2-Clause */
/* transmission.c: the checks that a request must pass.  See transmission.h.
 * Pure; any thread.
 *
 * Which commands exist and what each may carry is the table commands[]; check()
 * goes through it in this order, and the first objection is the verdict:
 *  1. the server is stopping         ESHUTDOWN
 *  2. unknown command                EINVAL
 *  3. flags                          EINVAL
 *  4. a change of a read-only export EPERM
 *  5. a command that was not offered EINVAL
 *  6. the range                      ENOSPC for what writes, else EINVAL
 *  7. the size of its data           EOVERFLOW for chunked reads, else EINVAL
 *  8. alignment to the minimum block EINVAL
 *
 * Whatever the verdict, how many bytes of payload follow is known from the
 * header alone (payload_of()), so a refused request never loses the stream. A
 * WRITE always carries its data.  With extended headers PAYLOAD_LEN is to say
 * so, and qemu (from 8.2 on, when it learnt extended headers) never sets it:
 * its writes are as good as any, and to take a guest's data for requests would
 * be worse than any refusal. */
#include "config.h"

#include "nbd/transmission.h"

#include <stdbool.h>

struct command {
  bool known;
  bool changes;      /* forbidden on a read-only export */
  bool ranged;       /* off and len must lie inside the export */
  bool carries_data; /* len bytes travel, one way or the other */
  bool has_payload;  /* may have PAYLOAD_LEN (extended headers) */
  uint16_t flags;    /* that it knows, besides FUA and PAYLOAD_LEN */
  uint16_t needs;    /* must have been offered */
  uint16_t past_end; /* the error for a range past the end */
};

/* clang-format off */
static const struct command commands[] = {
  [NBD_CMD_READ] = { .known = true, .ranged = true, .carries_data = true,
                     .flags = NBD_CMD_FLAG_DF, .past_end = NBD_EINVAL },
  [NBD_CMD_WRITE] = { .known = true, .changes = true, .ranged = true,
                      .carries_data = true, .has_payload = true,
                      .past_end = NBD_ENOSPC },
  /* DISC never gets here. */
  [NBD_CMD_FLUSH] = { .known = true, .needs = NBD_FLAG_SEND_FLUSH },
  [NBD_CMD_TRIM] = { .known = true, .changes = true, .ranged = true,
                     .needs = NBD_FLAG_SEND_TRIM, .past_end = NBD_EINVAL },
  [NBD_CMD_CACHE] = { .known = true, .ranged = true,
                      .needs = NBD_FLAG_SEND_CACHE, .past_end = NBD_EINVAL },
  [NBD_CMD_WRITE_ZEROES] = { .known = true, .changes = true, .ranged = true,
                             .flags = NBD_CMD_FLAG_NO_HOLE |
                                      NBD_CMD_FLAG_FAST_ZERO,
                             .needs = NBD_FLAG_SEND_WRITE_ZEROES,
                             .past_end = NBD_ENOSPC },
  [NBD_CMD_BLOCK_STATUS] = { .known = true, .ranged = true, .has_payload = true,
                             .flags = NBD_CMD_FLAG_REQ_ONE,
                             .past_end = NBD_EINVAL },
};
/* clang-format on */

#define NCOMMANDS (sizeof commands / sizeof *commands)

/* Flags of commands that hang on what the export offers. */
static const struct {
  uint16_t flag, needs;
} flag_needs[] = {
  { NBD_CMD_FLAG_FUA, NBD_FLAG_SEND_FUA },
  { NBD_CMD_FLAG_DF, NBD_FLAG_SEND_DF },
  { NBD_CMD_FLAG_FAST_ZERO, NBD_FLAG_SEND_FAST_ZERO },
};

static void
object(struct nbd_request *req, uint16_t error, const char *text)
{
  req->verdict = error;
  req->text = text;
}

static bool
flags_are_good(const struct nbd_session *s, const struct nbd_request *req,
               const struct command *cmd)
{
  uint16_t good = cmd->flags | NBD_CMD_FLAG_FUA;

  if (req->flags == 0) /* as mostly */
    return true;
  for (size_t i = 0; i < sizeof flag_needs / sizeof *flag_needs; i++)
    if (!(s->flags & flag_needs[i].needs))
      good &= (uint16_t)~flag_needs[i].flag;
  if (s->extended && cmd->has_payload)
    good |= NBD_CMD_FLAG_PAYLOAD_LEN;
  return !(req->flags & ~good);
}

/* Steps 6 to 8. */
static void
check_range(const struct nbd_session *s, struct nbd_request *req,
            const struct command *cmd)
{
  bool read = req->type == NBD_CMD_READ;

  if (req->off > s->size || req->len > s->size - req->off)
    object(req, cmd->past_end, "the range ends past the end of the export");
  else if (cmd->carries_data && req->len > s->max_payload)
    object(req, read && s->structured ? NBD_EOVERFLOW : NBD_EINVAL,
           "the request is larger than the maximum payload");
  else if ((req->off | req->len) & (s->min_block - 1))
    object(req, NBD_EINVAL, "the range is not aligned to the minimum block");
  else if (req->type == NBD_CMD_BLOCK_STATUS && req->len == 0)
    object(req, NBD_EINVAL, "the status of no bytes was asked for");
}

/* BLOCK_STATUS: which contexts, and is its payload of a possible length?  No
 * more ids than there are contexts can be known and different. */
static void
check_status(const struct nbd_session *s, struct nbd_request *req)
{
  bool filtered = req->flags & NBD_CMD_FLAG_PAYLOAD_LEN;

  req->contexts = s->contexts;
  if (s->contexts == 0)
    object(req, NBD_EINVAL, "no metadata context was negotiated");
  else if (filtered && (req->payload_len < 8 + 4 ||
                        req->payload_len > NBD_STATUS_PAYLOAD_MAX ||
                        req->payload_len % 4 != 0))
    object(req, NBD_EINVAL, "the payload is not a list of context ids");
}

static void
check(const struct nbd_session *s, struct nbd_request *req)
{
  static const struct command unknown;
  const struct command *cmd = req->type < NCOMMANDS ? &commands[req->type]
                                                    : &unknown;

  if (s->shutdown)
    object(req, NBD_ESHUTDOWN, "the server is shutting down");
  else if (!cmd->known)
    object(req, NBD_EINVAL, "unknown command");
  else if (!flags_are_good(s, req, cmd))
    object(req, NBD_EINVAL, "a flag that this command does not take");
  else if (cmd->changes && (s->flags & NBD_FLAG_READ_ONLY))
    object(req, NBD_EPERM, "the export is read-only");
  else if (cmd->needs & ~s->flags)
    object(req, NBD_EINVAL, "the export does not offer this command");
  else if (req->type == NBD_CMD_BLOCK_STATUS)
    check_status(s, req);

  /* A BLOCK_STATUS with a payload has its length there. */
  bool later = req->type == NBD_CMD_BLOCK_STATUS && req->payload_len > 0;
  if (!req->verdict && cmd->ranged && !later)
    check_range(s, req, cmd);
  if (req->type == NBD_CMD_FLUSH)
    req->len = 0; /* reserved: what a client says there is ignored */
}

/* Splits the header's length into payload and effect.  False: no sane client
 * sends that much. */
static bool
payload_of(const struct nbd_session *s, struct nbd_request *req)
{
  bool write = req->type == NBD_CMD_WRITE;

  if (!write && !(s->extended && (req->flags & NBD_CMD_FLAG_PAYLOAD_LEN)))
    return true;
  /* A compact length is drained even where it is not legal. */
  if (s->extended && req->len > s->max_payload)
    return false;
  req->payload_len = (uint32_t)req->len;
  if (!write)
    req->len = 0;
  return true;
}

/* Header to struct; returns its length, 0 where it is incomplete. */
static int
decode(const struct nbd_session *s, const unsigned char *bytes, size_t n,
       struct nbd_request *req)
{
  if (s->extended) {
    struct nbd_extended_request_header h;
    if (n < sizeof h)
      return 0;
    memcpy(&h, bytes, sizeof h);
    memcpy(req->cookie, h.cookie, sizeof req->cookie);
    req->flags = nbd_get16(h.flags);
    req->type = nbd_get16(h.type);
    req->off = nbd_get64(h.off);
    req->len = nbd_get64(h.len);
    return sizeof h;
  }
  struct nbd_request_header h;
  if (n < sizeof h)
    return 0;
  memcpy(&h, bytes, sizeof h);
  memcpy(req->cookie, h.cookie, sizeof req->cookie);
  req->flags = nbd_get16(h.flags);
  req->type = nbd_get16(h.type);
  req->off = nbd_get64(h.off);
  req->len = nbd_get32(h.len);
  return sizeof h;
}

int
nbd_parse_request_general(const struct nbd_session *s,
                          const unsigned char *bytes, size_t n,
                          struct nbd_request *req)
{
  struct nbd_be32 magic;
  uint32_t right = s->extended ? NBD_EXTENDED_REQUEST_MAGIC
                               : NBD_REQUEST_MAGIC;

  if (n < sizeof magic)
    return 0;
  memcpy(&magic, bytes, sizeof magic);
  if (nbd_get32(magic) != right)
    return NBD_REQUEST_BAD_MAGIC;

  *req = (struct nbd_request){ 0 };
  int used = decode(s, bytes, n, req);
  if (used == 0 || req->type == NBD_CMD_DISC)
    return used;
  if (!payload_of(s, req))
    return NBD_REQUEST_OVERSIZED;
  check(s, req);
  return used;
}

/* Payload: be64 effect length, then be32 context ids. */
void
nbd_parse_status_payload(const struct nbd_session *s, const void *payload,
                         struct nbd_request *req)
{
  const unsigned char *p = payload;
  struct nbd_be64 len;
  struct nbd_be32 wire_id;
  uint8_t wanted = 0;

  memcpy(&len, p, sizeof len);
  req->len = nbd_get64(len);
  for (uint32_t i = sizeof len; i < req->payload_len; i += sizeof wire_id) {
    memcpy(&wire_id, p + i, sizeof wire_id);
    uint32_t id = nbd_get32(wire_id);
    uint8_t bit = id <= NBD_NCONTEXTS ? (uint8_t)NBD_CONTEXT_BIT(id) : 0;
    if (!(s->contexts & bit) || (wanted & bit)) {
      object(req, NBD_EINVAL, "an unknown or repeated context id");
      return;
    }
    wanted |= bit;
  }
  req->contexts = wanted;
  check_range(s, req, &commands[NBD_CMD_BLOCK_STATUS]);
}

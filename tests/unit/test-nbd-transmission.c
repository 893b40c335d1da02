/* SPDX-License-Identifier: BSD-2-Clause */
/* test-nbd-transmission.c: requests, from bytes to verdicts. */
#include "config.h"

#include "nbd/transmission.h"
#include "unit/unit.h"

#define ALL_FLAGS                                                       \
  (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |       \
   NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |                    \
   NBD_FLAG_SEND_FAST_ZERO | NBD_FLAG_SEND_CACHE)
#define ALL_CONTEXTS 0x0e
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define FUA NBD_CMD_FLAG_FUA
#define NO_HOLE NBD_CMD_FLAG_NO_HOLE
#define DF NBD_CMD_FLAG_DF
#define REQ_ONE NBD_CMD_FLAG_REQ_ONE
#define FAST_ZERO NBD_CMD_FLAG_FAST_ZERO
#define PAYLOAD NBD_CMD_FLAG_PAYLOAD_LEN

static const struct nbd_session simple = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS,
};
static const struct nbd_session structured = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS | NBD_FLAG_SEND_DF, .contexts = ALL_CONTEXTS,
  .structured = true,
};
static const struct nbd_session extended = {
  .size = 8 * GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS | NBD_FLAG_SEND_DF | NBD_FLAG_BLOCK_STATUS_PAYLOAD,
  .contexts = ALL_CONTEXTS, .structured = true, .extended = true,
};
static const struct nbd_session plain_extended = { /* without contexts */
  .size = 8 * GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS | NBD_FLAG_SEND_DF, .structured = true,
  .extended = true,
};
static const struct nbd_session readonly = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_FLUSH |
           NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE,
};
static const struct nbd_session bare = { /* offers nothing */
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = NBD_FLAG_HAS_FLAGS,
};
static const struct nbd_session coarse = {
  .size = GIB, .min_block = 4096, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS | NBD_FLAG_SEND_DF, .contexts = ALL_CONTEXTS,
  .structured = true,
};
static const struct nbd_session stopping = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS, .shutdown = true,
};
static const struct nbd_session stopping_extended = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = ALL_FLAGS, .structured = true, .extended = true, .shutdown = true,
};
static const struct nbd_session readonly_extended = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY, .structured = true,
  .extended = true,
};
static const struct nbd_session bare_extended = {
  .size = GIB, .min_block = 1, .max_payload = NBD_LEGAL_PAYLOAD,
  .flags = NBD_FLAG_HAS_FLAGS, .structured = true, .extended = true,
};

struct row {
  const char *name;
  const struct nbd_session *s;
  uint16_t type, flags;
  uint64_t off, len;
  int verdict;          /* or an enum nbd_request_fault */
  uint64_t effect;      /* req.len with verdict 0 */
  uint32_t payload_len; /* to be drained or read in any case */
};

static size_t
write_header(const struct row *row, uint8_t *buf)
{
  bool ext = row->s->extended;

  unit_put(buf, 0, 4, ext ? 0x21e41c71 : 0x25609513);
  unit_put(buf, 4, 2, row->flags);
  unit_put(buf, 6, 2, row->type);
  memcpy(buf + 8, "\1cookie\xff", 8);
  unit_put(buf, 16, 8, row->off);
  unit_put(buf, 24, ext ? 8 : 4, row->len);
  return ext ? 32 : 28;
}

static void
play_row(const struct row *row)
{
  uint8_t buf[33] = {0};
  size_t n = write_header(row, buf);
  struct nbd_request req;

  for (size_t i = 0; i < n; i++) {
    /* Exactly so much memory, so that reading past it is seen. */
    uint8_t *part = malloc(i ? i : 1);
    memcpy(part, buf, i);
    ROW_INT(row->name, nbd_parse_request(row->s, part, i, &req), 0);
    free(part);
  }
  memset(&req, 0xaa, sizeof req);
  int used = nbd_parse_request(row->s, buf, sizeof buf, &req);
  if (row->verdict < 0) {
    ROW_INT(row->name, used, row->verdict);
    return;
  }
  ROW_INT(row->name, used, n);
  ROW_INT(row->name, req.verdict, row->verdict);
  ROW_TRUE(row->name, (req.verdict != 0) == (req.text != NULL));
  ROW_INT(row->name, req.payload_len, row->payload_len);
  ROW_INT(row->name, req.type, row->type);
  ROW_INT(row->name, req.flags, row->flags);
  ROW_INT(row->name, req.off, row->off);
  ROW_TRUE(row->name, memcmp(req.cookie, "\1cookie\xff", 8) == 0);
  if (row->verdict == 0)
    ROW_INT(row->name, req.len, row->effect);

  /* The shortcut says what the general case says. */
  struct nbd_request general;
  memset(&general, 0, sizeof general);
  nbd_parse_request_general(row->s, buf, sizeof buf, &general);
  ROW_INT(row->name, general.verdict, req.verdict);
  ROW_INT(row->name, general.len, req.len);
  ROW_INT(row->name, general.contexts, req.contexts);
}

static void
play_rows(const struct row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++)
    play_row(&rows[i]);
}

static void
test_ranges(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"read", &simple, NBD_CMD_READ, 0, 512, 4096, 0, 4096, 0},
    {"read to the end", &simple, NBD_CMD_READ, 0, GIB - 1, 1, 0, 1, 0},
    {"read past the end", &simple, NBD_CMD_READ, 0, GIB - 1, 2, NBD_EINVAL,
     0, 0},
    {"read far past the end", &simple, NBD_CMD_READ, 0, GIB + 1, 1,
     NBD_EINVAL, 0, 0},
    {"read that wraps 64 bits", &simple, NBD_CMD_READ, 0, UINT64_MAX, 2,
     NBD_EINVAL, 0, 0},
    {"read that wraps, with chunks", &extended, NBD_CMD_READ, 0, 4096,
     UINT64_MAX - 4095, NBD_EINVAL, 0, 0},
    {"write past the end", &simple, NBD_CMD_WRITE, 0, GIB - 512, 1024,
     NBD_ENOSPC, 0, 1024},
    {"write that wraps", &simple, NBD_CMD_WRITE, 0, UINT64_MAX - 511, 1024,
     NBD_ENOSPC, 0, 1024},
    {"zeroes past the end", &simple, NBD_CMD_WRITE_ZEROES, 0, GIB - 1, 2,
     NBD_ENOSPC, 0, 0},
    {"trim past the end", &simple, NBD_CMD_TRIM, 0, GIB - 1, 2, NBD_EINVAL,
     0, 0},
    {"cache past the end", &simple, NBD_CMD_CACHE, 0, GIB - 1, 2, NBD_EINVAL,
     0, 0},
    {"status past the end", &structured, NBD_CMD_BLOCK_STATUS, 0, GIB - 1, 2,
     NBD_EINVAL, 0, 0},
    {"status of 64 bits past the end", &extended, NBD_CMD_BLOCK_STATUS, 0, 1,
     8 * GIB, NBD_EINVAL, 0, 0},
    {"status to the end", &extended, NBD_CMD_BLOCK_STATUS, 0, 1,
     8 * GIB - 1, 0, 8 * GIB - 1, 0},
    {"read of nothing", &simple, NBD_CMD_READ, 0, 0, 0, 0, 0, 0},
    {"read of nothing at the end", &simple, NBD_CMD_READ, 0, GIB, 0, 0, 0, 0},
    {"read of nothing past the end", &simple, NBD_CMD_READ, 0, GIB + 1, 0,
     NBD_EINVAL, 0, 0},
    {"write of nothing", &simple, NBD_CMD_WRITE, 0, 0, 0, 0, 0, 0},
    {"trim of nothing", &simple, NBD_CMD_TRIM, 0, 0, 0, 0, 0, 0},
    {"zeroes of nothing", &simple, NBD_CMD_WRITE_ZEROES, 0, 0, 0, 0, 0, 0},
    {"cache of nothing", &simple, NBD_CMD_CACHE, 0, 0, 0, 0, 0, 0},
    {"status of nothing", &structured, NBD_CMD_BLOCK_STATUS, 0, 0, 0,
     NBD_EINVAL, 0, 0},
    {"unaligned to the minimum", &coarse, NBD_CMD_READ, 0, 512, 4096,
     NBD_EINVAL, 0, 0},
    {"unaligned length", &coarse, NBD_CMD_WRITE, 0, 4096, 512, NBD_EINVAL,
     0, 512},
    {"aligned", &coarse, NBD_CMD_READ, 0, 4096, 8192, 0, 8192, 0},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

static void
test_sizes(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"read of 32 MiB", &simple, NBD_CMD_READ, 0, 0, 32 * MIB, 0, 32 * MIB, 0},
    {"longer read", &simple, NBD_CMD_READ, 0, 0, 32 * MIB + 1, NBD_EINVAL, 0,
     0},
    {"longer read with chunks", &structured, NBD_CMD_READ, 0, 0,
     32 * MIB + 1, NBD_EOVERFLOW, 0, 0},
    {"64-bit read", &extended, NBD_CMD_READ, 0, 0, 5 * GIB, NBD_EOVERFLOW, 0,
     0},
    {"write of 32 MiB", &simple, NBD_CMD_WRITE, 0, 0, 32 * MIB, 0, 32 * MIB,
     32 * MIB},
    {"longer write", &simple, NBD_CMD_WRITE, 0, 0, 32 * MIB + 1, NBD_EINVAL,
     0, 32 * MIB + 1},
    {"the longest write", &simple, NBD_CMD_WRITE, 0, 0, UINT32_MAX,
     NBD_ENOSPC, 0, UINT32_MAX},
    {"extended write of 32 MiB", &extended, NBD_CMD_WRITE, PAYLOAD, 0,
     32 * MIB, 0, 32 * MIB, 32 * MIB},
    {"longer extended write", &extended, NBD_CMD_WRITE, PAYLOAD, 0,
     32 * MIB + 1, NBD_REQUEST_OVERSIZED, 0, 0},
    {"longest extended write", &extended, NBD_CMD_WRITE, PAYLOAD, 0,
     UINT64_MAX, NBD_REQUEST_OVERSIZED, 0, 0},
    {"zeroes above the maximum", &simple, NBD_CMD_WRITE_ZEROES, 0, 0, GIB, 0,
     GIB, 0},
    {"trim above the maximum", &simple, NBD_CMD_TRIM, 0, 0, GIB, 0, GIB, 0},
    {"cache above the maximum", &simple, NBD_CMD_CACHE, 0, 0, GIB, 0, GIB, 0},
    {"zeroes of 64 bits", &extended, NBD_CMD_WRITE_ZEROES, 0, 0, 5 * GIB, 0,
     5 * GIB, 0},
    {"trim of 64 bits", &extended, NBD_CMD_TRIM, 0, 0, 8 * GIB, 0, 8 * GIB,
     0},
    {"cache of 64 bits", &extended, NBD_CMD_CACHE, 0, 0, 8 * GIB, 0, 8 * GIB,
     0},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

static void
test_flags(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"FUA on a read", &simple, NBD_CMD_READ, FUA, 0, 1, 0, 1, 0},
    {"FUA on a write", &simple, NBD_CMD_WRITE, FUA, 0, 1, 0, 1, 1},
    {"FUA on a flush", &simple, NBD_CMD_FLUSH, FUA, 0, 0, 0, 0, 0},
    {"FUA on a trim", &simple, NBD_CMD_TRIM, FUA, 0, 1, 0, 1, 0},
    {"FUA on zeroes", &simple, NBD_CMD_WRITE_ZEROES, FUA, 0, 1, 0, 1, 0},
    {"FUA on a cache", &simple, NBD_CMD_CACHE, FUA, 0, 1, 0, 1, 0},
    {"FUA on a status", &structured, NBD_CMD_BLOCK_STATUS, FUA, 0, 1, 0, 1,
     0},
    {"FUA not offered", &bare, NBD_CMD_WRITE, FUA, 0, 512, NBD_EINVAL, 0,
     512},
    {"DF on a read", &structured, NBD_CMD_READ, DF, 0, 1, 0, 1, 0},
    {"DF not offered", &simple, NBD_CMD_READ, DF, 0, 1, NBD_EINVAL, 0, 0},
    {"DF on a write", &structured, NBD_CMD_WRITE, DF, 0, 7, NBD_EINVAL, 0, 7},
    {"NO_HOLE on zeroes", &simple, NBD_CMD_WRITE_ZEROES, NO_HOLE, 0, 1, 0, 1,
     0},
    {"NO_HOLE on a trim", &simple, NBD_CMD_TRIM, NO_HOLE, 0, 1, NBD_EINVAL,
     0, 0},
    {"FAST_ZERO on zeroes", &simple, NBD_CMD_WRITE_ZEROES,
     FAST_ZERO | NO_HOLE | FUA, 0, 1, 0, 1, 0},
    {"FAST_ZERO not offered", &bare, NBD_CMD_WRITE_ZEROES, FAST_ZERO, 0, 1,
     NBD_EINVAL, 0, 0},
    {"FAST_ZERO on a write", &simple, NBD_CMD_WRITE, FAST_ZERO, 0, 3,
     NBD_EINVAL, 0, 3},
    {"REQ_ONE on a status", &structured, NBD_CMD_BLOCK_STATUS, REQ_ONE, 0, 1,
     0, 1, 0},
    {"REQ_ONE on a read", &structured, NBD_CMD_READ, REQ_ONE, 0, 1,
     NBD_EINVAL, 0, 0},
    {"a flag on a cache", &structured, NBD_CMD_CACHE, DF, 0, 1, NBD_EINVAL,
     0, 0},
    {"a flag on a flush", &structured, NBD_CMD_FLUSH, DF, 0, 0, NBD_EINVAL,
     0, 0},
    {"an unknown flag", &simple, NBD_CMD_READ, 0x8000, 0, 1, NBD_EINVAL, 0,
     0},
    {"an unknown flag on a write", &simple, NBD_CMD_WRITE, 0x40, 0, 9,
     NBD_EINVAL, 0, 9},
    {"PAYLOAD_LEN in compact headers", &structured, NBD_CMD_WRITE, PAYLOAD,
     0, 9, NBD_EINVAL, 0, 9},
    {"PAYLOAD_LEN of a compact read", &structured, NBD_CMD_READ, PAYLOAD, 0,
     9, NBD_EINVAL, 0, 0},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

static void
test_commands(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"RESIZE", &simple, NBD_CMD_RESIZE, 0, 0, 1, NBD_EINVAL, 0, 0},
    {"an unknown command", &simple, 0xffff, 0, 0, 0xffffffff, NBD_EINVAL, 0,
     0},
    {"flush", &simple, NBD_CMD_FLUSH, 0, 0, 0, 0, 0, 0},
    {"flush of something", &simple, NBD_CMD_FLUSH, 0, UINT64_MAX, UINT32_MAX,
     0, 0, 0},
    {"flush not offered", &bare, NBD_CMD_FLUSH, 0, 0, 0, NBD_EINVAL, 0, 0},
    {"trim not offered", &bare, NBD_CMD_TRIM, 0, 0, 1, NBD_EINVAL, 0, 0},
    {"zeroes not offered", &bare, NBD_CMD_WRITE_ZEROES, 0, 0, 1, NBD_EINVAL,
     0, 0},
    {"cache not offered", &bare, NBD_CMD_CACHE, 0, 0, 1, NBD_EINVAL, 0, 0},
    {"status without contexts", &simple, NBD_CMD_BLOCK_STATUS, 0, 0, 1,
     NBD_EINVAL, 0, 0},
    {"read-only: read", &readonly, NBD_CMD_READ, 0, 0, 1, 0, 1, 0},
    {"read-only: write", &readonly, NBD_CMD_WRITE, 0, 0, 1, NBD_EPERM, 0, 1},
    {"read-only: write past the end", &readonly, NBD_CMD_WRITE, 0, GIB, 8,
     NBD_EPERM, 0, 8},
    {"read-only: trim", &readonly, NBD_CMD_TRIM, 0, 0, 1, NBD_EPERM, 0, 0},
    {"read-only: zeroes", &readonly, NBD_CMD_WRITE_ZEROES, 0, 0, 1,
     NBD_EPERM, 0, 0},
    {"read-only: flush", &readonly, NBD_CMD_FLUSH, 0, 0, 0, 0, 0, 0},
    {"read-only: cache", &readonly, NBD_CMD_CACHE, 0, 0, 1, 0, 1, 0},
    {"disconnect", &simple, NBD_CMD_DISC, 0, 0, 0, 0, 0, 0},
    {"disconnect with things", &simple, NBD_CMD_DISC, 0xffff, UINT64_MAX,
     UINT32_MAX, 0, UINT32_MAX, 0},
    {"disconnect with a payload", &extended, NBD_CMD_DISC, PAYLOAD, 7,
     UINT64_MAX, 0, UINT64_MAX, 0},
    {"stopping: read", &stopping, NBD_CMD_READ, 0, 0, 1, NBD_ESHUTDOWN, 0,
     0},
    {"stopping: write", &stopping, NBD_CMD_WRITE, 0, 0, 5, NBD_ESHUTDOWN, 0,
     5},
    {"stopping: unknown", &stopping, 77, 0, 0, 5, NBD_ESHUTDOWN, 0, 0},
    {"stopping: disconnect", &stopping, NBD_CMD_DISC, 0, 0, 0, 0, 0, 0},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

static void
test_payloads(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"an empty write", &extended, NBD_CMD_WRITE, PAYLOAD, 0, 0, 0, 0, 0},
    {"a read with", &extended, NBD_CMD_READ, PAYLOAD, 0, 4096, NBD_EINVAL, 0,
     4096},
    {"a flush with", &extended, NBD_CMD_FLUSH, PAYLOAD, 0, 4096, NBD_EINVAL,
     0, 4096},
    {"a trim with", &extended, NBD_CMD_TRIM, PAYLOAD, 0, 1, NBD_EINVAL, 0,
     1},
    {"an unknown one with", &extended, 77, PAYLOAD, 0, 1, NBD_EINVAL, 0, 1},
    {"an unknown one with too much", &extended, 77, PAYLOAD, 0, 33 * MIB,
     NBD_REQUEST_OVERSIZED, 0, 0},
    {"a status with two ids", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD, 0,
     16, 0, 0, 16},
    {"a status without ids", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD, 0, 8,
     NBD_EINVAL, 0, 8},
    {"a status with too little", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD, 0,
     4, NBD_EINVAL, 0, 4},
    {"a status with nothing", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD, 0, 0,
     NBD_EINVAL, 0, 0},
    {"a status with half an id", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD, 0,
     14, NBD_EINVAL, 0, 14},
    {"a status with too many ids", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD,
     0, 24, NBD_EINVAL, 0, 24},
    {"a status with 32 MiB of ids", &extended, NBD_CMD_BLOCK_STATUS, PAYLOAD,
     0, 32 * MIB, NBD_EINVAL, 0, 32 * MIB},
    {"a status without contexts", &plain_extended, NBD_CMD_BLOCK_STATUS,
     PAYLOAD, 0, 12, NBD_EINVAL, 0, 12},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

/* What qemu sends from 8.2 on: a write carries its data, whatever it says. */
static void
test_unannounced(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"a write", &extended, NBD_CMD_WRITE, 0, 0, 4096, 0, 4096, 4096},
    {"with FUA", &extended, NBD_CMD_WRITE, FUA, 512, 512, 0, 512, 512},
    {"of nothing", &extended, NBD_CMD_WRITE, 0, 0, 0, 0, 0, 0},
    {"the longest", &extended, NBD_CMD_WRITE, 0, 0, 32 * MIB, 0, 32 * MIB,
     32 * MIB},
    {"too long", &extended, NBD_CMD_WRITE, 0, 0, 32 * MIB + 1,
     NBD_REQUEST_OVERSIZED, 0, 0},
    {"of 64 bits", &extended, NBD_CMD_WRITE, 0, 0, 5 * GIB,
     NBD_REQUEST_OVERSIZED, 0, 0},
    {"past the end", &extended, NBD_CMD_WRITE, 0, 8 * GIB, 4096, NBD_ENOSPC,
     0, 4096},
    {"with a wrong flag", &extended, NBD_CMD_WRITE, DF, 0, 4096, NBD_EINVAL,
     0, 4096},
    {"on a read-only export", &readonly_extended, NBD_CMD_WRITE, 0, 0, 4096,
     NBD_EPERM, 0, 4096},
    {"when stopping", &stopping_extended, NBD_CMD_WRITE, 0, 0, 4096,
     NBD_ESHUTDOWN, 0, 4096},
  };
  play_rows(rows, ARRAY_SIZE(rows));
}

/* How many bytes follow hangs on the header and the kind of headers alone: not
 * on whether, or why, the request is refused. */
static void
check_drained(const struct nbd_session *s, uint16_t type, uint16_t flags,
              uint64_t off, uint64_t len)
{
  struct row row = {"drained", s, type, flags, off, len, 0, 0, 0};
  uint8_t buf[32] = {0};
  size_t n = write_header(&row, buf);
  bool carries = type == NBD_CMD_WRITE || (s->extended && (flags & PAYLOAD));
  struct nbd_request req;

  int used = nbd_parse_request(s, buf, n, &req);
  if (type != NBD_CMD_DISC && s->extended && carries && len > s->max_payload) {
    assert_int_equal(used, NBD_REQUEST_OVERSIZED);
    return;
  }
  assert_int_equal(used, n);
  if (type != NBD_CMD_DISC)
    assert_int_equal(req.payload_len, carries ? len : 0);
}

static void
test_drained(void **state)
{
  (void)state;
  static const struct nbd_session *const sessions[] = {
    &simple, &structured, &extended, &plain_extended, &readonly, &bare,
    &coarse, &stopping, &stopping_extended, &readonly_extended,
    &bare_extended,
  };
  static const uint16_t flags[] = {0, FUA, DF, REQ_ONE, NO_HOLE, FAST_ZERO,
                                   0x4000, 0xffff & ~PAYLOAD};
  static const uint64_t offs[] = {0, 1, GIB, UINT64_MAX};
  static const uint64_t lens[] = {0, 1, 12, 4096, 32 * MIB, 32 * MIB + 1,
                                  UINT32_MAX};
  for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
    for (uint16_t type = 0; type < 10; type++)
      for (size_t j = 0; j < ARRAY_SIZE(flags); j++)
        for (size_t k = 0; k < ARRAY_SIZE(offs) * ARRAY_SIZE(lens); k++) {
          uint64_t off = offs[k / ARRAY_SIZE(lens)];
          uint64_t len = lens[k % ARRAY_SIZE(lens)];
          check_drained(sessions[i], type, flags[j], off, len);
          check_drained(sessions[i], type, flags[j] | PAYLOAD, off, len);
        }
}

static void
test_unannounced_is_seen(void **state)
{
  (void)state;
  struct nbd_request req = {.type = NBD_CMD_WRITE, .len = 512};

  assert_true(nbd_request_unannounced(&extended, &req));
  assert_false(nbd_request_unannounced(&structured, &req));
  req.flags = PAYLOAD | FUA;
  assert_false(nbd_request_unannounced(&extended, &req));
  req.flags = FUA;
  assert_true(nbd_request_unannounced(&extended, &req));
  req.type = NBD_CMD_TRIM;
  assert_false(nbd_request_unannounced(&extended, &req));
}

static void
test_status_payload(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint64_t off, len;
    uint32_t nids, ids[3];
    uint16_t verdict;
    uint8_t contexts;
  } rows[] = {
    {"one", 0, 4096, 1, {1}, 0, 0x02},
    {"another", 0, 8 * GIB, 1, {3}, 0, 0x08},
    {"all", 4096, 5 * GIB, 3, {3, 1, 2}, 0, 0x0e},
    {"twice", 0, 4096, 2, {1, 1}, NBD_EINVAL, 0},
    {"unknown", 0, 4096, 1, {4}, NBD_EINVAL, 0},
    {"zero", 0, 4096, 1, {0}, NBD_EINVAL, 0},
    {"huge", 0, 4096, 1, {0x80000001}, NBD_EINVAL, 0},
    {"one that was not selected", 0, 4096, 1, {2}, NBD_EINVAL, 0},
    {"no length", 0, 0, 1, {1}, NBD_EINVAL, 0},
    {"past the end", 1, 8 * GIB, 1, {1}, NBD_EINVAL, 0},
    {"wrapping", 4096, UINT64_MAX, 1, {1}, NBD_EINVAL, 0},
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct nbd_session s = extended;
    if (strstr(rows[i].name, "not selected"))
      s.contexts = 0x0a;
    struct row row = {rows[i].name, &s, NBD_CMD_BLOCK_STATUS, PAYLOAD,
                      rows[i].off, 8 + 4 * rows[i].nids, 0, 0, 0};
    uint8_t buf[32], payload[NBD_STATUS_PAYLOAD_MAX];
    size_t n = write_header(&row, buf);
    struct nbd_request req;
    unit_put(payload, 0, 8, rows[i].len);
    for (uint32_t j = 0; j < rows[i].nids; j++)
      unit_put(payload, 8 + 4 * j, 4, rows[i].ids[j]);
    ROW_INT(row.name, nbd_parse_request(&s, buf, n, &req), 32);
    ROW_INT(row.name, req.verdict, 0);
    nbd_parse_status_payload(&s, payload, &req);
    ROW_INT(row.name, req.verdict, rows[i].verdict);
    if (req.verdict == 0) {
      ROW_INT(row.name, req.len, rows[i].len);
      ROW_INT(row.name, req.contexts, rows[i].contexts);
    }
  }
}

static void
test_magic(void **state)
{
  (void)state;
  static const struct row row = {"magic", &simple, NBD_CMD_READ, 0, 0, 1, 0,
                                 0, 0};
  uint8_t buf[32] = {0};
  struct nbd_request req;

  write_header(&row, buf);
  assert_int_equal(nbd_parse_request(&extended, buf, sizeof buf, &req),
                   NBD_REQUEST_BAD_MAGIC);
  for (unsigned i = 0; i < 4; i++) {
    buf[i] ^= 1;
    assert_int_equal(nbd_parse_request(&simple, buf, sizeof buf, &req),
                     NBD_REQUEST_BAD_MAGIC);
    assert_int_equal(nbd_parse_request(&simple, buf, 4, &req),
                     NBD_REQUEST_BAD_MAGIC);
    assert_int_equal(nbd_parse_request(&simple, buf, 3, &req), 0);
    buf[i] ^= 1;
  }
  /* Status is of all selected contexts by default. */
  unit_put(buf, 6, 2, NBD_CMD_BLOCK_STATUS);
  assert_int_equal(nbd_parse_request(&structured, buf, sizeof buf, &req), 28);
  assert_int_equal(req.contexts, ALL_CONTEXTS);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ranges),   cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_flags),    cmocka_unit_test(test_commands),
    cmocka_unit_test(test_payloads), cmocka_unit_test(test_unannounced),
    cmocka_unit_test(test_drained),
    cmocka_unit_test(test_unannounced_is_seen),
    cmocka_unit_test(test_status_payload), cmocka_unit_test(test_magic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

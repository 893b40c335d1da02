/* SPDX-License-Identifier: BSD-2-Clause */
/* test-nbd-reply.c: replies and block status chunks, byte for byte. */
#include "config.h"

#include <errno.h>

#include "nbd/extents.h"
#include "nbd/reply.h"
#include "unit/unit.h"

static const struct nbd_session simple = {
  .size = UINT64_C(1) << 40, .min_block = 1,
};
static const struct nbd_session structured = {
  .size = UINT64_C(1) << 40, .min_block = 1, .structured = true,
};
static const struct nbd_session extended = {
  .size = UINT64_C(1) << 40, .min_block = 1, .structured = true,
  .extended = true,
};

static const struct nbd_request read_request = {
  .cookie = "cookie!", .off = 0x1122334455, .len = 0x10000,
  .type = NBD_CMD_READ,
};
static const struct nbd_request write_request = {
  .cookie = "cookie!", .off = 0x1122334455, .len = 0x10000,
  .type = NBD_CMD_WRITE,
};

/* ----------------------------------------------------------------- replies */

#define SIMPLE(error) "\x67\x44\x66\x98\0\0\0" error "cookie!\0"
#define CHUNK(flags, type, len) \
  "\x66\x8e\x33\xef\0" flags type "cookie!\0\0\0" len
#define EXT(flags, type, len)                                    \
  "\x6e\x8a\x27\x8c\0" flags type "cookie!\0"                    \
  "\0\0\0\x11\x22\x33\x44\x55\0\0\0\0\0\0" len
#define AT "\0\0\0\x11\x22\x33\x50\0"

#define EXPECT(call, bytes)                                            \
  do {                                                                 \
    unsigned char p[NBD_REPLY_ERROR_MAX + 1];                          \
    memset(p, 0x5a, sizeof p);                                         \
    size_t n = (call);                                                 \
    ROW_INT(#call, n, sizeof(bytes) - 1);                              \
    ROW_TRUE(#call, memcmp(p, bytes, sizeof(bytes) - 1) == 0);         \
    ROW_INT(#call, p[n], 0x5a);                                        \
  } while (0)

static void
test_ok(void **state)
{
  (void)state;
  EXPECT(nbd_reply_ok(&simple, &read_request, p), SIMPLE("\0"));
  EXPECT(nbd_reply_ok(&simple, &write_request, p), SIMPLE("\0"));
  EXPECT(nbd_reply_ok(&structured, &write_request, p), SIMPLE("\0"));
  EXPECT(nbd_reply_ok(&structured, &read_request, p),
         CHUNK("\1", "\0\0", "\0\0"));
  EXPECT(nbd_reply_ok(&extended, &write_request, p),
         EXT("\1", "\0\0", "\0\0"));
  EXPECT(nbd_reply_ok(&extended, &read_request, p),
         EXT("\1", "\0\0", "\0\0"));
}

static void
test_content(void **state)
{
  (void)state;
  const uint64_t off = 0x1122335000;
  EXPECT(nbd_reply_data(&simple, &read_request, off, 512, true, p),
         SIMPLE("\0"));
  EXPECT(nbd_reply_data(&structured, &read_request, off, 512, false, p),
         CHUNK("\0", "\0\1", "\2\x08") AT);
  EXPECT(nbd_reply_data(&structured, &read_request, off, 512, true, p),
         CHUNK("\1", "\0\1", "\2\x08") AT);
  EXPECT(nbd_reply_data(&extended, &read_request, off, 512, true, p),
         EXT("\1", "\0\1", "\2\x08") AT);
  EXPECT(nbd_reply_hole(&structured, &read_request, off, 512, false, p),
         CHUNK("\0", "\0\2", "\0\x0c") AT "\0\0\2\0");
  EXPECT(nbd_reply_hole(&extended, &read_request, off, 512, true, p),
         EXT("\1", "\0\2", "\0\x0c") AT "\0\0\2\0");
}

static void
test_errors(void **state)
{
  (void)state;
  const uint64_t off = 0x1122335000;
  EXPECT(nbd_reply_error(&simple, &read_request, NBD_EIO, "why", p),
         SIMPLE("\5"));
  EXPECT(nbd_reply_error_at(&simple, &read_request, NBD_EIO, off, "why",
                            true, p),
         SIMPLE("\5"));
  EXPECT(nbd_reply_error(&structured, &write_request, NBD_ENOSPC, "why", p),
         CHUNK("\1", "\x80\1", "\0\x09") "\0\0\0\x1c\0\3why");
  EXPECT(nbd_reply_error(&structured, &read_request, NBD_EINVAL, NULL, p),
         CHUNK("\1", "\x80\1", "\0\6") "\0\0\0\x16\0\0");
  EXPECT(nbd_reply_error(&extended, &read_request, NBD_ESHUTDOWN, "", p),
         EXT("\1", "\x80\1", "\0\6") "\0\0\0\x6c\0\0");
  EXPECT(nbd_reply_error_at(&structured, &read_request, NBD_EIO, off, "why",
                            false, p),
         CHUNK("\0", "\x80\2", "\0\x11") "\0\0\0\5\0\3why" AT);
  EXPECT(nbd_reply_error_at(&extended, &read_request, NBD_EIO, off, NULL,
                            true, p),
         EXT("\1", "\x80\2", "\0\x0e") "\0\0\0\5\0\0" AT);
}

static void
test_long_text(void **state)
{
  (void)state;
  unsigned char p[NBD_REPLY_ERROR_MAX];
  char text[1000];

  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  text[5] = '\n';
  assert_int_equal(nbd_reply_error_at(&extended, &read_request, NBD_EIO, 0,
                                      text, true, p),
                   NBD_REPLY_ERROR_MAX);
  assert_int_equal(p[32 + 6 + 5], '?');
  /* A two-byte character that would be cut in half is left out. */
  text[NBD_REPLY_TEXT_MAX - 1] = '\xc3';
  text[NBD_REPLY_TEXT_MAX] = '\xa4';
  assert_int_equal(nbd_reply_error(&structured, &read_request, NBD_EIO, text,
                                   p),
                   20 + 6 + NBD_REPLY_TEXT_MAX - 1);
}

static void
test_split(void **state)
{
  (void)state;
  struct nbd_request df = read_request;
  df.flags = NBD_CMD_FLAG_DF;
  assert_false(nbd_reply_may_split(&simple, &read_request));
  assert_true(nbd_reply_may_split(&structured, &read_request));
  assert_true(nbd_reply_may_split(&extended, &read_request));
  assert_false(nbd_reply_may_split(&structured, &df));
  assert_false(nbd_reply_may_fail_late(&simple));
  assert_true(nbd_reply_may_fail_late(&structured));
}

static void
test_errno(void **state)
{
  (void)state;
  static const struct {
    int err;
    uint16_t type, flags;
    uint32_t error;
  } rows[] = {
    {EPERM, NBD_CMD_WRITE, 0, NBD_EPERM},
    {-EROFS, NBD_CMD_WRITE, 0, NBD_EPERM},
    {-EACCES, NBD_CMD_WRITE, 0, NBD_EPERM},
    {-EIO, NBD_CMD_READ, 0, NBD_EIO},
    {-EBADF, NBD_CMD_READ, 0, NBD_EIO},
    {-ETIMEDOUT, NBD_CMD_READ, 0, NBD_EIO},
    {-ENOMEM, NBD_CMD_READ, 0, NBD_ENOMEM},
    {-EINVAL, NBD_CMD_READ, 0, NBD_EINVAL},
    {-ENOSPC, NBD_CMD_WRITE, 0, NBD_ENOSPC},
    {-EDQUOT, NBD_CMD_WRITE, 0, NBD_ENOSPC},
    {-EFBIG, NBD_CMD_WRITE, 0, NBD_ENOSPC},
    {-ESHUTDOWN, NBD_CMD_WRITE, 0, NBD_ESHUTDOWN},
    {-EOVERFLOW, NBD_CMD_READ, 0, NBD_EOVERFLOW},
    {-EOVERFLOW, NBD_CMD_TRIM, 0, NBD_EIO},
    {-ENOTSUP, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FAST_ZERO, NBD_ENOTSUP},
    {-ENOTSUP, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, NBD_EIO},
    {-ENOTSUP, NBD_CMD_TRIM, 0, NBD_EIO},
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct nbd_request req = {.type = rows[i].type, .flags = rows[i].flags};
    ROW_INT(strerror(abs(rows[i].err)),
            nbd_error_from_errno(&req, rows[i].err), rows[i].error);
  }
}

/* ----------------------------------------------------------------- extents */

#define GIB (UINT64_C(1) << 30)
#define TOP UINT64_C(0xffff0000) /* the longest compact extent */

struct extent {
  uint64_t len, flags;
};

struct row {
  const char *name;
  uint64_t size, off, len;
  uint16_t flags;
  uint32_t room; /* extents that fit; 0: many */
  struct extent in[6], compact[6], ext[6];
};

static const struct row rows[] = {
  {"one", GIB, 0, 4096, 0, 0, {{4096, 3}}, {{4096, 3}}, {{4096, 3}}},
  {"two", GIB, 0, 8192, 0, 0, {{4096, 3}, {4096, 0}},
   {{4096, 3}, {4096, 0}}, {{4096, 3}, {4096, 0}}},
  {"equal neighbours are one", GIB, 512, 8192, 0, 0,
   {{1024, 3}, {1024, 3}, {512, 0}, {512, 0}, {5120, 3}},
   {{2048, 3}, {1024, 0}, {5120, 3}}, {{2048, 3}, {1024, 0}, {5120, 3}}},
  {"empty ones do not count", GIB, 0, 8192, 0, 0,
   {{0, 1}, {4096, 3}, {0, 0}, {4096, 3}}, {{8192, 3}}, {{8192, 3}}},
  {"the last may reach further", GIB, 0, 4096, 0, 0, {{512, 0}, {8192, 3}},
   {{512, 0}, {8192, 3}}, {{512, 0}, {8192, 3}}},
  {"but none follows it", GIB, 0, 4096, 0, 0, {{8192, 3}, {512, 0}},
   {{8192, 3}}, {{8192, 3}}},
  {"nor one behind an exact end", GIB, 0, 4096, 0, 0, {{4096, 3}, {512, 0}},
   {{4096, 3}}, {{4096, 3}}},
  {"not past the export's end", 4096, 1024, 2048, 0, 0,
   {{1024, 0}, {8192, 3}}, {{1024, 0}, {2048, 3}}, {{1024, 0}, {2048, 3}}},
  {"REQ_ONE", GIB, 0, 4096, NBD_CMD_FLAG_REQ_ONE, 0, {{512, 0}, {8192, 3}},
   {{512, 0}}, {{512, 0}}},
  {"REQ_ONE merges", GIB, 0, 4096, NBD_CMD_FLAG_REQ_ONE, 0,
   {{512, 3}, {1024, 3}, {8192, 0}}, {{1536, 3}}, {{1536, 3}}},
  {"REQ_ONE is no longer than asked", GIB, 0, 4096, NBD_CMD_FLAG_REQ_ONE, 0,
   {{512, 3}, {8192, 3}}, {{4096, 3}}, {{4096, 3}}},
  {"fewer than asked", GIB, 0, 1 << 20, 0, 0, {{512, 3}, {512, 0}},
   {{512, 3}, {512, 0}}, {{512, 3}, {512, 0}}},
  {"as many as fit", GIB, 0, 1 << 20, 0, 2,
   {{512, 3}, {512, 0}, {512, 3}, {512, 0}}, {{512, 3}, {512, 0}},
   {{512, 3}, {512, 0}}},
  {"the last that fits is merged", GIB, 0, 1 << 20, 0, 1,
   {{512, 3}, {512, 3}, {512, 0}}, {{1024, 3}}, {{1024, 3}}},
  {"almost 32 bits", 64 * GIB, 0, UINT32_MAX, 0, 0, {{UINT32_MAX, 3}},
   {{TOP, 3}}, {{UINT32_MAX, 3}}},
  {"32 bits", 64 * GIB, 0, UINT32_MAX, 0, 0, {{4 * GIB, 3}}, {{TOP, 3}},
   {{4 * GIB, 3}}},
  {"more than 32 bits", 64 * GIB, 0, UINT32_MAX, 0, 0,
   {{512, 0}, {60 * GIB, 3}}, {{512, 0}, {TOP, 3}},
   {{512, 0}, {60 * GIB, 3}}},
  {"32 bits by merging", 64 * GIB, 0, UINT32_MAX, 0, 0,
   {{2 * GIB, 3}, {2 * GIB, 3}, {2 * GIB, 0}}, {{TOP, 3}}, {{4 * GIB, 3}}},
  {"two halves of 32 bits", 64 * GIB, 0, UINT32_MAX, 0, 0,
   {{2 * GIB, 3}, {2 * GIB, 0}, {2 * GIB, 3}}, {{2 * GIB, 3}, {2 * GIB, 0}},
   {{2 * GIB, 3}, {2 * GIB, 0}}},
};

static void
check_chunk(const struct row *row, const struct nbd_session *s,
            const uint8_t *p, size_t n)
{
  const struct extent *want = s->extended ? row->ext : row->compact;
  uint32_t count = 0;

  while (count < 6 && want[count].len > 0)
    count++;
  size_t head = s->extended ? 32 : 20;
  size_t fixed = s->extended ? 8 : 4;
  unsigned half = s->extended ? 8 : 4;
  ROW_INT(row->name, n, head + fixed + count * 2 * half);
  ROW_INT(row->name, unit_get(p, 0, 4), s->extended ? 0x6e8a278c : 0x668e33ef);
  ROW_INT(row->name, unit_get(p, 4, 2), NBD_REPLY_FLAG_DONE);
  ROW_INT(row->name, unit_get(p, 6, 2), s->extended ? 6 : 5);
  ROW_TRUE(row->name, memcmp(p + 8, "cookie!", 8) == 0);
  if (s->extended)
    ROW_INT(row->name, unit_get(p, 16, 8), row->off);
  ROW_INT(row->name, unit_get(p, head - half, half), n - head);
  ROW_INT(row->name, unit_get(p, head, 4), NBD_CONTEXT_ALLOCATION);
  if (s->extended)
    ROW_INT(row->name, unit_get(p, head + 4, 4), count);
  for (uint32_t i = 0; i < count; i++) {
    size_t at = head + fixed + i * 2 * half;
    ROW_INT(row->name, unit_get(p, at, half), want[i].len);
    ROW_INT(row->name, unit_get(p, at + half, half), want[i].flags);
  }
}

static void
play_row(const struct row *row, const struct nbd_session *model)
{
  struct nbd_session s = *model;
  struct nbd_request req = {.cookie = "cookie!", .off = row->off,
                            .len = row->len, .flags = row->flags,
                            .type = NBD_CMD_BLOCK_STATUS};
  size_t cap = (s.extended ? 40u : 24u) +
               (row->room ? row->room : 8) * (s.extended ? 16u : 8u);
  if (cap < NBD_STATUS_SIZE(1)) /* room for so few cannot be had */
    return;
  uint8_t *buf = malloc(cap);
  struct nbd_status st;

  s.size = row->size;
  nbd_status_begin(&st, &s, &req, NBD_CONTEXT_ALLOCATION, buf, cap);
  for (size_t i = 0; i < ARRAY_SIZE(row->in); i++)
    if (!nbd_status_add(&st, row->in[i].len, (uint32_t)row->in[i].flags))
      assert_false(nbd_status_add(&st, 512, 77));
  check_chunk(row, &s, buf, nbd_status_end(&st, true));
  free(buf);
}

static void
test_status(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    play_row(&rows[i], &structured);
    play_row(&rows[i], &extended);
  }
}

static void
test_status_empty(void **state)
{
  (void)state;
  struct nbd_request req = {.len = 512};
  uint8_t buf[NBD_STATUS_SIZE(1)];
  struct nbd_status st;

  nbd_status_begin(&st, &structured, &req, NBD_CONTEXT_DEPTH, buf,
                   sizeof buf);
  assert_true(nbd_status_add(&st, 0, 0));
  assert_int_equal(nbd_status_end(&st, false), 0);
}

/* Random extents: the rules that a client relies on hold. */
static void
check_rules(const struct nbd_session *s, const struct nbd_request *req,
            const uint8_t *p, size_t n)
{
  size_t head = s->extended ? 40 : 24;
  unsigned half = s->extended ? 8 : 4;
  uint64_t sum = 0, last = 0, flags = UINT64_MAX;

  assert_true(n >= head + 2 * half && (n - head) % (2 * half) == 0);
  for (size_t at = head; at < n; at += 2 * half) {
    last = unit_get(p, at, half);
    assert_true(last > 0);
    assert_true(unit_get(p, at + half, half) != flags);
    flags = unit_get(p, at + half, half);
    sum += last;
  }
  assert_true(sum - last < req->len);
  assert_true(req->off + sum <= s->size);
  if (req->flags & NBD_CMD_FLAG_REQ_ONE) {
    assert_int_equal(n, head + 2 * half);
    assert_true(sum <= req->len);
  }
}

static void
test_status_rules(void **state)
{
  (void)state;
  static uint8_t buf[1024];

  for (unsigned round = 0; round < 20000; round++) {
    struct nbd_session s = round % 2 ? extended : structured;
    struct nbd_request req = {.cookie = "cookie!"};
    struct nbd_status st;
    s.size = 1 + ((uint64_t)unit_random() << (unit_random() % 10));
    req.off = unit_random() % s.size;
    req.len = 1 + unit_random() % (s.size - req.off);
    req.flags = round % 3 ? 0 : NBD_CMD_FLAG_REQ_ONE;
    nbd_status_begin(&st, &s, &req, NBD_CONTEXT_ALLOCATION, buf,
                     NBD_STATUS_SIZE(1 + unit_random() % 50));
    unsigned shift = unit_random() % 32;
    do {
      uint64_t len = 1 + (unit_random() >> shift);
      nbd_status_add(&st, len << (round % 5), unit_random() % 3);
    } while (!st.full && unit_random() % 100);
    check_rules(&s, &req, buf, nbd_status_end(&st, true));
  }
}

static void
test_most_extents(void **state)
{
  (void)state;
  const size_t cap = NBD_STATUS_SIZE(NBD_MAX_EXTENTS + 100);
  uint8_t *buf = malloc(cap);
  struct nbd_request req = {.len = structured.size};
  struct nbd_status st;
  uint32_t n = 0;

  nbd_status_begin(&st, &structured, &req, NBD_CONTEXT_ALLOCATION, buf, cap);
  while (nbd_status_add(&st, 512, n % 2))
    n++;
  assert_int_equal(n, NBD_MAX_EXTENTS);
  assert_int_equal(nbd_status_end(&st, true),
                   20 + 4 + 8 * (size_t)NBD_MAX_EXTENTS);
  free(buf);
}

static void
test_context_flags(void **state)
{
  (void)state;
  static const struct {
    bool hole, zero;
    uint16_t depth;
    uint32_t allocation, qemu, depth_flags;
  } f[] = {
    {false, false, 0, 0, 1, 0},
    {false, false, 2, 0, 3, 2},
    {false, true, 1, NBD_STATE_ZERO, 2, 1 | NBD_DEPTH_ZERO},
    {true, true, 2, NBD_STATE_ZERO | NBD_STATE_HOLE, 0,
     2 | NBD_DEPTH_ZERO | NBD_DEPTH_HOLE},
    {true, false, 0, NBD_STATE_ZERO | NBD_STATE_HOLE, 0,
     NBD_DEPTH_ZERO | NBD_DEPTH_HOLE},
  };
  for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
    assert_int_equal(nbd_context_flags(NBD_CONTEXT_ALLOCATION, f[i].hole,
                                       f[i].zero, f[i].depth),
                     f[i].allocation);
    assert_int_equal(nbd_context_flags(NBD_CONTEXT_QEMU_DEPTH, f[i].hole,
                                       f[i].zero, f[i].depth),
                     f[i].qemu);
    assert_int_equal(nbd_context_flags(NBD_CONTEXT_DEPTH, f[i].hole,
                                       f[i].zero, f[i].depth),
                     f[i].depth_flags);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ok),
    cmocka_unit_test(test_content),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_long_text),
    cmocka_unit_test(test_split),
    cmocka_unit_test(test_errno),
    cmocka_unit_test(test_status),
    cmocka_unit_test(test_status_empty),
    cmocka_unit_test(test_status_rules),
    cmocka_unit_test(test_most_extents),
    cmocka_unit_test(test_context_flags),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

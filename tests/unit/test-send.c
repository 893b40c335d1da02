/* SPDX-License-Identifier: BSD-2-Clause */
/* test-send: early replies to a client, beside what its loop sends, over a
 * stream of our own that takes as much as the test says. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "client/send.h"
#include "disk/budget.h"
#include "net/stream.h"
#include "unit/unit.h"

static struct {
  struct stream stream;
  size_t room; /* it takes so many bytes more */
  size_t len;
  char bytes[4096];
} wire;

static struct budget budget;
static struct account account;
static struct loop *loop; /* nobody runs it */
static struct sender sender;

static ssize_t
take(struct stream *s, const struct iovec *iov, int n, bool more)
{
  size_t taken = 0;

  (void)s;
  (void)more;
  for (int i = 0; i < n; i++) {
    const size_t k = iov[i].iov_len < wire.room ? iov[i].iov_len : wire.room;
    assert_true(k <= sizeof wire.bytes - wire.len);
    memcpy(wire.bytes + wire.len, iov[i].iov_base, k);
    wire.len += k;
    wire.room -= k;
    taken += k;
  }
  return taken > 0 ? (ssize_t)taken : -EAGAIN;
}

static const struct stream_ops beside = { .sendv = take, .sends_beside = true };
static const struct stream_ops alone = { .sendv = take };

static int
begin(void **state)
{
  (void)state;
  memset(&wire, 0, sizeof wire);
  wire.stream.ops = &beside;
  wire.room = sizeof wire.bytes;
  memset(&sender, 0, sizeof sender);
  memset(&account, 0, sizeof account);
  loop = loop_new(NULL, 0);
  assert_non_null(loop);
  budget_init(&budget, UINT64_C(64) << 20, UINT64_C(16) << 20);
  budget_join(&budget, &account, loop, NULL);
  send_init(&sender, &account);
  send_allow_early(&sender, &wire.stream);
  return 0;
}

static int
end(void **state)
{
  (void)state;
  send_clear(&sender);
  send_destroy(&sender);
  assert_true(budget_leave(&account));
  budget_destroy(&budget);
  loop_free(loop);
  return 0;
}

/* The loop has that to send. */
static void
put(const char *text)
{
  unsigned char *p = send_reserve(&sender, strlen(text));

  assert_non_null(p);
  memcpy(p, text, strlen(text));
  send_commit(&sender, strlen(text));
}

static bool
early(const char *text)
{
  const bool taken =
    send_early_put(&sender, (const unsigned char *)text, strlen(text));

  send_early(&sender);
  return taken;
}

static void
assert_sent(const char *text)
{
  assert_int_equal(wire.len, strlen(text));
  assert_memory_equal(wire.bytes, text, wire.len);
}

/* They do not wait for what the loop has not begun to send. */
static void
test_early(void **state)
{
  (void)state;
  put("loop");
  assert_true(early("one"));
  assert_true(early("two"));
  assert_sent("onetwo");
  assert_int_equal(send_some(&sender, &wire.stream), 0);
  assert_sent("onetwoloop");
  assert_true(send_is_empty(&sender));
}

/* They do not come into the middle of what it has begun. */
static void
test_midway(void **state)
{
  (void)state;
  put("loop");
  wire.room = 2;
  assert_int_equal(send_some(&sender, &wire.stream), -EAGAIN);
  wire.room = 100;
  assert_true(early("early"));
  assert_sent("lo");
  assert_int_equal(send_some(&sender, &wire.stream), 0);
  assert_sent("loopearly");
  assert_true(send_is_empty(&sender));
}

/* What was begun early goes on before anything else, and the loop, which has
 * nothing of its own, sees that there is something. */
static void
test_torn(void **state)
{
  (void)state;
  wire.room = 2;
  assert_true(early("early"));
  assert_true(early("bird"));
  assert_sent("ea");
  assert_false(send_is_empty(&sender));
  put("loop");
  wire.room = 4;
  assert_int_equal(send_some(&sender, &wire.stream), -EAGAIN);
  assert_true(sender.blocked);
  wire.room = 100;
  assert_int_equal(send_some(&sender, &wire.stream), 0);
  assert_sent("earlybirdloop");
  assert_false(sender.blocked);
}

/* More than there is room for is left to the loop; there is room again. */
static void
test_full(void **state)
{
  (void)state;
  char text[SEND_EARLY / 2 + 2];

  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = 0;
  wire.room = 1;
  assert_true(early(text));
  assert_false(early(text));
  assert_true(early("yyy"));
  wire.room = 1000;
  send_early(&sender);
  assert_int_equal(wire.len, sizeof text - 1 + 3);
  assert_true(early(text));
  assert_int_equal(wire.len, 2 * (sizeof text - 1) + 3);
}

/* Not to a stream that one thread at a time uses, nor to nobody. */
static void
test_never(void **state)
{
  (void)state;
  send_clear(&sender);
  assert_false(early("late"));
  wire.stream.ops = &alone;
  send_allow_early(&sender, &wire.stream);
  assert_false(early("tls"));
  assert_sent("");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_early, begin, end),
    cmocka_unit_test_setup_teardown(test_midway, begin, end),
    cmocka_unit_test_setup_teardown(test_torn, begin, end),
    cmocka_unit_test_setup_teardown(test_full, begin, end),
    cmocka_unit_test_setup_teardown(test_never, begin, end),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

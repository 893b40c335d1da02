/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages that are announced before encryption begins: those of honest clients
 * pass, whatever the pieces they come in, and no long one does.
 */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls/hello.h"

enum {
  CIPHER = 20,
  ALERT = 21,
  HANDSHAKE = 22,
  DATA = 23,
  CLIENT_HELLO = 1,
};

struct stream {
  unsigned char bytes[65536];
  size_t len;
};

static void
add_record(struct stream *s, unsigned char type, const void *bytes, size_t len)
{
  const unsigned char head[] = {type, 3, 1, (unsigned char) (len >> 8),
                                (unsigned char) len};

  assert_true(s->len + sizeof head + len <= sizeof s->bytes);
  memcpy(s->bytes + s->len, head, sizeof head);
  memcpy(s->bytes + s->len + sizeof head, bytes, len);
  s->len += sizeof head + len;
}

/* The first have bytes of a ClientHello that is to have len. */
static void
add_hello(struct stream *s, size_t len, size_t have)
{
  unsigned char bytes[4 + 16380] = {CLIENT_HELLO, (unsigned char) (len >> 16),
                                    (unsigned char) (len >> 8),
                                    (unsigned char) len};

  assert_true(have <= sizeof bytes - 4);
  memset(bytes + 4, 0xff, have);
  add_record(s, HANDSHAKE, bytes, 4 + have);
}

/* At once, and byte by byte. */
static int
check(const struct stream *s, struct hello *h, enum hello_phase phase)
{
  struct hello slow = *h;
  int r = hello_check(h, s->bytes, s->len, phase), of_slow = 0;

  for (size_t i = 0; of_slow == 0 && i < s->len; i++) {
    of_slow = hello_check(&slow, s->bytes + i, 1, phase);
  }
  assert_int_equal(r, of_slow);
  if (r == 0) {
    assert_memory_equal(h, &slow, sizeof slow);
  }
  return r;
}

static void
hellos_pass_up_to_a_limit(void **state)
{
  static const size_t lengths[] = {0, 1, 200, 16380, HELLO_MAX,
                                   HELLO_MAX + 1, 131072, 0xffffff};

  (void) state;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct hello h = {.over = false};
    struct stream s = {.len = 0};
    add_hello(&s, lengths[i], lengths[i] < 16380 ? lengths[i] : 100);
    assert_int_equal(check(&s, &h, HELLO_FIRST),
                     lengths[i] > HELLO_MAX ? -EMSGSIZE : 0);
  }
}

static void
messages_lie_across_records(void **state)
{
  struct hello h = {.over = false};
  struct stream s = {.len = 0};

  (void) state;
  add_record(&s, HANDSHAKE, "", 0);
  add_record(&s, HANDSHAKE, "\1", 1);
  add_record(&s, ALERT, "\1\0", 2);
  add_record(&s, HANDSHAKE, "\0\0", 2);
  add_record(&s, HANDSHAKE, "\3abc\1\0", 6); /* and the next begins */
  assert_int_equal(check(&s, &h, HELLO_FIRST), 0);
  s.len = 0;
  add_record(&s, HANDSHAKE, "\1\0x", 3); /* of 256 bytes */
  assert_int_equal(check(&s, &h, HELLO_FIRST), 0);
  assert_int_equal(h.message_left, 255);

  h = (struct hello){.over = false};
  s.len = 0;
  add_record(&s, HANDSHAKE, "\1", 1);
  add_record(&s, HANDSHAKE, "\1\0", 2);
  add_record(&s, HANDSHAKE, "\0", 1);
  assert_int_equal(check(&s, &h, HELLO_FIRST), -EMSGSIZE);
}

static void
what_is_encrypted_is_not_looked_at(void **state)
{
  struct hello h = {.over = false};
  struct stream s = {.len = 0};

  (void) state;
  add_hello(&s, 200, 200);
  assert_int_equal(check(&s, &h, HELLO_FIRST), 0);
  s.len = 0;
  add_record(&s, CIPHER, "\1", 1);
  add_record(&s, HANDSHAKE, "\xff\xff\xff\xff\xff", 5);
  assert_int_equal(check(&s, &h, HELLO_TLS_1_2), 0);

  h = (struct hello){.over = false};
  s.len = 0;
  add_record(&s, CIPHER, "\1", 1);
  add_record(&s, DATA, "\xff\xff\xff\xff\xff", 5);
  assert_int_equal(check(&s, &h, HELLO_TLS_1_3), 0);
}

static void
second_hello_of_tls_1_3_is_limited_too(void **state)
{
  struct hello h = {.over = false};
  struct stream s = {.len = 0};

  (void) state;
  add_record(&s, CIPHER, "\1", 1);
  add_hello(&s, 300, 300);
  assert_int_equal(check(&s, &h, HELLO_TLS_1_3), 0);
  add_hello(&s, 131072, 0);
  assert_int_equal(check(&s, &h, HELLO_TLS_1_3), -EMSGSIZE);
  /* Nor can it come before it is known that it is one. */
  h = (struct hello){.over = false};
  s.len = 0;
  add_hello(&s, 300, 300);
  add_record(&s, CIPHER, "\1", 1);
  add_hello(&s, 131072, 0);
  assert_int_equal(check(&s, &h, HELLO_FIRST), -EPROTO);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(hellos_pass_up_to_a_limit),
    cmocka_unit_test(messages_lie_across_records),
    cmocka_unit_test(what_is_encrypted_is_not_looked_at),
    cmocka_unit_test(second_hello_of_tls_1_3_is_limited_too),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

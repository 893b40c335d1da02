/* SPDX-License-Identifier: BSD-2-Clause */
/* test-nbd-text.c: the protocol's strings, names for logs, and send buffer. */
#include "config.h"

#include "nbd/out.h"
#include "nbd/protocol.h"
#include "nbd/text.h"
#include "unit/unit.h"

static void
test_valid(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    size_t len;
    bool valid;
  } rows[] = {
    {"", 0, true},
    {"plain", 5, true},
    {"a\nb\x1b", 4, true},
    {"nul\0", 4, false},
    {"\xc3\xa4", 2, true},
    {"\xe2\x82\xac", 3, true},
    {"\xf0\x9f\x98\x80", 4, true},
    {"\xf4\x8f\xbf\xbf", 4, true},
    {"\xc3", 1, false},             /* cut */
    {"\xe2\x82", 2, false},
    {"\xf0\x9f\x98", 3, false},
    {"\xc3x", 2, false},
    {"\xe2\x82x", 3, false},
    {"\x80", 1, false},             /* a lone continuation */
    {"\xff", 1, false},
    {"\xfe", 1, false},
    {"\xf8\x88\x80\x80\x80", 5, false},
    {"\xc0\x80", 2, false},         /* overlong */
    {"\xc1\xbf", 2, false},
    {"\xe0\x9f\xbf", 3, false},
    {"\xf0\x8f\xbf\xbf", 4, false},
    {"\xed\x9f\xbf", 3, true},
    {"\xed\xa0\x80", 3, false},     /* surrogates */
    {"\xed\xbf\xbf", 3, false},
    {"\xee\x80\x80", 3, true},
    {"\xf4\x90\x80\x80", 4, false}, /* beyond Unicode */
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    /* Exactly so much memory, so that reading past it is seen. */
    char *copy = malloc(rows[i].len ? rows[i].len : 1);
    memcpy(copy, rows[i].text, rows[i].len);
    if (nbd_text_valid(copy, rows[i].len) != rows[i].valid)
      fail_msg("row %zu", i);
    free(copy);
  }
  char *longest = malloc(4097);
  memset(longest, 'x', 4097);
  assert_true(nbd_text_valid(longest, 4096));
  assert_false(nbd_text_valid(longest, 4097));
  free(longest);
}

static void
test_clean(void **state)
{
  (void)state;
  static const struct {
    const char *from, *to;
    size_t size;
  } rows[] = {
    {"plain", "plain", 100},
    {"plain", "plain", 6},
    {"plain", "plai", 5},
    {"plain", "", 1},
    {"a\x1b[2J\r\n\x7f", "a?[2J???", 100},
    {"\xc2\x9b" "31m", "?31m", 100}, /* CSI as one character */
    {"\xc2\xa0", "\xc2\xa0", 100},
    {"x\xff\xc3y", "x??y", 100},
    {"x\xc3", "x?", 100},
    {"\xc3\xa4\xc3\xa4", "\xc3\xa4", 4},
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    char *to = malloc(rows[i].size);
    ROW_INT(rows[i].from, nbd_text_clean(to, rows[i].size, rows[i].from),
            strlen(rows[i].to));
    ROW_STRING(rows[i].from, to, rows[i].to);
    free(to);
  }
}

static void
test_echo(void **state)
{
  (void)state;
  char to[NBD_ECHO_MAX + 4], name[4097], want[NBD_ECHO_MAX + 4];

  assert_string_equal(nbd_text_echo(to, "disk"), "disk");
  memset(name, 'n', 4096);
  name[4096] = '\0';
  snprintf(want, sizeof want, "%.*s...", NBD_ECHO_MAX, name);
  assert_string_equal(nbd_text_echo(to, name), want);
  name[NBD_ECHO_MAX] = '\0';
  assert_string_equal(nbd_text_echo(to, name), name);
  /* Not in the middle of a character. */
  memcpy(name + NBD_ECHO_MAX - 1, "\xe2\x82\xac", 4);
  snprintf(want, sizeof want, "%.*s...", NBD_ECHO_MAX - 1, name);
  assert_string_equal(nbd_text_echo(to, name), want);
}

static void
test_names(void **state)
{
  (void)state;
  assert_string_equal(nbd_opt_name(7), "NBD_OPT_GO");
  assert_string_equal(nbd_opt_name(77), "unknown");
  assert_string_equal(nbd_rep_name(0x80000005), "NBD_REP_ERR_TLS_REQD");
  assert_string_equal(nbd_rep_name(1), "NBD_REP_ACK");
  assert_string_equal(nbd_info_name(3), "NBD_INFO_BLOCK_SIZE");
  assert_string_equal(nbd_cmd_name(0), "NBD_CMD_READ");
  assert_string_equal(nbd_cmd_name(9), "unknown");
  assert_string_equal(nbd_reply_type_name(0x8001), "NBD_REPLY_TYPE_ERROR");
  assert_string_equal(nbd_error_name(108), "NBD_ESHUTDOWN");
}

static void
test_out(void **state)
{
  (void)state;
  struct nbd_out out = {.max = 1000};
  char bytes[600];

  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)i;
  assert_true(nbd_out_put(&out, bytes, 600));
  assert_true(nbd_out_has_room(&out, 400));
  assert_false(nbd_out_has_room(&out, 401));
  nbd_out_consume(&out, 100);
  assert_int_equal(out.len, 500);
  assert_memory_equal(out.data, bytes + 100, 500);
  assert_true(nbd_out_put(&out, bytes, 500));
  assert_memory_equal(out.data + 500, bytes, 500);
  assert_true(nbd_out_put(&out, NULL, 0));
  assert_false(nbd_out_put(&out, bytes, 1));
  assert_true(out.failed);
  assert_int_equal(out.len, 1000);
  nbd_out_consume(&out, 1000);
  assert_null(out.data);
  assert_true(out.failed);
  assert_false(nbd_out_put(&out, bytes, 1));
  nbd_out_free(&out);
  assert_false(out.failed);
  assert_true(nbd_out_put(&out, bytes, 1));
  nbd_out_free(&out);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_valid), cmocka_unit_test(test_clean),
    cmocka_unit_test(test_echo),  cmocka_unit_test(test_names),
    cmocka_unit_test(test_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

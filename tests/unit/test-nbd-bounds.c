/* SPDX-License-Identifier: BSD-2-Clause */
/* test-nbd-bounds.c: what a handshake costs and where it ends, whatever the
 * client does; and its owner's side. */
#include "config.h"

#include "nbd/handshake/handshake.h"
#include "unit/unit.h"

static const struct nbd_policy plain = {
  .tls = NBD_TLS_OFF, .max_option = NBD_DEFAULT_MAX_OPTION,
  .max_options = NBD_DEFAULT_MAX_OPTIONS, .max_drain = NBD_DEFAULT_MAX_DRAIN,
};
static const struct nbd_policy with_tls = {
  .tls = NBD_TLS_ON, .max_option = NBD_DEFAULT_MAX_OPTION,
  .max_options = NBD_DEFAULT_MAX_OPTIONS, .max_drain = NBD_DEFAULT_MAX_DRAIN,
};

static const unsigned char fixed_flags[] = {0, 0, 0, 3};

struct flood {
  struct nbd_handshake hs;
  struct nbd_out out;
  unsigned char option[16];
  unsigned flushes;
};

/* Sends one option header without data, flushing only when told to. */
static enum nbd_event
send_option(struct flood *f, uint32_t option)
{
  enum nbd_event event;
  size_t used, done = 0;

  unit_put(f->option, 0, 8, NBD_OPTION_MAGIC);
  unit_put(f->option, 8, 4, option);
  do {
    event = nbd_handshake_feed(&f->hs, f->option + done, 16 - done, &used,
                               &f->out);
    done += used;
    assert_true(f->out.len <= f->out.max);
    if (event == NBD_EVENT_FLUSH) {
      assert_true(done < 16);
      f->flushes++;
      nbd_out_consume(&f->out, f->out.len);
    }
  } while (event == NBD_EVENT_FLUSH);
  return event;
}

static void
begin_flood(struct flood *f, const struct nbd_policy *policy)
{
  size_t used;

  *f = (struct flood){.out.max = NBD_HANDSHAKE_OUT_MAX};
  nbd_handshake_init(&f->hs, policy, false);
  assert_int_equal(nbd_handshake_start(&f->hs, &f->out), NBD_EVENT_MORE);
  assert_int_equal(nbd_handshake_feed(&f->hs, fixed_flags, 4, &used, &f->out),
                   NBD_EVENT_MORE);
}

static void
end_flood(struct flood *f)
{
  nbd_handshake_free(&f->hs);
  nbd_out_free(&f->out);
}

static void
test_many_options(void **state)
{
  (void)state;
  struct flood f;

  begin_flood(&f, &plain);
  for (unsigned i = 0; i < NBD_DEFAULT_MAX_OPTIONS; i++)
    assert_int_equal(send_option(&f, 77), NBD_EVENT_MORE);
  assert_true(f.flushes > 0);
  assert_int_equal(send_option(&f, 77), NBD_EVENT_CLOSE);
  assert_int_equal(f.hs.reason, NBD_CLOSE_TOO_MANY);
  end_flood(&f);
}

/* A LIST longer than out is told to wait, and loses nothing. */
static void
test_long_list(void **state)
{
  (void)state;
  struct flood f;
  char name[4097], big[5000];
  size_t sent = 0;

  memset(name, 'n', 4096);
  name[4096] = '\0';
  memset(big, 'd', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  begin_flood(&f, &plain);
  nbd_out_consume(&f.out, f.out.len);
  assert_int_equal(send_option(&f, NBD_OPT_LIST), NBD_EVENT_LIST);
  for (unsigned i = 0; i < 50; i++)
    while (!nbd_handshake_list_item(&f.hs, &f.out, name, big)) {
      assert_true(f.out.len > 0 && f.out.len <= f.out.max);
      sent += f.out.len;
      f.flushes++;
      nbd_out_consume(&f.out, f.out.len);
    }
  assert_int_equal(nbd_handshake_list_end(&f.hs, &f.out), NBD_EVENT_MORE);
  assert_int_equal(sent + f.out.len, 50 * (20 + 4 + 4096 + 4096) + 20);
  assert_true(f.flushes > 0 && !f.out.failed);
  end_flood(&f);
}

/* Waiting for its owner, a handshake takes nothing more. */
static void
test_waits(void **state)
{
  (void)state;
  static const struct nbd_export_info info = {.name = "e", .size = 512};
  struct flood f;
  size_t used;

  begin_flood(&f, &plain);
  assert_int_equal(send_option(&f, NBD_OPT_EXPORT_NAME), NBD_EVENT_EXPORT);
  assert_true(nbd_handshake_waits(&f.hs));
  assert_string_equal(f.hs.want.name, "");
  assert_int_equal(nbd_handshake_feed(&f.hs, f.option, 16, &used, &f.out),
                   NBD_EVENT_EXPORT);
  assert_int_equal(used, 0);
  assert_int_equal(nbd_handshake_export(&f.hs, &info, &f.out),
                   NBD_EVENT_READY);
  assert_int_equal(nbd_handshake_feed(&f.hs, f.option, 16, &used, &f.out),
                   NBD_EVENT_READY);
  assert_int_equal(used, 0);
  assert_false(nbd_handshake_waits(&f.hs));
  end_flood(&f);
}

/* A LIST may be refused, but not by asking for TLS. */
static void
test_list_refused(void **state)
{
  (void)state;
  static const struct {
    uint32_t why, said;
  } rows[] = {
    {NBD_REP_ERR_POLICY, NBD_REP_ERR_POLICY},
    {NBD_REP_ERR_SHUTDOWN, NBD_REP_ERR_SHUTDOWN},
    {NBD_REP_ERR_TLS_REQD, NBD_REP_ERR_POLICY},
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct flood f;
    begin_flood(&f, &with_tls);
    nbd_out_consume(&f.out, f.out.len);
    assert_int_equal(send_option(&f, NBD_OPT_LIST), NBD_EVENT_LIST);
    assert_int_equal(nbd_handshake_refuse(&f.hs, rows[i].why, NULL, &f.out),
                     NBD_EVENT_MORE);
    assert_int_equal(unit_get(f.out.data, 12, 4), rows[i].said);
    assert_int_equal(send_option(&f, NBD_OPT_ABORT), NBD_EVENT_CLOSE);
    end_flood(&f);
  }
}

/* An idle or half-open client costs what it has sent, no more. */
static void
test_memory(void **state)
{
  (void)state;
  struct flood f;
  size_t used;

  assert_true(sizeof(struct nbd_handshake) <= 160);
  begin_flood(&f, &plain);
  nbd_out_consume(&f.out, f.out.len);
  assert_null(f.out.data);
  assert_null(f.hs.payload);
  unit_put(f.option, 0, 8, NBD_OPTION_MAGIC);
  unit_put(f.option, 8, 4, NBD_OPT_GO);
  unit_put(f.option, 12, 4, NBD_DEFAULT_MAX_OPTION);
  assert_int_equal(nbd_handshake_feed(&f.hs, f.option, 16, &used, &f.out),
                   NBD_EVENT_MORE);
  assert_int_equal(nbd_handshake_feed(&f.hs, "abcd", 4, &used, &f.out),
                   NBD_EVENT_MORE);
  assert_true(f.hs.payload_cap <= 256);
  end_flood(&f);
}

/* Without room for what it has to say, a handshake closes. */
static void
test_no_room(void **state)
{
  (void)state;
  static const struct nbd_export_info info = {.name = "e", .size = 512};
  struct nbd_handshake hs;
  struct nbd_out out = {.max = 17};
  struct flood f;

  nbd_handshake_init(&hs, &plain, false);
  assert_int_equal(nbd_handshake_start(&hs, &out), NBD_EVENT_CLOSE);
  assert_int_equal(hs.reason, NBD_CLOSE_NO_MEMORY);
  nbd_handshake_free(&hs);
  nbd_out_free(&out);

  begin_flood(&f, &plain);
  f.out.failed = true;
  assert_int_equal(send_option(&f, NBD_OPT_STRUCTURED_REPLY),
                   NBD_EVENT_CLOSE);
  assert_int_equal(f.hs.reason, NBD_CLOSE_NO_MEMORY);
  end_flood(&f);

  begin_flood(&f, &plain);
  assert_int_equal(send_option(&f, NBD_OPT_LIST), NBD_EVENT_LIST);
  f.out.failed = true;
  assert_int_equal(nbd_handshake_list_end(&f.hs, &f.out), NBD_EVENT_CLOSE);
  end_flood(&f);

  begin_flood(&f, &plain);
  assert_int_equal(send_option(&f, NBD_OPT_EXPORT_NAME), NBD_EVENT_EXPORT);
  f.out.failed = true;
  assert_int_equal(nbd_handshake_export(&f.hs, &info, &f.out),
                   NBD_EVENT_CLOSE);
  assert_int_equal(f.hs.reason, NBD_CLOSE_NO_MEMORY);
  end_flood(&f);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_many_options),
    cmocka_unit_test(test_long_list),
    cmocka_unit_test(test_waits),
    cmocka_unit_test(test_list_refused),
    cmocka_unit_test(test_memory),
    cmocka_unit_test(test_no_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

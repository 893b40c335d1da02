/* SPDX-License-Identifier: BSD-2-Clause */
/* test-host: what the model of a host says that a power cut leaves, of each way
 * in which the end of an image's file moves.
 *
 * The file ends in a sector of OLD; a write of NEW beyond it moves the end, as
 * a new footer does.  All ways to keep what is not durable are tried. */
#include "config.h"

#include "host.h"
#include "unit/unit.h"

#define ROOM (64 << 10)
#define END 8192   /* of the file at first */
#define NEXT 16384 /* and of what lengthens it */

enum { OLD = 0xaa, NEW = 0xbb };

/* What was seen at the file's end, over all ways. */
enum {
  OLD_END = 1,  /* at END, OLD */
  NEW_END = 2,  /* at NEXT, NEW */
  BARE_END = 4, /* at NEXT, zeros: it moved, and its bytes did not come */
  ODD_END = 8,  /* anything else */
};

struct scene {
  struct host host;
  uint8_t file[ROOM], data[ROOM];
  uint64_t at, id;
};

static int
set_up(void **state)
{
  struct scene *s = calloc(1, sizeof *s);

  memset(s->file, OLD, END);
  memset(s->data, NEW, ROOM);
  host_init(&s->host, s->file, END, ROOM);
  s->host.data[0] = s->data;
  *state = s;
  return 0;
}

static int
tear_down(void **state)
{
  struct scene *s = *state;

  host_free(&s->host);
  free(s);
  return 0;
}

/* ---------------------------------------------------------------- its calls */

static uint64_t
begin(struct scene *s, enum call_op op, uint64_t off, uint64_t len)
{
  struct record rec = {
    .kind = RECORD_BEGIN, .op = (uint16_t)op, .id = ++s->id,
    .off = off, .len = len,
  };

  assert_null(host_take(&s->host, &rec, s->at++));
  return rec.id;
}

static void
end(struct scene *s, uint64_t id, uint64_t done)
{
  struct record rec = { .kind = RECORD_END, .id = id, .done = done };

  assert_null(host_take(&s->host, &rec, s->at++));
}

static void
call(struct scene *s, enum call_op op, uint64_t off, uint64_t len)
{
  end(s, begin(s, op, off, len), op == CALL_TRUNCATE ? 1 : len);
}

static void
failing_sync(struct scene *s)
{
  struct record rec = { .kind = RECORD_END, .result = -1 };

  rec.id = begin(s, CALL_SYNC, 0, 0);
  assert_null(host_take(&s->host, &rec, s->at++));
}

/* The server is killed, and leaves the file as those calls made it. */
static void
killed(struct scene *s, uint64_t size)
{
  if (size == NEXT)
    memset(s->file + NEXT - 512, NEW, 512);
  assert_null(host_end_life(&s->host, s->file, size, s->at++));
}

/* ------------------------------------------------------------ what is left */

static bool
keep(void *opaque, const struct change *change, unsigned index,
     uint32_t sector)
{
  (void)change, (void)sector;
  return *(unsigned *)opaque >> index & 1;
}

static int
end_of(const struct content *c)
{
  uint8_t last[512];
  int value = c->bytes[c->size - 1];

  memset(last, value, sizeof last);
  if (memcmp(c->bytes + c->size - 512, last, 512) != 0)
    return ODD_END;
  if (c->size == END && value == OLD)
    return OLD_END;
  if (c->size != NEXT)
    return ODD_END;
  return value == NEW ? NEW_END : value == 0 ? BARE_END : ODD_END;
}

/* What look() says of each that may be left, all together. */
static int
look_at_all(struct scene *s, bool ordered, int (*look)(const struct content *c))
{
  struct content left;
  int seen = 0;

  content_init(&left, ROOM);
  host_add_open(&s->host);
  assert_in_range(s->host.nchange, 0, 10);
  for (unsigned ways = 0; ways < 1U << s->host.nchange; ways++) {
    host_cut(&s->host, keep, &ways, ordered, &left);
    seen |= look(&left);
  }
  host_drop_open(&s->host);
  content_free(&left, ROOM);
  return seen;
}

static int
ends(struct scene *s, bool ordered)
{
  return look_at_all(s, ordered, end_of);
}

/* 1: it ends a sector behind NEXT; 2: and has something of what was there. */
static int
far_end_of(const struct content *c)
{
  return c->size != NEXT + 512 ? 0 : c->bytes[NEXT - 1] == 0 ? 1 : 3;
}

/* What was cut off is not there when the end is behind it anew. */
static void
assert_gone(struct scene *s)
{
  assert_int_equal(look_at_all(s, true, far_end_of), 1);
  assert_int_equal(look_at_all(s, false, far_end_of), 1);
}

/* The end is where it was, or where it moved to, there with what was written;
 * and without, where a host moves it first. */
static void
assert_moving(struct scene *s)
{
  assert_int_equal(ends(s, true), OLD_END | NEW_END);
  assert_int_equal(ends(s, false), OLD_END | NEW_END | BARE_END);
}

static void
assert_ends(struct scene *s, int where)
{
  assert_int_equal(ends(s, true), where);
  assert_int_equal(ends(s, false), where);
}

/* ------------------------------------------------------------------- cases */

static void
growth(void **state)
{
  struct scene *s = *state;

  call(s, CALL_RESERVE, END, NEXT - END);
  assert_ends(s, OLD_END);
  uint64_t id = begin(s, CALL_WRITE, NEXT - 512, 512);
  assert_moving(s);
  end(s, id, 512);
  assert_moving(s);
  id = begin(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  assert_moving(s);
  end(s, id, 512);
  assert_ends(s, NEW_END);
}

static void
growth_and_sync(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  call(s, CALL_SYNC, 0, 0);
  assert_ends(s, NEW_END);
}

static void
growth_at_once_durable(void **state)
{
  struct scene *s = *state;

  uint64_t id = begin(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  assert_moving(s);
  end(s, id, 512);
  assert_ends(s, NEW_END);
}

static void
growth_then_a_kill(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  killed(s, NEXT);
  assert_moving(s);
}

/* The call had happened, and nobody had written that down. */
static void
kill_within_growth(void **state)
{
  struct scene *s = *state;

  begin(s, CALL_WRITE, NEXT - 512, 512);
  killed(s, NEXT);
  assert_moving(s);
  call(s, CALL_SYNC, 0, 0);
  assert_ends(s, NEW_END);
}

static void
kill_among_others(void **state)
{
  struct scene *s = *state;

  begin(s, CALL_WRITE, 0, 512);
  begin(s, CALL_WRITE, NEXT - 512, 512);
  begin(s, CALL_CLEAR, 4096, 512);
  killed(s, NEXT);
  assert_moving(s);
}

static void
kill_before_growth(void **state)
{
  struct scene *s = *state;

  begin(s, CALL_WRITE, NEXT - 512, 512);
  killed(s, END);
  assert_ends(s, OLD_END);
}

/* It promises nothing of an end that it does not need. */
static void
durable_write_elsewhere(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  call(s, CALL_DURABLE_WRITE, 4096, 512);
  assert_moving(s);
  call(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  assert_ends(s, NEW_END);
}

static void
growth_taken_back(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  call(s, CALL_TRUNCATE, END, 0);
  assert_moving(s);
  call(s, CALL_SYNC, 0, 0);
  assert_ends(s, OLD_END);
}

/* Nothing was at this place when the end went beyond it. */
static void
growth_after_a_cut(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  call(s, CALL_TRUNCATE, END, 0);
  call(s, CALL_EXTEND, END, NEXT + 512 - END);
  assert_gone(s);
}

/* Nor does it come back by a sync, when only the size was durable before. */
static void
growth_after_a_durable_cut(void **state)
{
  struct scene *s = *state;

  call(s, CALL_WRITE, NEXT - 512, 512);
  call(s, CALL_TRUNCATE, END, 0);
  call(s, CALL_EXTEND, END, NEXT + 512 - END);
  call(s, CALL_DURABLE_WRITE, NEXT, 512);
  assert_gone(s);
  call(s, CALL_SYNC, 0, 0);
  assert_gone(s);
}

/* That holds also where syncs have failed in between. */
static void
growth_after_a_failed_sync(void **state)
{
  struct scene *s = *state;

  call(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  call(s, CALL_TRUNCATE, END, 0);
  failing_sync(s);
  call(s, CALL_EXTEND, END, NEXT + 512 - END);
  assert_gone(s);
  call(s, CALL_SYNC, 0, 0);
  assert_gone(s);
  assert_int_equal(s->host.nchange, 0);
}

static void
cut_at_a_close(void **state)
{
  struct scene *s = *state;

  call(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  uint64_t id = begin(s, CALL_TRUNCATE, END, 0);
  assert_ends(s, OLD_END | NEW_END);
  end(s, id, 1);
  assert_ends(s, OLD_END | NEW_END);
  killed(s, END);
  assert_ends(s, OLD_END | NEW_END);
  call(s, CALL_SYNC, 0, 0);
  assert_ends(s, OLD_END);
}

static void
kill_within_a_cut(void **state)
{
  struct scene *s = *state;

  call(s, CALL_DURABLE_WRITE, NEXT - 512, 512);
  begin(s, CALL_TRUNCATE, END, 0);
  killed(s, END);
  assert_ends(s, OLD_END | NEW_END);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
    CASE(growth), CASE(growth_and_sync), CASE(growth_at_once_durable),
    CASE(growth_then_a_kill), CASE(kill_within_growth),
    CASE(kill_among_others), CASE(kill_before_growth),
    CASE(durable_write_elsewhere), CASE(growth_taken_back),
    CASE(growth_after_a_cut), CASE(growth_after_a_durable_cut),
    CASE(growth_after_a_failed_sync),
    CASE(cut_at_a_close), CASE(kill_within_a_cut),
  };

  return cmocka_run_group_tests_name("test-host", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-redo: changes in place through power cuts and kills at any moment, and
 * what is made of a companion that does not go with its file.
 *
 * A file and its companion lie in memory, and all that is done to them is
 * written down.  A power cut keeps what was synced, and of the rest what chance
 * would have: each write, or some of its sectors, each change of the length,
 * and the companion's name. */
#include "config.h"

#include <errno.h>

#include "base/arith.h"
#include "base/error.h"
#include "store/redo.h"
#include "unit/unit.h"

#define ROOM 16384U
#define OPS 400U
#define DATA 16384U

enum op_kind { WRITE, LENGTH, SYNC, MAKE, SETTLE, REMOVE };

struct bytes {
  uint8_t data[ROOM];
  uint64_t size;
};

struct op {
  enum op_kind kind;
  unsigned file;
  uint64_t off, len; /* LENGTH: off */
  uint8_t *data;
};

/* The image is file 0, its companion file 1. */
struct world {
  struct bytes now[2];
  bool companion;
  struct bytes before[2]; /* when the log began: all of it durable */
  bool before_companion;
  struct op op[OPS];
  unsigned nop;
  unsigned fail_at;       /* the n-th op fails; 0: none */
  unsigned fail_times;
  bool unwritten;         /* it was a write to the image */
};

struct mem_file {
  struct vhd_file file;
  struct world *world;
  unsigned n;
};

static struct world world;

/* ---------------------------------------------------------------- the files */

static void
begin_log(struct world *w)
{
  for (unsigned i = 0; i < w->nop; i++)
    free(w->op[i].data);
  w->nop = 0;
  memcpy(w->before, w->now, sizeof w->before);
  w->before_companion = w->companion;
}

static void
resize(struct bytes *b, uint64_t size)
{
  assert_true(size <= ROOM);
  if (size > b->size)
    memset(b->data + b->size, 0, size - b->size);
  b->size = size;
}

static void
put(struct bytes *b, const void *data, uint64_t off, uint64_t len)
{
  resize(b, MAX(b->size, off + len));
  memcpy(b->data + off, data, len);
}

/* Written down, and done: or, if it is its turn, neither. */
static int
log_op(struct world *w, enum op_kind kind, unsigned file, uint64_t off,
       const void *data, uint64_t len)
{
  assert_true(w->nop < OPS);
  if (w->fail_at != 0 && w->nop + 1 >= w->fail_at && w->fail_times > 0) {
    w->fail_times--;
    w->unwritten |= kind == WRITE && file == 0;
    return -ENOSPC;
  }
  struct op *op = &w->op[w->nop++];
  *op = (struct op){ kind, file, off, len, NULL };
  if (data) {
    op->data = malloc(len + 1);
    memcpy(op->data, data, len);
    put(&w->now[file], data, off, len);
  } else if (kind == LENGTH) {
    resize(&w->now[file], off);
  } else if (kind == MAKE || kind == REMOVE) {
    w->companion = kind == MAKE;
    w->now[1].size = 0;
  }
  return 0;
}

static int
mem_perform(struct vhd_file *file, struct vhd_io *io)
{
  struct mem_file *f = (struct mem_file *)file;
  struct bytes *b = &f->world->now[f->n];

  switch ((enum vhd_io_kind)io->kind) {
  case VHD_IO_READ:
    if (!range_fits(io->off, io->len, b->size))
      return -EIO;
    memcpy(io->buf, b->data + io->off, io->len);
    return 0;
  case VHD_IO_WRITE:
    return log_op(f->world, WRITE, f->n, io->off, io->buf, io->len);
  case VHD_IO_SYNC:
    return log_op(f->world, SYNC, f->n, 0, NULL, 0);
  case VHD_IO_EXTEND:
    return io->off + io->len <= b->size
             ? 0 : log_op(f->world, LENGTH, f->n, io->off + io->len, NULL, 0);
  case VHD_IO_TRUNCATE:
    return log_op(f->world, LENGTH, f->n, io->off, NULL, 0);
  default:
    return -ENOTSUP;
  }
}

static int
mem_size(struct vhd_file *file, uint64_t *size)
{
  struct mem_file *f = (struct mem_file *)file;

  *size = f->world->now[f->n].size;
  return 0;
}

static void
mem_close(struct vhd_file *file)
{
  free(file->path);
  free(file);
}

static struct vhd_file *mem_open(struct world *w, unsigned n);

static int
mem_companion(struct vhd_file *file, enum companion_mode mode,
              struct vhd_file **companion, struct vhd_error *err)
{
  struct world *w = ((struct mem_file *)file)->world;

  if (err)
    err->code = VHD_OK;
  if (w->companion != (mode != COMPANION_MAKE))
    return w->companion ? -EEXIST : -ENOENT;
  int r = mode == COMPANION_MAKE ? log_op(w, MAKE, 1, 0, NULL, 0) : 0;
  if (r < 0)
    return vhd_fail_sys(err, -r, "companion");
  *companion = mem_open(w, 1);
  return 0;
}

static int
mem_settle(struct vhd_file *file, bool remove)
{
  struct world *w = ((struct mem_file *)file)->world;

  return log_op(w, remove ? REMOVE : SETTLE, 1, 0, NULL, 0);
}

static const struct file_ops mem_ops = {
  .perform = mem_perform,
  .size = mem_size,
  .companion = mem_companion,
  .settle = mem_settle,
  .close = mem_close,
};

static struct vhd_file *
mem_open(struct world *w, unsigned n)
{
  struct mem_file *f = calloc(1, sizeof *f);

  f->file = (struct vhd_file){
    .ops = &mem_ops, .fd = -1, .path = strdup(n == 0 ? "image" : "companion"),
    .ino = 7,
  };
  f->world = w;
  f->n = n;
  return &f->file;
}

/* --------------------------------------------------------------- power cuts */

static bool
chance(unsigned in)
{
  return unit_random() % in == 0;
}

/* Was there a sync of this file among the ops [from, end)? */
static bool
synced(const struct world *w, unsigned file, unsigned from, unsigned end)
{
  for (unsigned i = from; i < end; i++)
    if (w->op[i].kind == SYNC && w->op[i].file == file)
      return true;
  return false;
}

static void
apply_op(struct bytes *b, const struct op *op, bool torn)
{
  uint64_t n;

  if (op->kind == LENGTH)
    resize(b, op->off);
  else if (op->kind == WRITE)
    for (uint64_t at = 0; at < op->len; at += n) {
      n = MIN(op->len - at, 512 - (op->off + at) % 512);
      if (!torn || chance(2))
        put(b, op->data + at, op->off + at, n);
    }
}

static bool
settled(const struct world *w, unsigned from, unsigned end)
{
  for (unsigned i = from; i < end; i++)
    if (w->op[i].kind == SETTLE)
      return true;
  return false;
}

/* What the disk may hold after the first `end` ops. */
static void
cut_power(const struct world *w, unsigned end, struct world *after)
{
  begin_log(after);
  memcpy(after->now, w->before, sizeof after->now);
  after->companion = w->before_companion;
  for (unsigned i = 0; i < end; i++) {
    const struct op *op = &w->op[i];
    if (op->kind == MAKE || op->kind == REMOVE) {
      if (settled(w, i, end) || chance(2))
        after->companion = op->kind == MAKE;
      continue;
    }
    const bool sure = synced(w, op->file, i, end);
    if (sure || chance(2))
      apply_op(&after->now[op->file], op, !sure && chance(2));
  }
  begin_log(after);
}

/* The process dies after the first `end` ops: all is there, but durable no more
 * than it was. */
static void
kill_process(const struct world *w, unsigned end, struct world *after)
{
  begin_log(after);
  memcpy(after->now, w->before, sizeof after->now);
  after->companion = w->before_companion;
  begin_log(after);
  for (unsigned i = 0; i < end; i++) {
    const struct op *op = &w->op[i];
    log_op(after, op->kind, op->file, op->off, op->data, op->len);
  }
}

static void
stop(const struct world *w, unsigned end, bool kill, struct world *after)
{
  if (kill)
    kill_process(w, end, after);
  else
    cut_power(w, end, after);
}

/* -------------------------------------------------------------- the changes */

struct change {
  const char *name;
  uint64_t size, length; /* before; 0: not set */
  struct {
    uint64_t off, len;
  } add[4];
};

static const struct change changes[] = {
  { "a sector", 4096, 0, { { 512, 512 } } },
  { "many, not in order", 8192, 0,
    { { 4096, 2048 }, { 0, 1024 }, { 7680, 512 }, { 2048, 512 } } },
  { "longer", 4096, 0, { { 3584, 1024 }, { 0, 512 } } },
  { "longer, with a gap", 4096, 8192, { { 3584, 512 }, { 7680, 512 } } },
  { "shorter", 8192, 4096, { { 3584, 512 }, { 0, 512 } } },
  { "shorter, and nothing else", 8192, 4096, { { 0, 0 } } },
  { "an old footer, of 511 bytes", 4607, 4608, { { 4096, 512 } } },
  { "bytes that lie across", 4096, 0, { { 500, 1100 } } },
};

static void
make_world(const struct change *c)
{
  begin_log(&world);
  world.companion = false;
  world.fail_at = 0;
  world.unwritten = false;
  world.now[0].size = c->size;
  memset(world.now[0].data, 'o', c->size);
  world.now[1].size = 0;
  begin_log(&world);
}

static int
make_change(const struct change *c, struct vhd_error *err)
{
  static uint8_t data[ROOM];
  struct vhd_file *file = mem_open(&world, 0);
  struct redo *redo;

  memset(data, 'n', sizeof data);
  assert_int_equal(redo_begin(file, &redo, err), 0);
  for (unsigned i = 0; i < 4 && c->add[i].len > 0; i++)
    assert_int_equal(redo_add(redo, data, c->add[i].len, c->add[i].off), 0);
  if (c->length)
    redo_set_length(redo, c->length);
  int r = redo_commit(redo, err);
  redo_free(redo);
  file_close(file);
  return r;
}

static int
finish(struct world *w, enum redo_opener opener, struct vhd_error *err)
{
  struct vhd_file *file = mem_open(w, 0);
  int r = redo_finish(file, opener, err);

  file_close(file);
  return r;
}

static bool
equals(const struct bytes *a, const struct bytes *b)
{
  return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* What was opened is as it was or as it is to be, and stays so whatever becomes
 * of the companion while somebody changes it. */
static void
check_whole(const char *name, struct world *w, const struct bytes *old,
            const struct bytes *new, bool acknowledged)
{
  static struct world last;
  static const uint8_t mark[512] = "later";

  if (!equals(&w->now[0], new) &&
      (acknowledged || !equals(&w->now[0], old)))
    fail_msg("%s: neither old nor new", name);
  if (w->now[0].size < sizeof mark)
    return;
  struct vhd_file *file = mem_open(w, 0);
  assert_int_equal(file_write(file, mark, sizeof mark, 512), 0);
  assert_int_equal(file_do(file, VHD_IO_SYNC, 0, 0, 0), 0);
  file_close(file);
  cut_power(w, w->nop, &last);
  struct vhd_error err = { 0 };
  ROW_INT(name, finish(&last, REDO_WRITER, &err), REDO_NONE);
  begin_log(&last);
  if (!equals(&last.now[0], &w->now[0]))
    fail_msg("%s: a later change was lost", name);
}

/* Power cuts and kills at each op of a change, and again of its being
 * finished. */
static void
test_cuts(void **state)
{
  static struct world first, second;
  struct bytes old, new;

  (void)state;
  for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
    make_world(&changes[c]);
    old = world.now[0];
    assert_int_equal(make_change(&changes[c], NULL), 0);
    new = world.now[0];
    assert_false(equals(&old, &new));
    assert_false(world.companion);
    for (unsigned i = 0; i < (world.nop + 1) * 200; i++) {
      const char *name = changes[c].name;
      const unsigned end = i / 200;
      struct vhd_error err = { 0 };
      stop(&world, end, i % 8 < 3, &first);
      const unsigned begun = first.nop;
      if (finish(&first, REDO_WRITER, &err) != REDO_NONE)
        fail_msg("%s: %s", name, err.message);
      if (i % 2) {
        const unsigned n = first.nop - begun;
        stop(&first, begun + unit_random() % (n + 1), i % 16 < 3, &second);
        ROW_INT(name, finish(&second, REDO_WRITER, &err), REDO_NONE);
        check_whole(name, &second, &old, &new, end == world.nop);
        begin_log(&second);
      } else {
        check_whole(name, &first, &old, &new, end == world.nop);
      }
      begin_log(&first);
    }
  }
}

/* Any op fails, once or for good: the file is as it was or as it is to be, now
 * or once there is space again. */
static void
test_failures(void **state)
{
  struct bytes old, new;

  (void)state;
  for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
    make_world(&changes[c]);
    old = world.now[0];
    assert_int_equal(make_change(&changes[c], NULL), 0);
    new = world.now[0];
    const unsigned n = world.nop;
    for (unsigned i = 0; i < 2 * n; i++) {
      const char *name = changes[c].name;
      struct vhd_error err = { 0 };
      make_world(&changes[c]);
      world.fail_at = 1 + i / 2;
      world.fail_times = i % 2 ? 1 : OPS;
      int r = make_change(&changes[c], &err);
      if (world.unwritten && i % 2)
        ROW_TRUE(name, r < 0 && !world.companion);
      if (r < 0 && !world.companion)
        ROW_TRUE(name, equals(&world.now[0], &old));
      if (r == 0)
        ROW_TRUE(name, equals(&world.now[0], &new));
      ROW_TRUE(name, r == 0 || err.message[0] != '\0');
      world.fail_at = 0;
      ROW_INT(name, finish(&world, REDO_WRITER, &err), REDO_NONE);
      ROW_TRUE(name, equals(&world.now[0], &old) ||
                       equals(&world.now[0], &new));
      ROW_TRUE(name, !world.companion);
    }
  }
}

/* Kills a change half way: what was written down is complete, and one of the
 * places is changed. */
static void
kill_half_way(struct world *w)
{
  unsigned end;

  make_world(&changes[1]);
  assert_int_equal(make_change(&changes[1], NULL), 0);
  for (end = 0; world.op[end].kind != WRITE || world.op[end].file != 0; end++)
    ;
  kill_process(&world, end + 2, w);
  begin_log(w);
}

static void
test_openers(void **state)
{
  static struct world w;
  struct vhd_error err = { 0 };

  (void)state;
  kill_half_way(&w);
  const struct bytes half = w.now[0];
  assert_int_equal(finish(&w, REDO_UNLOCKED, &err), REDO_UNDER_WAY);
  assert_int_equal(finish(&w, REDO_READER, &err), -EIO);
  assert_int_equal(err.code, VHD_JOURNAL);
  assert_non_null(strstr(err.message, "open the image once for writing"));
  assert_true(equals(&w.now[0], &half));
  assert_int_equal(finish(&w, REDO_WRITER, &err), REDO_NONE);
  assert_true(equals(&w.now[0], &world.now[0]));
  assert_false(w.companion);
  assert_int_equal(finish(&w, REDO_READER, &err), REDO_NONE);
}

/* Somebody else changed the file meanwhile, or another took its place. */
static void
test_foreign(void **state)
{
  static struct world w;
  struct vhd_error err = { 0 };

  (void)state;
  kill_half_way(&w);
  memset(w.now[0].data + 7680, 'f', 512);
  const struct bytes foreign = w.now[0];
  static const enum redo_opener openers[] = { REDO_READER, REDO_WRITER };
  for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
    assert_int_equal(finish(&w, openers[i], &err), -EIO);
    assert_non_null(strstr(err.message, "another program changed it"));
    assert_true(equals(&w.now[0], &foreign));
    assert_true(w.companion);
  }
  struct vhd_file *other = mem_open(&w, 0);
  other->ino++;
  assert_int_equal(redo_finish(other, REDO_WRITER, &err), REDO_OTHERS);
  file_close(other);
  assert_true(equals(&w.now[0], &foreign));
  assert_true(w.companion);
  /* What outgrew it, too. */
  kill_half_way(&w);
  resize(&w.now[0], 9000);
  assert_int_equal(finish(&w, REDO_WRITER, &err), -EIO);
}

/* A file that was put back as it was is left alone. */
static void
test_put_back(void **state)
{
  static struct world w;
  struct vhd_error err = { 0 };

  (void)state;
  kill_half_way(&w);
  memset(w.now[0].data, 'o', w.now[0].size);
  const struct bytes old = w.now[0];
  assert_int_equal(finish(&w, REDO_READER, &err), REDO_NONE);
  assert_true(w.companion);
  assert_int_equal(finish(&w, REDO_WRITER, &err), REDO_NONE);
  assert_true(equals(&w.now[0], &old));
  assert_false(w.companion);
}

/* Each byte of a companion, changed: nothing is done, or it is refused. */
static void
test_damaged(void **state)
{
  static struct world w;

  (void)state;
  kill_half_way(&w);
  const struct world whole = w;
  for (uint64_t at = 0; at < whole.now[1].size; at++) {
    struct vhd_error err = { 0 };
    w = whole;
    w.now[1].data[at] ^= 0x40;
    w.nop = 0;
    int r = finish(&w, REDO_WRITER, &err);
    if (!equals(&w.now[0], &whole.now[0]))
      fail_msg("byte %d was believed", (int)at);
    if (r < 0)
      assert_int_equal(err.code, VHD_JOURNAL);
    assert_true(w.companion == (r < 0));
    begin_log(&w);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cuts),     cmocka_unit_test(test_failures),
    cmocka_unit_test(test_openers),  cmocka_unit_test(test_foreign),
    cmocka_unit_test(test_put_back), cmocka_unit_test(test_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

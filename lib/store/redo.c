/* SPDX-License-Identifier: BSD-2-Clause */
/* redo.c: see redo.h. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/rules.h"
#include "store/redo.h"
#include "store/redo_record.h"
#include "store/times.h"

struct redo {
  struct vhd_file *file;
  struct redo_record record; /* its bytes are owned */
  size_t room;               /* of .record.range */
  size_t bytes;
};

/* ------------------------------------------------------------------ reading */

/* What lies beyond the end are zeros. */
static int
read_padded(struct vhd_file *file, void *buf, uint64_t len, uint64_t off,
            uint64_t size)
{
  const uint64_t there = off < size ? MIN(len, size - off) : 0;

  memset((uint8_t *)buf + there, 0, len - there);
  return there > 0 ? file_read(file, buf, there, off) : 0;
}

/* How far has it come?  Of a change of the length alone, by the length. */
static int
look_at_ranges(struct vhd_file *file, const struct redo_record *record,
               struct redo_progress *progress)
{
  uint64_t size;

  int r = file_size(file, &size);
  for (size_t i = 0; r == 0 && i < record->n; i++) {
    const struct redo_range *range = &record->range[i];
    CLEANUP_FREE uint8_t *now = malloc(range->len);
    r = now ? read_padded(file, now, range->len, range->off, size) : -ENOMEM;
    if (r == 0)
      redo_range_compare(range, now, progress);
  }
  if (r < 0)
    return r;
  progress->foreign |= size < MIN(record->old_size, record->new_size) ||
                       size > MAX(record->old_size, record->new_size);
  progress->begun |= size != record->old_size;
  progress->left |= size != record->new_size;
  return 0;
}

/* ------------------------------------------------------------------ writing */

/* Puts the bytes into their places, new or old, and makes the file end where it
 * is to. */
static int
apply(struct vhd_file *file, const struct redo_record *record, bool undo)
{
  const uint64_t size = undo ? record->old_size : record->new_size;
  uint64_t now;

  int r = file_do(file, VHD_IO_EXTEND, 0, size, 0);
  for (size_t i = 0; r == 0 && i < record->n; i++) {
    const struct redo_range *range = &record->range[i];
    const uint64_t len =
      range->off < size ? MIN(range->len, size - range->off) : 0;
    if (len > 0)
      r = file_write(file, undo ? range->before : range->after, len,
                     range->off);
  }
  if (r == 0 && RULE(REDO_MADE))
    r = file_do(file, VHD_IO_SYNC, 0, 0, 0);
  if (r == 0)
    r = file_size(file, &now);
  if (r == 0 && now > size) {
    r = file_do(file, VHD_IO_TRUNCATE, size, 0, 0);
    if (r == 0)
      r = file_do(file, VHD_IO_SYNC, 0, 0, 0);
  }
  if (r == 0 && record->keep_time)
    file_set_time(file, record->mtime);
  return r;
}

/* It counts no more, not even after a power cut. */
static int
forget(struct vhd_file *file, struct vhd_file *companion)
{
  int r = file_do(companion, VHD_IO_TRUNCATE, 0, 0, 0);

  if (r == 0)
    r = file_do(companion, VHD_IO_SYNC, 0, 0, 0);
  if (r == 0)
    file_settle(file, true); /* an empty one does no harm */
  return r;
}

static int
write_down(struct vhd_file *file, struct vhd_file *companion,
           const uint8_t *buf, size_t size)
{
  int r = file_write(companion, buf, size, 0);

  if (r == 0 && RULE(REDO_DOWN))
    r = file_do(companion, VHD_IO_SYNC, 0, 0, 0);
  return r < 0 || !RULE(REDO_NAME) ? r : file_settle(file, false);
}

/* ----------------------------------------------------------------- a change */

static int64_t
nanoseconds(struct file_time t)
{
  return t.sec * 1000000000 + t.nsec;
}

/* Which file it is, as far as can be told. */
static void
identify(struct vhd_file *file, struct redo_record *record)
{
  struct file_times times;

  file_times(file, &times);
  record->ino = file->ino;
  record->born = nanoseconds(times.born);
  record->mtime = nanoseconds(times.changed);
}

int
redo_begin(struct vhd_file *file, struct redo **redo, struct vhd_error *err)
{
  struct redo *r = calloc(1, sizeof *r);

  if (!r)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  r->file = file;
  int e = file_size(file, &r->record.old_size);
  if (e < 0) {
    free(r);
    return vhd_fail_sys(err, -e, "%s", file->path);
  }
  r->record.new_size = r->record.old_size;
  identify(file, &r->record);
  *redo = r;
  return 0;
}

static int
grow(struct redo *redo)
{
  const size_t room = redo->room ? 2 * redo->room : 16;
  struct redo_range *range =
    realloc(redo->record.range, room * sizeof *range);

  if (!range)
    return -ENOMEM;
  redo->record.range = range;
  redo->room = room;
  return 0;
}

int
redo_add(struct redo *redo, const void *buf, size_t len, uint64_t off)
{
  struct redo_record *record = &redo->record;

  if (record->n == redo->room && grow(redo) < 0)
    return -ENOMEM;
  uint8_t *before = malloc(len), *after = malloc(len);
  if (!before || !after) {
    free(before);
    free(after);
    return -ENOMEM;
  }
  memcpy(after, buf, len);
  record->range[record->n++] = (struct redo_range){
    .off = off, .len = len, .before = before, .after = after,
  };
  redo->bytes += 2 * len;
  record->new_size = MAX(record->new_size, off + len);
  return 0;
}

void
redo_set_length(struct redo *redo, uint64_t len)
{
  redo->record.new_size = len;
}

void
redo_keep_time(struct redo *redo, int64_t mtime)
{
  redo->record.mtime = mtime;
  redo->record.keep_time = true;
}

void
redo_free(struct redo *redo)
{
  if (!redo)
    return;
  for (size_t i = 0; i < redo->record.n; i++) {
    free((void *)(uintptr_t)redo->record.range[i].before);
    free((void *)(uintptr_t)redo->record.range[i].after);
  }
  redo_record_free(&redo->record);
  free(redo);
}

static int
compare_ranges(const void *a, const void *b)
{
  const struct redo_range *x = a, *y = b;

  return x->off < y->off ? -1 : x->off > y->off;
}

/* Orders the ranges, and fills in what is there. */
static int
complete(struct redo *redo)
{
  struct redo_record *record = &redo->record;
  uint64_t end = 0;

  if (redo->bytes + record->n * sizeof record->range[0] > REDO_MAX)
    return -EFBIG;
  if (record->n > 0)
    qsort(record->range, record->n, sizeof record->range[0], compare_ranges);
  for (size_t i = 0; i < record->n; i++) {
    struct redo_range *range = &record->range[i];
    int r = range->off < end || range->off + range->len > record->new_size
              ? -EINVAL
              : read_padded(redo->file, (void *)(uintptr_t)range->before,
                            range->len, range->off, record->old_size);
    if (r < 0)
      return r;
    end = range->off + range->len;
  }
  return 0;
}

uint8_t *
redo_reverse(struct redo *redo, size_t *size)
{
  struct redo_record record = redo->record;

  if (complete(redo) < 0)
    return NULL;
  record.range = calloc(record.n + 1, sizeof *record.range);
  if (!record.range)
    return NULL;
  for (size_t i = 0; i < record.n; i++) {
    const struct redo_range *range = &redo->record.range[i];
    record.range[i] = (struct redo_range){
      .off = range->off, .len = range->len, .before = range->after,
      .after = range->before,
    };
  }
  record.old_size = redo->record.new_size;
  record.new_size = redo->record.old_size;
  uint8_t *buf = redo_record_format(&record, size);
  free(record.range);
  return buf;
}

static bool
same_records(const struct redo_record *a, const struct redo_record *b)
{
  bool same = a->n == b->n && a->old_size == b->old_size &&
              a->new_size == b->new_size && a->ino == b->ino;

  for (size_t i = 0; same && i < a->n; i++) {
    const struct redo_range *x = &a->range[i], *y = &b->range[i];
    same = x->off == y->off && x->len == y->len &&
           memcmp(x->before, y->before, x->len) == 0 &&
           memcmp(x->after, y->after, x->len) == 0;
  }
  return same;
}

bool
redo_same(const uint8_t *a, const uint8_t *b, size_t size)
{
  struct redo_record x, y;
  bool same = false;

  if (redo_record_parse(a, size, &x) != REDO_WHOLE)
    return false;
  if (redo_record_parse(b, size, &y) == REDO_WHOLE) {
    same = same_records(&x, &y);
    redo_record_free(&y);
  }
  redo_record_free(&x);
  return same;
}

/* What is cut off again need not be put back. */
static int
add_reverse(struct redo *redo, const struct redo_record *record)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < record->n; i++) {
    const struct redo_range *range = &record->range[i];
    const uint64_t left =
      range->off < record->new_size ? record->new_size - range->off : 0;
    if (left > 0)
      r = redo_add(redo, range->after, MIN(range->len, left), range->off);
  }
  redo_set_length(redo, record->new_size);
  return r;
}

int
redo_of(struct vhd_file *file, const uint8_t *buf, size_t size,
        struct redo **redo, struct vhd_error *err)
{
  struct redo_record record;
  struct redo_progress progress = { 0 };

  if (redo_record_parse(buf, size, &record) != REDO_WHOLE)
    return vhd_fail(err, VHD_JOURNAL, EINVAL,
                    "%s: what is beside it is no whole undo file", file->path);
  int r = look_at_ranges(file, &record, &progress);
  const bool fits = !progress.foreign && record.ino == file->ino;
  if (r < 0)
    r = vhd_fail_sys(err, -r, "%s", file->path);
  else if (fits && progress.begun && !progress.left)
    r = 1;
  else if (!fits || progress.begun)
    r = vhd_fail(err, VHD_JOURNAL, EINVAL,
                 "%s: it was changed since, so that what was changed before "
                 "cannot be put back", file->path);
  if (r == 0)
    r = redo_begin(file, redo, err);
  if (r == 0)
    r = add_reverse(*redo, &record);
  redo_record_free(&record);
  return r;
}

/* Puts back what was there.  What was cut off is gone. */
static bool
undo(struct vhd_file *file, const struct redo_record *record,
     struct vhd_file *companion)
{
  uint64_t size;

  return file_size(file, &size) == 0 && size >= record->old_size &&
         apply(file, record, true) == 0 && forget(file, companion) == 0;
}

/* The companion is durable: from here on whoever opens the file finishes. */
static int
carry_out(struct redo *redo, struct vhd_file *companion, struct vhd_error *err)
{
  struct vhd_file *file = redo->file;

  int r = apply(file, &redo->record, false);
  if (r < 0 && undo(file, &redo->record, companion))
    return vhd_fail_sys(err, -r, "%s: cannot be changed, and is as it was",
                        file->path);
  if (r == 0)
    r = forget(file, companion);
  return r < 0 ? vhd_fail_sys(err, -r, "%s: the change is not complete; what "
                              "is left of it is in '%s', from where the next "
                              "program that opens the image for writing "
                              "takes it", file->path, companion->path)
               : 0;
}

int
redo_commit(struct redo *redo, struct vhd_error *err)
{
  struct vhd_file *file = redo->file, *companion;
  size_t size;

  int r = complete(redo);
  if (r == 0 && RULE(REDO_BASE))
    r = file_do(file, VHD_IO_SYNC, 0, 0, 0);
  if (r < 0)
    return vhd_fail_sys(err, -r, "%s: cannot prepare the change", file->path);
  CLEANUP_FREE uint8_t *buf = redo_record_format(&redo->record, &size);
  if (!buf)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  r = file_companion(file, COMPANION_MAKE, &companion, err);
  if (r < 0)
    return r;
  r = write_down(file, companion, buf, size);
  if (r < 0) {
    vhd_fail_sys(err, -r, "%s: cannot write down in '%s' what is to be changed",
                 file->path, companion->path);
    forget(file, companion);
  } else {
    r = carry_out(redo, companion, err);
  }
  file_close(companion);
  return r;
}

/* -------------------------------------------------- what an opener is to do */

struct left {
  struct vhd_file *file, *companion;
  enum redo_opener opener;
  struct redo_record record;
  uint8_t *buf;
  size_t size;
  struct vhd_error *err;
};

static int
read_companion(struct left *left)
{
  uint64_t size;

  int r = file_size(left->companion, &size);
  if (r == 0 && size > 2 * REDO_MAX)
    r = -EFBIG;
  if (r == 0) {
    left->size = (size_t)size;
    left->buf = malloc(left->size + 1);
    r = left->buf ? file_read(left->companion, left->buf, left->size, 0)
                  : -ENOMEM;
  }
  return r < 0 ? vhd_fail_sys(left->err, -r, "%s", left->companion->path) : 0;
}

/* What counts no more, once what can be seen of the file is durable.  A reader
 * leaves it to those who write. */
static int
drop(struct left *left)
{
  if (left->opener != REDO_WRITER)
    return REDO_NONE;
  int r = file_do(left->file, VHD_IO_SYNC, 0, 0, 0);
  if (r == 0)
    r = forget(left->file, left->companion);
  return r < 0 ? vhd_fail_sys(left->err, -r, "%s: cannot be removed",
                              left->companion->path)
               : REDO_NONE;
}

static int
go_on(struct left *left)
{
  const char *path = left->file->path, *redo = left->companion->path;

  if (left->opener == REDO_UNLOCKED)
    return REDO_UNDER_WAY;
  if (left->opener == REDO_READER && !RULE(REDO_REFUSE))
    return REDO_NONE;
  if (left->opener == REDO_READER)
    return vhd_fail(left->err, VHD_JOURNAL, EIO,
                    "%s: a change of this image was interrupted, and what is "
                    "left of it is in '%s'; give the same command again, or "
                    "open the image once for writing, which finishes it",
                    path, redo);
  int r = apply(left->file, &left->record, false);
  if (r < 0)
    return vhd_fail(left->err, VHD_JOURNAL, -r,
                    "%s: a change of this image was interrupted, and cannot be "
                    "finished now from '%s': %s", path, redo,
                    strerrordesc_np(-r));
  return drop(left);
}

/* A file that took the place of another has nothing to do with its redo. */
static int
refuse(struct left *left)
{
  struct redo_record own;

  identify(left->file, &own);
  if (left->opener == REDO_UNLOCKED || left->record.ino != own.ino ||
      left->record.born != own.born)
    return REDO_OTHERS;
  return vhd_fail(left->err, VHD_JOURNAL, EIO,
                  "%s: a change of this image was interrupted, and then "
                  "another program changed it, so that it cannot be finished "
                  "from '%s'; if the image is right as it is, remove that "
                  "file", left->file->path, left->companion->path);
}

static int
finish_whole(struct left *left)
{
  struct redo_progress progress = { 0 };

  int r = look_at_ranges(left->file, &left->record, &progress);
  if (r < 0)
    return vhd_fail_sys(left->err, -r, "%s: cannot be compared with '%s'",
                        left->file->path, left->companion->path);
  if (progress.foreign)
    return refuse(left);
  return progress.begun && progress.left ? go_on(left) : drop(left);
}

static int
finish(struct left *left)
{
  int r = read_companion(left);

  if (r < 0)
    return r;
  switch (redo_record_parse(left->buf, left->size, &left->record)) {
  case REDO_WHOLE:
    r = finish_whole(left);
    redo_record_free(&left->record);
    return r;
  case REDO_TORN:
    return drop(left);
  case REDO_NOMEM:
    return vhd_fail_sys(left->err, ENOMEM, "%s", left->file->path);
  case REDO_STRANGE:
  case REDO_LATER:
    break;
  }
  return vhd_fail(left->err, VHD_JOURNAL, EIO,
                  "%s: beside it lies '%s', where vhdkit writes down what it "
                  "is about to change, but it is of another version of vhdkit "
                  "or of another program; let that one finish, or remove it",
                  left->file->path, left->companion->path);
}

int
redo_finish(struct vhd_file *file, enum redo_opener opener,
            struct vhd_error *err)
{
  struct left left = { .file = file, .opener = opener, .err = err };

  if (opener == REDO_WRITER && !RULE(REDO_FINISH))
    return REDO_NONE;
  int r = file_companion(file, opener == REDO_WRITER ? COMPANION_WRITE
                                                     : COMPANION_READ,
                         &left.companion, err);
  if (r < 0)
    return r == -ENOENT ? REDO_NONE
           : opener == REDO_UNLOCKED ? REDO_UNDER_WAY : r;
  r = finish(&left);
  free(left.buf);
  file_close(left.companion);
  return r < 0 && opener == REDO_UNLOCKED ? REDO_UNDER_WAY : r;
}

int
redo_look(struct vhd_file *file, bool after,
          int (*each)(void *opaque, const void *bytes, size_t len,
                      uint64_t off),
          void *opaque)
{
  struct left left = { .file = file };

  int r = file_companion(file, COMPANION_READ, &left.companion, NULL);
  if (r < 0)
    return r == -ENOENT ? 0 : r;
  r = read_companion(&left);
  if (r == 0 && redo_record_parse(left.buf, left.size, &left.record) ==
                  REDO_WHOLE) {
    for (size_t i = 0; r == 0 && i < left.record.n; i++) {
      const struct redo_range *range = &left.record.range[i];
      r = each(opaque, after ? range->after : range->before, range->len,
               range->off);
    }
    r = r == 0 ? (int)left.record.n : r;
    redo_record_free(&left.record);
  }
  free(left.buf);
  file_close(left.companion);
  return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* redo_record.c: see redo_record.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "store/redo_record.h"

#define MAGIC_COMMON 12 /* of all versions */

static const char magic[16] = "vhdkit redo 1\n";

#define KEEP_TIME 1

struct head {
  char magic[16];
  struct be64 old_size, new_size;
  struct be64 ino;
  struct be64 born, mtime;
  struct be64 flags;
  struct be64 n;
  struct be64 size;
  struct be64 sum;
};

struct place {
  struct be64 off, len;
};

_Static_assert(sizeof(struct head) == 88, "layout");
_Static_assert(sizeof(struct place) == 16, "layout");

/* FNV-1a, over all but the field of the sum itself. */
static uint64_t
sum(const uint8_t *buf, size_t size)
{
  const size_t at = offsetof(struct head, sum);
  uint64_t hash = 0xcbf29ce484222325;

  for (size_t i = 0; i < size; i++)
    if (i < at || i >= at + sizeof(struct be64))
      hash = (hash ^ buf[i]) * 0x100000001b3;
  return hash;
}

uint8_t *
redo_record_format(const struct redo_record *record, size_t *size)
{
  size_t at = sizeof(struct head) + record->n * sizeof(struct place);

  *size = at;
  for (size_t i = 0; i < record->n; i++)
    *size += 2 * record->range[i].len;
  uint8_t *buf = malloc(*size);
  if (!buf)
    return NULL;
  struct head *head = (struct head *)buf;
  struct place *place = (struct place *)(head + 1);
  *head = (struct head){
    .old_size = be64_put(record->old_size),
    .new_size = be64_put(record->new_size),
    .ino = be64_put(record->ino),
    .born = be64_put((uint64_t)record->born),
    .mtime = be64_put((uint64_t)record->mtime),
    .flags = be64_put(record->keep_time ? KEEP_TIME : 0),
    .n = be64_put(record->n),
    .size = be64_put(*size),
  };
  memcpy(head->magic, magic, sizeof magic);
  for (size_t i = 0; i < record->n; i++) {
    const struct redo_range *range = &record->range[i];
    place[i] = (struct place){ be64_put(range->off), be64_put(range->len) };
    memcpy(buf + at, range->before, range->len);
    memcpy(buf + at + range->len, range->after, range->len);
    at += 2 * range->len;
  }
  head->sum = be64_put(sum(buf, *size));
  return buf;
}

/* The sum is right: what does not fit now was made to harm. */
static enum redo_kind
parse_ranges(const uint8_t *buf, size_t size, struct redo_record *record)
{
  const struct place *place =
    (const struct place *)(buf + sizeof(struct head));
  uint64_t end = 0;

  if (record->n > (size - sizeof(struct head)) / sizeof *place)
    return REDO_STRANGE;
  size_t at = sizeof(struct head) + record->n * sizeof *place;
  record->range = calloc(record->n + 1, sizeof *record->range);
  if (!record->range)
    return REDO_NOMEM;
  for (size_t i = 0; i < record->n; i++) {
    struct redo_range *range = &record->range[i];
    range->off = be64_get(place[i].off);
    range->len = be64_get(place[i].len);
    if (range->off < end || range->len > (size - at) / 2 ||
        !range_fits(range->off, range->len,
                    MAX(record->old_size, record->new_size)))
      return REDO_STRANGE;
    range->before = buf + at;
    range->after = buf + at + range->len;
    at += 2 * range->len;
    end = range->off + range->len;
  }
  return at == size ? REDO_WHOLE : REDO_STRANGE;
}

enum redo_kind
redo_record_parse(const uint8_t *buf, size_t size, struct redo_record *record)
{
  const struct head *head = (const struct head *)buf;

  *record = (struct redo_record){ 0 };
  if (bytes_all(buf, MIN(size, sizeof *head), 0))
    return REDO_TORN;
  if (size < sizeof *head || memcmp(head->magic, magic, MAGIC_COMMON) != 0)
    return REDO_STRANGE;
  if (memcmp(head->magic, magic, sizeof magic) != 0)
    return REDO_LATER;
  if (be64_get(head->size) != size || be64_get(head->sum) != sum(buf, size))
    return REDO_TORN;
  record->old_size = be64_get(head->old_size);
  record->new_size = be64_get(head->new_size);
  record->ino = be64_get(head->ino);
  record->born = (int64_t)be64_get(head->born);
  record->mtime = (int64_t)be64_get(head->mtime);
  record->keep_time = be64_get(head->flags) & KEEP_TIME;
  record->n = be64_get(head->n);
  enum redo_kind kind = parse_ranges(buf, size, record);
  if (kind != REDO_WHOLE)
    redo_record_free(record);
  return kind;
}

void
redo_record_free(struct redo_record *record)
{
  free(record->range);
  *record = (struct redo_record){ 0 };
}

void
redo_range_compare(const struct redo_range *range, const uint8_t *now,
                   struct redo_progress *progress)
{
  uint64_t n;

  for (uint64_t at = 0; at < range->len; at += n) {
    n = MIN(range->len - at, REDO_PIECE - (range->off + at) % REDO_PIECE);
    const bool before = memcmp(now + at, range->before + at, n) == 0;
    const bool after = memcmp(now + at, range->after + at, n) == 0;
    progress->begun |= after && !before;
    progress->left |= before && !after;
    progress->foreign |= !before && !after;
  }
}

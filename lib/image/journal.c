/* SPDX-License-Identifier: BSD-2-Clause */
/* journal.c: see journal.h.  A record is in the ring once `head` says so; the
 * process may be killed between any two stores, so the record is stored
 * first. */
#include "config.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "image/journal.h"

#define MAGIC 0x31306a6468767476ULL

struct journal {
  uint64_t magic;
  uint64_t capacity;            /* records; a power of two */
  _Atomic uint64_t tail, head;  /* counts since the ring was made */
  struct journal_record ring[];
};

size_t
journal_bytes(uint32_t n)
{
  return sizeof(struct journal) + (size_t)n * sizeof(struct journal_record);
}

struct journal *
journal_format(void *mem, size_t bytes)
{
  struct journal *j = mem;
  uint64_t capacity = 1;

  assert(bytes >= journal_bytes(2));
  while (journal_bytes(capacity * 2) <= bytes)
    capacity *= 2;
  j->magic = 0;
  j->capacity = capacity;
  atomic_store(&j->tail, 0);
  atomic_store(&j->head, 0);
  j->magic = MAGIC;
  return j;
}

struct journal *
journal_adopt(void *mem, size_t bytes)
{
  struct journal *j = mem;

  if (bytes < journal_bytes(2) || j->magic != MAGIC || j->capacity < 2 ||
      (j->capacity & (j->capacity - 1)) != 0 ||
      j->capacity > (bytes - sizeof *j) / sizeof *j->ring ||
      j->head < j->tail || j->head - j->tail > j->capacity)
    return NULL;
  return j;
}

uint32_t
journal_room(const struct journal *j)
{
  return j->capacity - (j->head - j->tail);
}

uint32_t
journal_used(const struct journal *j)
{
  return j->head - j->tail;
}

bool
journal_empty(const struct journal *j)
{
  return j->head == j->tail;
}

void
journal_append(struct journal *j, struct journal_record rec)
{
  uint64_t head = j->head;

  assert(journal_room(j) > 0);
  j->ring[head & (j->capacity - 1)] = rec;
  atomic_store_explicit(&j->head, head + 1, memory_order_release);
}

uint64_t
journal_mark(const struct journal *j)
{
  return j->head;
}

void
journal_trim(struct journal *j, uint64_t mark)
{
  assert(mark >= j->tail && mark <= j->head);
  atomic_store_explicit(&j->tail, mark, memory_order_release);
}

int
journal_each(const struct journal *j,
             int (*each)(void *opaque, const struct journal_record *rec),
             void *opaque)
{
  for (uint64_t i = j->tail; i != j->head; i++) {
    struct journal_record rec = j->ring[i & (j->capacity - 1)];
    int r = each(opaque, &rec);
    if (r != 0)
      return r;
  }
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: see table.h. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/arith.h"
#include "base/table.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* Below this, calloc() wastes less than pages do; and AddressSanitizer watches
 * only what comes from there. */
#ifdef __SANITIZE_ADDRESS__
#define FEW_BYTES SIZE_MAX
#else
#define FEW_BYTES ((size_t)16 << 10)
#endif

/* What is mapped for a table.  The last huge page is worth it where at least
 * half of it is used. */
static size_t
mapping(size_t bytes)
{
  return bytes < HUGE_PAGE / 2 ? bytes : round_up(bytes, HUGE_PAGE);
}

static void *
map(size_t bytes)
{
  void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  return mem == MAP_FAILED ? NULL : mem;
}

/* On a huge page; bytes is a multiple of them.  Linux puts it there by itself
 * from 6.7 on. */
static void *
map_huge(size_t bytes)
{
  char *mem = map(bytes);

  if (!mem || (uintptr_t)mem % HUGE_PAGE == 0)
    return mem;
  munmap(mem, bytes);
  mem = map(bytes + HUGE_PAGE);
  if (!mem)
    return NULL;
  size_t before = HUGE_PAGE - (uintptr_t)mem % HUGE_PAGE;
  munmap(mem, before);
  if (before < HUGE_PAGE)
    munmap(mem + before + bytes, HUGE_PAGE - before);
  return mem + before;
}

/* calloc() gives memory that was used and freed, cleared by touching it all;
 * and a huge page would be touched as a whole.  Nothing is kept in front of a
 * table, for that would touch a page of each. */
void *
table_zeroed(size_t n, size_t size)
{
  size_t bytes;

  if (__builtin_mul_overflow(n, size, &bytes) ||
      bytes > SIZE_MAX - 2 * HUGE_PAGE)
    return NULL;
  if (bytes < FEW_BYTES)
    return calloc(1, MAX(bytes, 1));
  void *table = bytes < HUGE_PAGE / 2 ? map(bytes) : map_huge(mapping(bytes));
  if (table)
    madvise(table, mapping(bytes), MADV_NOHUGEPAGE);
  return table;
}

size_t
table_populate(void *table, size_t bytes, size_t from)
{
  size_t page = round_down(from, HUGE_PAGE);
  size_t to = MIN(page + HUGE_PAGE, bytes);

  if (bytes < FEW_BYTES)
    return to;
  /* Both are advice: the memory is as good without. */
  if (to - page >= HUGE_PAGE / 2)
    madvise((char *)table + page, HUGE_PAGE, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
  from = round_down(from, 4096);
  madvise((char *)table + from, to - from, MADV_POPULATE_WRITE);
#endif
  return to;
}

void
table_free(void *table, size_t n, size_t size)
{
  if (n * size < FEW_BYTES)
    free(table);
  else if (table)
    munmap(table, mapping(n * size));
}

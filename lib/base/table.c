/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: see table.h. */
#include "config.h"

#include <stddef.h>
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

/* In front of a table of zeros, for table_free(). */
union head {
  size_t mapped; /* bytes; 0: it is malloc()'s */
  max_align_t align;
};

void *
table_alloc(size_t bytes)
{
  if (bytes < HUGE_PAGE / 2)
    return malloc(bytes);
  /* The last huge page is worth it where at least half of it is used. */
  size_t huge = round_down(bytes + HUGE_PAGE / 2, HUGE_PAGE);
  void *mem = aligned_alloc(HUGE_PAGE, round_up(bytes, HUGE_PAGE));
  /* Both are advice: the memory is as good without. */
  if (mem && huge > 0)
    madvise(mem, huge, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
  if (mem)
    madvise(mem, round_up(bytes, 4096), MADV_POPULATE_WRITE);
#endif
  return mem;
}

/* calloc() gives memory that was used and freed, cleared by touching it all;
 * and a huge page would be touched as a whole. */
void *
table_zeroed(size_t n, size_t size)
{
  size_t bytes;
  union head *head;

  if (__builtin_mul_overflow(n, size, &bytes) ||
      __builtin_add_overflow(bytes, sizeof *head, &bytes))
    return NULL;
  if (bytes < FEW_BYTES) {
    head = calloc(1, bytes);
    return head ? head + 1 : NULL;
  }
  head = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (head == MAP_FAILED)
    return NULL;
  madvise(head, bytes, MADV_NOHUGEPAGE);
  head->mapped = bytes;
  return head + 1;
}

void
table_free(void *table)
{
  union head *head = table;

  if (!table)
    return;
  head--;
  if (head->mapped > 0)
    munmap(head, head->mapped);
  else
    free(head);
}

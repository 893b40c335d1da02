/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: see table.h. */
#include "config.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/arith.h"
#include "base/table.h"

#define HUGE_PAGE ((size_t)2 << 20)

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

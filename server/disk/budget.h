/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.h: the memory that clients' data takes: one account for each client,
 * one for all.  An account belongs to the thread of its loop, the budget to all
 * threads. */
#ifndef SERVER_DISK_BUDGET_H
#define SERVER_DISK_BUDGET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct budget {
  uint64_t total; /* for all clients, */
  uint64_t each;  /* and for one of them */
  atomic_uint_fast64_t used;
};

struct account {
  struct budget *budget;
  struct bufs *bufs; /* of the loop */
  uint64_t bytes;    /* charged */
};

/* Always allowed to who holds nothing yet. */
#define BUDGET_FREE ((uint64_t)256 << 10)

static inline void
budget_charge(struct account *account, uint64_t bytes)
{
  account->bytes += bytes;
  atomic_fetch_add_explicit(&account->budget->used, bytes,
                            memory_order_relaxed);
}

static inline void
budget_discharge(struct account *account, uint64_t bytes)
{
  assert(account->bytes >= bytes);
  account->bytes -= bytes;
  atomic_fetch_sub_explicit(&account->budget->used, bytes,
                            memory_order_relaxed);
}

/* May so many bytes more be charged?  The nearer all clients together come to
 * the limit, the less may one have; so whoever hoards leaves room for the
 * others. */
static inline bool
budget_may(const struct account *account, uint64_t need)
{
  const struct budget *budget = account->budget;
  const uint64_t used =
    atomic_load_explicit(&budget->used, memory_order_relaxed);
  const uint64_t want = account->bytes + need;

  if (want <= BUDGET_FREE)
    return true;
  const uint64_t share =
    used < budget->total ? (budget->total - used) / 4 : 0;
  return want <= budget->each && want <= share;
}

/* A buffer, charged; NULL where memory is short. */
struct buf *budget_get(struct account *account, size_t size);
void budget_put(struct account *account, struct buf *buf);

#endif

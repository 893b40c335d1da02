/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.h: the memory that clients' data takes: one account for each client,
 * one budget for all.
 *
 *  1. Charged is what is held: a buffer, and of one that data arrives in as
 *     much as has arrived.  What a client only announces costs nobody anything.
 *  2. Three quarters are shared.  Who holds little may have more as long as
 *     there is any; who holds much must leave room: the nearer all together
 *     come to the limit, the less may one have.
 *  3. Who may not have what it needs, and has nothing under way that would give
 *     memory back, waits in a queue.  The last quarter is lent to those in it,
 *     the oldest first: each for one request, until it holds nothing any more.
 *     So the oldest has its turn whatever the others hold.
 *  4. A client that holds memory and does not go on (it does not send the rest
 *     of a write, or does not take its replies) is shed when others wait: those
 *     whom something was lent, and the largest.
 *
 * An account belongs to the thread of its loop, the budget to all threads. */
#ifndef SERVER_DISK_BUDGET_H
#define SERVER_DISK_BUDGET_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buffer.h"
#include "base/loop.h"

struct account {
  struct budget *budget;
  struct loop *loop;
  bool waits; /* in the queue, or told that it is its turn */
  bool begun; /* what .lent is for */
  /* Written by its own thread alone, read by all: */
  atomic_uint_fast64_t bytes; /* charged */
  atomic_uint_fast64_t moved; /* of data, from and to the client */
  atomic_bool stalled;        /* it is the client's turn to go on */
  /* Written under the budget's lock: */
  atomic_uint_fast64_t lent;
  atomic_bool shed;
  uint64_t need; /* what it waits for */
  bool queued;
  bool posted;       /* .woken is */
  uint64_t seen;     /* .moved at the last look */
  unsigned idle;     /* looks that found it not going on */
  unsigned lent_for; /* looks that found it with something lent */
  TAILQ_ENTRY(account) all, queue;
  struct task woken; /* the owner's */
};

TAILQ_HEAD(accounts, account);

struct budget {
  uint64_t shared, reserve; /* together what all may have */
  uint64_t each;            /* and one of them, of what is shared */
  atomic_uint_fast64_t used;
  atomic_uint waiting; /* in .queue */
  pthread_mutex_t lock;
  struct accounts all, queue;
  uint64_t lent;   /* to all */
  uint64_t looked; /* when: monotonic ms */
};

void budget_init(struct budget *budget, uint64_t total, uint64_t each);
void budget_destroy(struct budget *budget);

/* woken is posted to the loop when it is the account's turn, or when its client
 * is to be shed; it calls budget_woken(). */
void budget_join(struct budget *budget, struct account *account,
                 struct loop *loop, void (*woken)(struct task *task));
/* Holds nothing, and wants nothing any more.  False: .woken is posted, and the
 * account must live until that has run. */
bool budget_leave(struct account *account);

/* For the fast paths below. */
bool budget_may_lent(struct account *account, uint64_t need);
void budget_eased(struct account *account);

/* Always allowed to who holds no more, as long as there is any. */
#define BUDGET_FREE ((uint64_t)256 << 10)

static inline uint64_t
budget_bytes(const struct account *account)
{
  return atomic_load_explicit(&account->bytes, memory_order_relaxed);
}

static inline void
budget_charge(struct account *account, uint64_t bytes)
{
  atomic_store_explicit(&account->bytes, budget_bytes(account) + bytes,
                        memory_order_relaxed);
  atomic_fetch_add_explicit(&account->budget->used, bytes,
                            memory_order_relaxed);
}

static inline void
budget_discharge(struct account *account, uint64_t bytes)
{
  struct budget *budget = account->budget;

  assert(budget_bytes(account) >= bytes);
  atomic_store_explicit(&account->bytes, budget_bytes(account) - bytes,
                        memory_order_relaxed);
  /* Who has begun to wait sees the new sum, or is seen here. */
  atomic_fetch_sub(&budget->used, bytes);
  if (atomic_load(&budget->waiting) > 0)
    budget_eased(account);
}

/* May so many bytes more be charged?  Of what is lent: one request may. */
static inline bool
budget_may(struct account *account, uint64_t need)
{
  const struct budget *budget = account->budget;
  const uint64_t used =
    atomic_load_explicit(&budget->used, memory_order_relaxed);
  const uint64_t want = budget_bytes(account) + need;

  if (atomic_load_explicit(&account->lent, memory_order_acquire) > 0)
    return budget_may_lent(account, need);
  if (used + need > budget->shared)
    return false;
  return want <= BUDGET_FREE ||
         (want <= budget->each && want <= (budget->shared - used) / 4);
}

/* Of `want` bytes of a request that was begun, how many may be charged now:
 * all, a step, or none. */
uint64_t budget_room(struct account *account, uint64_t want, uint64_t step);

/* Is memory short, or about to be? */
static inline bool
budget_is_tight(const struct budget *budget)
{
  return atomic_load_explicit(&budget->used, memory_order_relaxed) >
           budget->shared - budget->shared / 4 ||
         atomic_load_explicit(&budget->waiting, memory_order_relaxed) > 0;
}

/* Waits for its turn to charge `need` bytes.  It has nothing under way. */
void budget_wait(struct account *account, uint64_t need);
/* It has its turn, or waits no more; what was lent is given back, if it has not
 * begun anything.  On .woken: returns whether the client is to be shed, unless
 * it goes on now. */
bool budget_woken(struct account *account);
/* To be called when all that can be done has been: notes whether it is the
 * client's turn, and gives back what was lent for what is over. */
void budget_settle_holder(struct account *account, bool busy);
static inline void
budget_settle(struct account *account, bool busy)
{
  if (budget_bytes(account) > 0 ||
      atomic_load_explicit(&account->stalled, memory_order_relaxed) ||
      atomic_load_explicit(&account->lent, memory_order_relaxed) > 0)
    budget_settle_holder(account, busy);
}
/* Waits for nothing any more, and gives back what was lent. */
void budget_give_up(struct account *account);
/* To be called now and then by who waits: looks for those who do not go on. */
void budget_press(struct budget *budget);

/* The client has sent, or taken, so many bytes. */
static inline void
budget_moved(struct account *account, uint64_t bytes)
{
  atomic_store_explicit(&account->moved,
                        atomic_load_explicit(&account->moved,
                                             memory_order_relaxed) +
                          bytes,
                        memory_order_relaxed);
}

/* A buffer, charged; NULL where memory is short. */
struct buf *budget_get(struct account *account, size_t size);
/* One for data that arrives: budget_filled() charges what has. */
struct buf *budget_get_empty(struct account *account, size_t size);
void budget_filled(struct account *account, struct buf *buf, size_t n);
void budget_put(struct account *account, struct buf *buf);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.c: see budget.h.  The lock is taken by those who wait, or are waited
 * for; who finds enough memory takes none. */
#include "config.h"

#include "disk/budget.h"
#include "base/clock.h"

/* How often it is looked whether the clients go on; */
#define LOOK_MSEC 1000
/* by how many bytes they should have, in between; */
#define GOING_ON ((uint64_t)64 << 10)
/* how many looks in a row must find that one has not; */
#define IDLE_LOOKS 3
/* and for how many looks something may stay lent to who is waited for. */
#define LENT_LOOKS 10
/* Looks further apart say nothing of what was in between. */
#define LOOKS_APART_MSEC 10000

void
budget_init(struct budget *budget, uint64_t total, uint64_t each)
{
  budget->reserve = total / 4;
  budget->shared = total - budget->reserve;
  budget->each = each;
  pthread_mutex_init(&budget->lock, NULL);
  TAILQ_INIT(&budget->all);
  TAILQ_INIT(&budget->queue);
}

void
budget_destroy(struct budget *budget)
{
  pthread_mutex_destroy(&budget->lock);
}

/* ------------------------------------------------------------- queue, turns */

/* The lock is held. */
static void
post(struct account *account)
{
  if (account->posted)
    return;
  account->posted = true;
  loop_post(account->loop, &account->woken);
}

/* The lock is held. */
static bool
may_lend(const struct budget *budget, uint64_t need)
{
  return budget->lent == 0 || budget->lent + need <= budget->reserve ||
         atomic_load(&budget->used) + need <= budget->shared;
}

/* The lock is held. */
static void
dequeue(struct account *account)
{
  struct budget *budget = account->budget;

  if (!account->queued)
    return;
  account->queued = false;
  TAILQ_REMOVE(&budget->queue, account, queue);
  atomic_fetch_sub(&budget->waiting, 1);
}

/* The lock is held: those have their turn for whom there is room. */
static void
lend(struct budget *budget)
{
  struct account *first;

  while ((first = TAILQ_FIRST(&budget->queue)) != NULL &&
         may_lend(budget, first->need)) {
    dequeue(first);
    first->begun = false;
    first->lent_for = 0;
    budget->lent += first->need;
    atomic_store_explicit(&first->lent, first->need, memory_order_release);
    post(first);
  }
}

/* The lock is held. */
static void
give_back(struct account *account)
{
  account->budget->lent -= atomic_load(&account->lent);
  atomic_store(&account->lent, 0);
}

static void
return_lent(struct account *account)
{
  struct budget *budget = account->budget;

  pthread_mutex_lock(&budget->lock);
  give_back(account);
  lend(budget);
  pthread_mutex_unlock(&budget->lock);
}

static bool
is_over(const struct account *account)
{
  return atomic_load(&account->lent) > 0 && account->begun &&
         budget_bytes(account) == 0;
}

bool
budget_may_lent(struct account *account, uint64_t need)
{
  if (!account->begun) {
    account->begun = true;
    return true;
  }
  if (!is_over(account))
    return false;
  return_lent(account);
  return budget_may(account, need);
}

uint64_t
budget_room(struct account *account, uint64_t want, uint64_t step)
{
  if (atomic_load_explicit(&account->lent, memory_order_acquire) > 0) {
    account->begun = true;
    return want;
  }
  if (budget_may(account, want))
    return want;
  return want > step && budget_may(account, step) ? step : 0;
}

void
budget_eased(struct account *account)
{
  struct budget *budget = account->budget;

  pthread_mutex_lock(&budget->lock);
  if (is_over(account))
    give_back(account);
  lend(budget);
  pthread_mutex_unlock(&budget->lock);
}

void
budget_wait(struct account *account, uint64_t need)
{
  struct budget *budget = account->budget;

  account->waits = true;
  pthread_mutex_lock(&budget->lock);
  give_back(account);
  account->need = need > 0 ? need : 1;
  if (!account->queued) {
    account->queued = true;
    TAILQ_INSERT_TAIL(&budget->queue, account, queue);
    atomic_fetch_add(&budget->waiting, 1);
  }
  lend(budget);
  pthread_mutex_unlock(&budget->lock);
  budget_press(budget);
}

bool
budget_woken(struct account *account)
{
  struct budget *budget = account->budget;

  pthread_mutex_lock(&budget->lock);
  account->posted = false;
  account->waits = account->queued;
  pthread_mutex_unlock(&budget->lock);
  return atomic_exchange(&account->shed, false);
}

void
budget_settle_holder(struct account *account, bool busy)
{
  const bool stalled = !busy && !account->waits && budget_bytes(account) > 0;

  if (stalled != atomic_load_explicit(&account->stalled, memory_order_relaxed))
    atomic_store_explicit(&account->stalled, stalled, memory_order_relaxed);
  if (is_over(account))
    return_lent(account);
}

void
budget_give_up(struct account *account)
{
  struct budget *budget = account->budget;

  /* Nothing is lent but to who waits. */
  if (!account->waits && atomic_load(&account->lent) == 0)
    return;
  account->waits = false;
  pthread_mutex_lock(&budget->lock);
  dequeue(account);
  give_back(account);
  lend(budget);
  pthread_mutex_unlock(&budget->lock);
}

/* --------------------------------------------------------------- accounts */

void
budget_join(struct budget *budget, struct account *account, struct loop *loop,
            void (*woken)(struct task *task))
{
  account->budget = budget;
  account->loop = loop;
  account->woken.run = woken;
  pthread_mutex_lock(&budget->lock);
  TAILQ_INSERT_TAIL(&budget->all, account, all);
  pthread_mutex_unlock(&budget->lock);
}

bool
budget_leave(struct account *account)
{
  struct budget *budget = account->budget;

  assert(budget_bytes(account) == 0);
  pthread_mutex_lock(&budget->lock);
  const bool posted = account->posted;
  if (!posted) {
    TAILQ_REMOVE(&budget->all, account, all);
    dequeue(account);
    give_back(account);
    lend(budget);
  }
  pthread_mutex_unlock(&budget->lock);
  return !posted;
}

/* ---------------------------------------------------------------- shedding */

/* The lock is held.  Has the client gone on since the last look? */
static void
look_at(struct account *account, bool long_ago)
{
  const uint64_t moved = atomic_load(&account->moved);
  const bool stalled = atomic_load(&account->stalled);

  if (stalled && !long_ago && moved - account->seen < GOING_ON)
    account->idle++;
  else
    account->idle = 0;
  account->seen = moved;
  if (stalled && atomic_load(&account->lent) > 0)
    account->lent_for++;
}

/* The lock is held. */
static bool
is_idle(const struct account *account)
{
  return account->idle >= IDLE_LOOKS ||
         (atomic_load(&account->lent) > 0 && account->lent_for >= LENT_LOOKS);
}

/* The lock is held. */
static void
shed(struct budget *budget, uint64_t largest)
{
  const uint64_t used = atomic_load(&budget->used);
  const uint64_t wanted = budget->shared - budget->shared / 4;
  uint64_t excess = used > wanted ? used - wanted : 0;
  struct account *account;

  TAILQ_FOREACH(account, &budget->all, all) {
    const uint64_t bytes = budget_bytes(account);
    if (!is_idle(account) || (atomic_load(&account->lent) == 0 &&
                              (excess == 0 || bytes < largest / 2)))
      continue;
    atomic_store(&account->shed, true);
    post(account);
    excess -= excess < bytes ? excess : bytes;
  }
}

void
budget_press(struct budget *budget)
{
  struct account *account;
  uint64_t largest = 0;

  const uint64_t now = clock_ns() / 1000000;
  pthread_mutex_lock(&budget->lock);
  if (now - budget->looked >= LOOK_MSEC) {
    const bool long_ago = now - budget->looked > LOOKS_APART_MSEC;
    budget->looked = now;
    TAILQ_FOREACH(account, &budget->all, all) {
      look_at(account, long_ago);
      if (is_idle(account) && budget_bytes(account) > largest)
        largest = budget_bytes(account);
    }
    shed(budget, largest);
  }
  pthread_mutex_unlock(&budget->lock);
}

/* ----------------------------------------------------------------- buffers */

struct buf *
budget_get(struct account *account, size_t size)
{
  struct buf *buf = buf_get(&account->loop->bufs, size);

  if (buf)
    budget_charge(account, buf->resident);
  return buf;
}

struct buf *
budget_get_empty(struct account *account, size_t size)
{
  struct buf *buf = buf_get_empty(&account->loop->bufs, size);

  if (buf)
    budget_charge(account, buf->resident);
  return buf;
}

void
budget_filled(struct account *account, struct buf *buf, size_t n)
{
  const uint32_t before = buf->resident;

  buf_touch(buf, n);
  if (buf->resident > before)
    budget_charge(account, buf->resident - before);
}

void
budget_put(struct account *account, struct buf *buf)
{
  budget_discharge(account, buf->resident);
  buf_unref(&account->loop->bufs, buf);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* journal.c: see journal.h.  A record is in the ring once `head` says so; the
 * process may be killed between any two stores, so the record is stored
 * first. */
#include "config.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/arith.h"
#include "image/journal.h"

#define MAGIC 0x32306a6468767476ULL

#define SECOND 1000000000LL
/* File systems take their times from a clock that ticks 100 times a second or
 * more often. */
#define TICK (SECOND / 50)
/* What was in flight when the process died may have changed the file a little
 * later. */
#define GRACE (2 * SECOND)

struct journal {
  uint64_t magic;
  _Atomic uint64_t capacity;    /* records; a power of two */
  _Atomic uint64_t tail, head;  /* counts since the ring was made */
  /* Of the image's file; times as in struct file_stamp. */
  uint64_t least_size;
  _Atomic uint64_t most_size;
  _Atomic int64_t since;        /* no change of ours is older */
  _Atomic int64_t changed;      /* nor younger, but for what is in flight */
  _Atomic int64_t written;      /* bytes were written since; 0: none were */
  _Atomic uint32_t inflight;    /* begun and not ended */
  struct journal_record ring[];
};

size_t
journal_bytes(uint32_t n)
{
  return sizeof(struct journal) + (size_t)n * sizeof(struct journal_record);
}

/* Of so much memory. */
static uint64_t
capacity_of(size_t bytes)
{
  uint64_t capacity = 1;

  assert(bytes >= journal_bytes(2));
  while (journal_bytes(capacity * 2) <= bytes)
    capacity *= 2;
  return capacity;
}

struct journal *
journal_format(void *mem, size_t bytes)
{
  struct journal *j = mem;

  j->magic = 0;
  j->capacity = capacity_of(bytes);
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

/* A record's place in the longer ring is the one that it has, or one that the
 * shorter ring did not have: so both are whole until the capacity changes. */
void
journal_widen(struct journal *j, size_t bytes)
{
  uint64_t before = j->capacity, now = capacity_of(bytes);

  assert(now >= before);
  for (uint64_t i = j->tail; i != j->head; i++)
    j->ring[i & (now - 1)] = j->ring[i & (before - 1)];
  atomic_store_explicit(&j->capacity, now, memory_order_release);
}

static int
copy_record(void *opaque, const struct journal_record *rec)
{
  journal_append(opaque, *rec);
  return 0;
}

void
journal_copy(struct journal *j, const struct journal *from,
             const struct file_stamp *stamp)
{
  journal_each(from, copy_record, j);
  atomic_store(&j->written, MIN(from->written, stamp->mtime));
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

uint32_t
journal_trim(struct journal *j, uint64_t mark)
{
  uint64_t tail = j->tail;

  assert(mark >= tail && mark <= j->head);
  atomic_store_explicit(&j->tail, mark, memory_order_release);
  return (uint32_t)(mark - tail);
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

/* ------------------------------------------------------- the image's file */

static int64_t
now(clockid_t clock)
{
  struct timespec t;

  clock_gettime(clock, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static inline void
raise_to(_Atomic int64_t *value, int64_t to)
{
  int64_t have = atomic_load_explicit(value, memory_order_relaxed);

  while (have < to && !atomic_compare_exchange_weak(value, &have, to))
    continue;
}

/* Was the clock set back, so that what is changed from now on has times that
 * would count as too old? */
static bool
is_behind(const struct journal *j, int64_t t)
{
  return t - TICK < atomic_load_explicit(&j->since, memory_order_relaxed) ||
         t - TICK < atomic_load_explicit(&j->written, memory_order_relaxed);
}

/* The value was read before the clock: so it is the clock that went back, and
 * not this thread that was overtaken. */
static int64_t
lower(_Atomic int64_t *value)
{
  int64_t have = atomic_load(value), t = now(CLOCK_REALTIME);

  if (t - TICK < have)
    atomic_compare_exchange_strong(value, &have, t - TICK);
  return t;
}

/* The time as it is now, noted.  The file still has its times of before, so
 * `changed` stays until it has others: see come_back(). */
static inline int64_t
note_time(struct journal *j, clockid_t clock)
{
  int64_t t = now(clock);

  if (is_behind(j, t)) {
    lower(&j->since);
    t = lower(&j->written);
  }
  raise_to(&j->changed, t);
  return t;
}

/* Since `begun` the file was changed, so it has no time any more from before
 * the clock was set back, if it was. */
static inline void
come_back(struct journal *j, int64_t begun)
{
  int64_t changed = atomic_load_explicit(&j->changed, memory_order_relaxed);

  if (begun >= changed - SECOND)
    return;
  int64_t t = now(CLOCK_REALTIME);
  if (begun <= t && t < changed - SECOND)
    atomic_compare_exchange_strong(&j->changed, &changed, t);
}

void
journal_stamp(struct journal *j, const struct file_stamp *stamp)
{
  j->least_size = stamp->size;
  atomic_store(&j->most_size, stamp->size);
  atomic_store(&j->since, stamp->ctime);
  atomic_store(&j->written, 0);
  atomic_store(&j->inflight, 0);
  atomic_store(&j->changed, MAX(stamp->ctime, now(CLOCK_REALTIME)));
}

int64_t
journal_begin(struct journal *j, uint64_t end)
{
  uint64_t most = atomic_load_explicit(&j->most_size, memory_order_relaxed);

  atomic_fetch_add(&j->inflight, 1);
  while (most < end &&
         !atomic_compare_exchange_weak(&j->most_size, &most, end))
    continue;
  /* That it is a tick late does not matter: what is in flight has its grace. */
  return note_time(j, CLOCK_REALTIME_COARSE);
}

void
journal_end(struct journal *j, int64_t begun, bool wrote)
{
  /* Not the coarse one, as file systems may take the time of a change from the
   * fine one. */
  int64_t t = note_time(j, CLOCK_REALTIME);
  if (wrote) {
    come_back(j, begun);
    raise_to(&j->written, MIN(begun, t) - TICK);
  }
  atomic_fetch_sub(&j->inflight, 1);
}

/* Some file systems keep times in seconds.  By its ctime it shows, which nobody
 * can set: an mtime of whole seconds may come out of an archive. */
static bool
is_from(int64_t time, int64_t first, const struct file_stamp *stamp)
{
  return time >= (stamp->ctime % SECOND == 0 ? first - first % SECOND : first);
}

/* To rename a file, or to change its owner or mode, changes its ctime alone.
 * Its mtime can be set to any time, as is done when a backup is restored; but a
 * backup whose mtime lies behind our last write has what we wrote.  A ctime
 * before that is a file system's that was put back whole. */
bool
journal_fits(const struct journal *j, const struct file_stamp *stamp)
{
  int64_t last = j->changed + (j->inflight ? GRACE : 0);

  if (stamp->size < j->least_size || stamp->size > j->most_size ||
      !is_from(stamp->ctime, MAX(j->since, j->written), stamp))
    return false;
  if (stamp->ctime <= last)
    return true;
  return j->written > 0 && is_from(stamp->mtime, j->written, stamp) &&
         stamp->mtime <= last;
}

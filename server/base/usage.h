/* SPDX-License-Identifier: BSD-2-Clause */
/* usage.h: how something is used: how many requests of each kind, how long they
 * took, how many bytes they moved.
 *
 * Each loop counts for itself, in a struct of its own that it alone writes, so
 * that counting is an addition; any thread reads, and adds the loops' up.  They
 * are made when a loop first needs one, and live as long as what is used. */
#ifndef SERVER_BASE_USAGE_H
#define SERVER_BASE_USAGE_H

#include <stdatomic.h>
#include <stdint.h>

/* Kinds are whatever the caller numbers so. */
#define USAGE_KINDS 8

/* Times fall into buckets of twice the length of the one before: the first is
 * below 16 us, the last but one below 8.6 s, and the last has no end. */
#define USAGE_BUCKETS 21
#define USAGE_FIRST_SHIFT 14

/* The end of a bucket, in nanoseconds; UINT64_MAX for the last. */
uint64_t usage_bound(unsigned bucket);

struct usage_times {
  atomic_uint_fast64_t count[USAGE_BUCKETS];
  atomic_uint_fast64_t nsec; /* of all together */
};

struct usage {
  struct usage *next;
  unsigned loop;
  atomic_uint_fast64_t read, written; /* bytes */
  struct usage_times took[USAGE_KINDS];
};

/* One for each loop that has counted. */
struct usages {
  _Atomic(struct usage *) first;
};

/* The loop's own.  Where there is no memory for one, it is another that nobody
 * reads. */
struct usage *usage_of(struct usages *usages, unsigned loop);
/* Nobody counts any more. */
void usages_clear(struct usages *usages);

/* By the thread that counts there. */
static inline void
usage_add(atomic_uint_fast64_t *sum, uint64_t n)
{
  atomic_store_explicit(sum,
                        atomic_load_explicit(sum, memory_order_relaxed) + n,
                        memory_order_relaxed);
}

/* n requests took nsec each. */
void usage_took(struct usage_times *times, uint64_t nsec, unsigned n);

/* What a reader makes of them. */
struct usage_sum {
  uint64_t read, written;
  struct {
    uint64_t count[USAGE_BUCKETS];
    uint64_t total; /* of .count */
    uint64_t nsec;
  } took[USAGE_KINDS];
};

/* Any thread.  Adds to *sum. */
void usage_sum(const struct usages *usages, struct usage_sum *sum);

uint64_t usage_count(const struct usage_times *times);
/* Within which time that share of them was done, in nanoseconds: the end of a
 * bucket, or of the last but one where it was later; 0: there were none. */
uint64_t usage_quantile(const struct usage_times *times, double share);

#endif

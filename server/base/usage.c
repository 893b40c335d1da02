/* SPDX-License-Identifier: BSD-2-Clause */
/* usage.c: see usage.h. */
#include "config.h"

#include "base/usage.h"

#include <stdlib.h>

uint64_t
usage_bound(unsigned bucket)
{
  return bucket == USAGE_BUCKETS - 1
           ? UINT64_MAX
           : UINT64_C(1) << (USAGE_FIRST_SHIFT + bucket);
}

static unsigned
bucket_of(uint64_t nsec)
{
  const uint64_t units = nsec >> USAGE_FIRST_SHIFT;
  const unsigned bucket = units == 0 ? 0
                                     : 64 - (unsigned)__builtin_clzll(units);

  return bucket < USAGE_BUCKETS ? bucket : USAGE_BUCKETS - 1;
}

static struct usage *
find(const struct usages *usages, unsigned loop)
{
  struct usage *usage = atomic_load(&usages->first);

  while (usage && usage->loop != loop)
    usage = usage->next;
  return usage;
}

struct usage *
usage_of(struct usages *usages, unsigned loop)
{
  static struct usage nobodys;
  struct usage *usage = find(usages, loop);

  if (usage)
    return usage;
  usage = calloc(1, sizeof *usage);
  if (!usage)
    return &nobodys;
  usage->loop = loop;
  usage->next = atomic_load(&usages->first);
  while (!atomic_compare_exchange_weak(&usages->first, &usage->next, usage))
    ;
  return usage;
}

void
usages_clear(struct usages *usages)
{
  struct usage *usage = atomic_exchange(&usages->first, NULL);

  while (usage) {
    struct usage *next = usage->next;
    free(usage);
    usage = next;
  }
}

void
usage_took(struct usage_times *times, uint64_t nsec, unsigned n)
{
  usage_add(&times->count[bucket_of(nsec)], n);
  usage_add(&times->nsec, nsec * n);
}

static uint64_t
count_in(const struct usage_times *times, unsigned bucket)
{
  return atomic_load_explicit(&times->count[bucket], memory_order_relaxed);
}

void
usage_sum(const struct usages *usages, struct usage_sum *sum)
{
  for (const struct usage *u = atomic_load(&usages->first); u; u = u->next) {
    sum->read += atomic_load_explicit(&u->read, memory_order_relaxed);
    sum->written += atomic_load_explicit(&u->written, memory_order_relaxed);
    for (unsigned kind = 0; kind < USAGE_KINDS; kind++) {
      const struct usage_times *took = &u->took[kind];
      for (unsigned i = 0; i < USAGE_BUCKETS; i++) {
        const uint64_t n = count_in(took, i);
        sum->took[kind].count[i] += n;
        sum->took[kind].total += n;
      }
      sum->took[kind].nsec +=
        atomic_load_explicit(&took->nsec, memory_order_relaxed);
    }
  }
}

uint64_t
usage_count(const struct usage_times *times)
{
  uint64_t total = 0;

  for (unsigned i = 0; i < USAGE_BUCKETS; i++)
    total += count_in(times, i);
  return total;
}

uint64_t
usage_quantile(const struct usage_times *times, double share)
{
  const uint64_t total = usage_count(times);
  uint64_t below = 0;
  unsigned bucket = 0;

  if (total == 0)
    return 0;
  while (bucket < USAGE_BUCKETS - 2 &&
         (double)(below += count_in(times, bucket)) < share * (double)total)
    bucket++;
  return usage_bound(bucket);
}

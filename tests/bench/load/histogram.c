/* SPDX-License-Identifier: BSD-2-Clause
 *
 * histogram: counted durations. See histogram.h.
 *
 * Values below 2 * 32 have a bucket each. Above, the bucket is the exponent
 * and the 5 bits after the leading one.
 */

#include "config.h"

#include "histogram.h"

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

static unsigned
bucket_of(uint64_t ns)
{
  if (ns < SUB_COUNT)
    return (unsigned)ns;
  unsigned shift = 63 - __builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
  return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(ns >> shift);
}

/* The middle of a bucket. */
static uint64_t
value_of(unsigned bucket)
{
  if (bucket < 2 * SUB_COUNT)
    return bucket;
  unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
  uint64_t low = (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
  return low + ((UINT64_C(1) << shift) >> 1);
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
  h->buckets[bucket_of(ns)]++;
  h->total++;
}

uint64_t
histogram_percentile(const struct histogram *h, double share)
{
  double wanted = share * (double)h->total;
  uint64_t seen = 0;

  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += h->buckets[i];
    if (seen && (double)seen >= wanted)
      return value_of(i);
  }
  return 0;
}

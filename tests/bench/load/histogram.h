/* SPDX-License-Identifier: BSD-2-Clause
 *
 * histogram: durations in nanoseconds, counted in buckets that are 1/32 of
 * their power of two wide, so that a percentile is right to 3 %. Fixed size,
 * no allocation, one thread.
 */

#ifndef BENCH_LOAD_HISTOGRAM_H
#define BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
  uint64_t total;
  uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);

/* The duration that the given share (0..1) of all stayed within. */
uint64_t histogram_percentile(const struct histogram *h, double share);

#endif

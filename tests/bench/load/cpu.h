/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu: how much processor time the server and this process have used. Owns
 * only small lists; one thread.
 */

#ifndef BENCH_LOAD_CPU_H
#define BENCH_LOAD_CPU_H

#include <stdint.h>
#include <sys/types.h>

#define CPU_PIDS_MAX 16

/* Whose time to take: some processes with all their threads and children, or
 * a control group (version 1 cpuacct, or version 2). Both may be empty. */
struct cpu_meter {
  pid_t pids[CPU_PIDS_MAX];
  unsigned pid_count;
  const char *cgroup;
};

/* Nanoseconds. User and system time of processes come in clock ticks, the
 * total does not. */
struct cpu_time {
  uint64_t total;
  uint64_t user;
  uint64_t system;
};

/* Read METER now. What has ended in the meantime counts, as long as it has
 * been waited for by a process that is still there. */
struct cpu_time cpu_meter_read(const struct cpu_meter *meter);

/* The time this process has used. */
struct cpu_time cpu_own(void);

struct cpu_time cpu_time_since(struct cpu_time now, struct cpu_time then);

#endif

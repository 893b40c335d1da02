/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu: processor time of the server and of ourselves. See cpu.h.
 *
 * /proc/PID/stat counts in ticks of 10 ms, which is coarse for a window of half
 * a second; a process's CPU clock counts in nanoseconds and includes threads
 * that have ended, but knows neither user from system time nor children. So
 * the total is taken from the clocks of the whole tree of processes, and only
 * the split and the children already waited for from stat.
 */

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"

#define NS_PER_S UINT64_C(1000000000)
#define TREE_DEPTH_MAX 8

static void
add(struct cpu_time *sum, struct cpu_time more)
{
  sum->total += more.total;
  sum->user += more.user;
  sum->system += more.system;
}

/* A whole file of /proc or /sys, as a string; returns NULL if there is none. */
static char *
slurp(const char *path, char *buf, size_t size)
{
  FILE *f = fopen(path, "r");

  if (!f)
    return NULL;
  size_t n = fread(buf, 1, size - 1, f);
  buf[n] = '\0';
  fclose(f);
  return buf;
}

static uint64_t
clock_of(pid_t pid)
{
  clockid_t clock;
  struct timespec t;

  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
    return 0;
  return (uint64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* One process: its own time, and that of the children it has waited for. */
static struct cpu_time
process_time(pid_t pid)
{
  char path[64], text[1024];
  struct cpu_time t = {.total = clock_of(pid)};
  unsigned long user, system;
  long children_user, children_system;

  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  if (!slurp(path, text, sizeof text))
    return t;
  const char *fields = strrchr(text, ')');  /* the name may hold anything */
  if (!fields ||
      sscanf(fields + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
             " %lu %lu %ld %ld", &user, &system, &children_user,
             &children_system) != 4)
    return t;
  uint64_t tick = NS_PER_S / sysconf(_SC_CLK_TCK);
  t.user = (user + children_user) * tick;
  t.system = (system + children_system) * tick;
  t.total += (children_user + children_system) * tick;
  return t;
}

/* A process and all that descend from it. */
static struct cpu_time
tree_time(pid_t pid, unsigned depth)
{
  char path[64], text[65536];
  struct cpu_time sum = process_time(pid);

  if (depth == TREE_DEPTH_MAX)
    return sum;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
  if (!slurp(path, text, sizeof text))
    return sum;
  char *end, *p = text;
  for (long child; (child = strtol(p, &end, 10)) > 0; p = end)
    add(&sum, tree_time((pid_t)child, depth + 1));
  return sum;
}

/* The number in FILE of DIRECTORY, or the one after KEY in it. */
static uint64_t
cgroup_number(const char *directory, const char *file, const char *key)
{
  char path[512], text[4096];

  snprintf(path, sizeof path, "%s/%s", directory, file);
  if (!slurp(path, text, sizeof text))
    return 0;
  const char *p = key ? strstr(text, key) : text;
  return p ? strtoull(p + (key ? strlen(key) : 0), NULL, 10) : 0;
}

static struct cpu_time
cgroup_time(const char *directory)
{
  struct cpu_time t = {
    .total = 1000 * cgroup_number(directory, "cpu.stat", "usage_usec "),
    .user = 1000 * cgroup_number(directory, "cpu.stat", "user_usec "),
    .system = 1000 * cgroup_number(directory, "cpu.stat", "system_usec "),
  };

  if (!t.total) {
    t.total = cgroup_number(directory, "cpuacct.usage", NULL);
    t.user = cgroup_number(directory, "cpuacct.usage_user", NULL);
    t.system = cgroup_number(directory, "cpuacct.usage_sys", NULL);
  }
  return t;
}

struct cpu_time
cpu_meter_read(const struct cpu_meter *meter)
{
  struct cpu_time sum = {0};

  for (unsigned i = 0; i < meter->pid_count; i++)
    add(&sum, tree_time(meter->pids[i], 0));
  if (meter->cgroup)
    add(&sum, cgroup_time(meter->cgroup));
  return sum;
}

static uint64_t
timeval_ns(struct timeval t)
{
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_usec * 1000;
}

struct cpu_time
cpu_own(void)
{
  struct rusage usage;

  getrusage(RUSAGE_SELF, &usage);
  struct cpu_time t = {
    .user = timeval_ns(usage.ru_utime),
    .system = timeval_ns(usage.ru_stime),
  };
  t.total = t.user + t.system;
  return t;
}

struct cpu_time
cpu_time_since(struct cpu_time now, struct cpu_time then)
{
  return (struct cpu_time){
    .total = now.total - then.total,
    .user = now.user - then.user,
    .system = now.system - then.system,
  };
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report: a run's result as one line of JSON. See report.h.
 *
 * The names come with their units. What was not measured is null.
 */

#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "report.h"

#define NS_PER_S 1e9
#define MIB 1048576.0
#define BOTTLENECK_SHARE 0.9  /* of a core: the client can give no more */

static void
number(const char *name, double value)
{
  printf(", \"%s\": %.6g", name, value);
}

/* VALUE / BY, or null if there is nothing to divide by. */
static void
quotient(const char *name, double value, double by)
{
  if (by > 0)
    printf(", \"%s\": %.6g", name, value / by);
  else
    printf(", \"%s\": null", name);
}

static void
integer(const char *name, uint64_t value)
{
  printf(", \"%s\": %" PRIu64, name, value);
}

static void
latency(const char *name, const struct histogram *h, double share)
{
  quotient(name, (double)histogram_percentile(h, share),
           h->total ? 1e3 : 0);
}

/* Processor time: as a share of one core, and for each operation. */
static void
cpu(const char *who, const struct cpu_time *t, const struct result *result)
{
  double count = (double)result->count;
  char name[64];

  snprintf(name, sizeof name, "%s_cpu_share", who);
  quotient(name, t->total / NS_PER_S, result->seconds);
  snprintf(name, sizeof name, "%s_cpu_us", who);
  quotient(name, t->total / 1e3, count);
  snprintf(name, sizeof name, "%s_user_us", who);
  quotient(name, t->user / 1e3, count);
  snprintf(name, sizeof name, "%s_system_us", who);
  quotient(name, t->system / 1e3, count);
}

static void
begin(const struct options *o)
{
  printf("{\"op\": \"%s\"", o->operation->name);
  integer("connections", o->connections);
}

void
report_ready(const struct options *options, const struct result *result)
{
  begin(options);
  number("connect_seconds", result->connect_seconds);
  puts("}");
  fflush(stdout);
}

void
report_result(const struct options *options, const struct result *result)
{
  const struct options *o = options;
  bool metered = o->server.pid_count || o->server.cgroup;
  double client_share = result->client.total / NS_PER_S / result->seconds;

  begin(o);
  printf(", \"pattern\": \"%s\"", o->sequential ? "sequential" : "random");
  integer("block", o->block);
  integer("depth", o->depth);
  integer("export_size", result->export_size);
  number("connect_seconds", result->connect_seconds);
  number("seconds", result->seconds);
  integer("count", result->count);
  integer("requests", result->requests);
  quotient("per_second", (double)result->count, result->seconds);
  quotient("mib_per_second", result->bytes / MIB, result->seconds);
  latency("p50_us", &result->latency, 0.5);
  latency("p99_us", &result->latency, 0.99);
  latency("p999_us", &result->latency, 0.999);
  if (o->operation->kind == OPERATION_STATUS)
    quotient("extents", (double)result->extents, (double)result->count);
  if (metered)
    cpu("server", &result->server, result);
  cpu("client", &result->client, result);
  printf(", \"client_is_bottleneck\": %s",
         client_share > BOTTLENECK_SHARE ? "true" : "false");
  if (o->verify)
    integer("verified", result->verified);
  integer("errors", result->errors);
  if (result->errors)
    integer("first_error", result->first_error);
  puts("}");
  fflush(stdout);
}

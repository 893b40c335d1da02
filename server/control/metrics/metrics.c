/* SPDX-License-Identifier: BSD-2-Clause */
/* metrics.c: see metrics.h. */
#include "config.h"

#include "control/metrics/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "client/host.h"
#include "control/facts.h"
#include "control/metrics/exports.h"
#include "control/metrics/series.h"
#include "control/world.h"
#include "disk/budget.h"
#include "nbd/protocol.h"
#include "vhdkit.h"

/* ------------------------------------------------------------ of the server */

static void
tell_server(FILE *out, const struct world *world)
{
  series_begin(out, "vhdkit_info", "gauge", "The server's version.");
  series_labelled(out, "vhdkit_info", "version", vhd_version(), 1);
  series_one(out, "vhdkit_uptime_seconds", "gauge",
             "For how long the process that serves has done so.",
             (clock_ns() - world->since_ns) / 1000000000);
  series_one(out, "vhdkit_draining", "gauge", "1 while nobody new is let in.",
             atomic_load(&world->host->draining));
  series_one(out, "vhdkit_config_sound", "gauge",
             "0 since the configuration file was read and could not be used.",
             !world->file.wrong);
}

static void
tell_clients(FILE *out, const struct facts *facts)
{
  uint64_t read, written;

  series_one(out, "vhdkit_connections", "gauge", "Clients that are there.",
             facts_present(facts));
  series_one(out, "vhdkit_connections_total", "counter",
             "Clients that have come.", atomic_load(&facts->came));
  series_begin(out, "vhdkit_connections_refused_total", "counter",
               "Connections that were refused, by the limit.");
  for (unsigned i = 0; i < FACT_NLIMITS; i++)
    series_labelled(out, "vhdkit_connections_refused_total", "limit",
                    fact_limit_word((enum fact_limit)i),
                    atomic_load(&facts->refused[i]));
  facts_bytes(facts, &read, &written);
  series_one(out, "vhdkit_read_bytes_total", "counter",
             "Bytes that all clients have read.", read);
  series_one(out, "vhdkit_written_bytes_total", "counter",
             "Bytes that all clients have written.", written);
}

/* By the names that clients know them by. */
static void
tell_errors(FILE *out, const struct facts *facts)
{
  series_begin(out, "vhdkit_errors_total", "counter",
               "Errors that clients got, by their names in the protocol.");
  for (uint32_t i = 0; i < FACTS_ERRORS; i++) {
    const uint64_t n = atomic_load(&facts->errors[i]);
    if (n > 0)
      series_labelled(out, "vhdkit_errors_total", "error",
                      i == 0                    ? "options"
                      : i == FACTS_OTHER_ERRORS ? "others"
                                                : nbd_error_name(i),
                      n);
  }
}

static void
tell_limits(FILE *out, const struct budget *budget)
{
  series_one(out, "vhdkit_descriptors", "gauge", "File descriptors in use.",
             descriptors_used());
  series_one(out, "vhdkit_descriptors_limit", "gauge",
             "File descriptors that the process may have.",
             descriptors_limit());
  series_one(out, "vhdkit_buffer_bytes", "gauge",
             "Memory that clients' data takes.", atomic_load(&budget->used));
  series_one(out, "vhdkit_buffer_limit_bytes", "gauge",
             "Memory that clients' data may take.",
             budget->shared + budget->reserve);
  series_one(out, "vhdkit_buffer_waiting", "gauge",
             "Clients that wait for memory.", atomic_load(&budget->waiting));
}

char *
metrics_text(const struct world *world, size_t *len)
{
  char *text = NULL;
  FILE *out = open_memstream(&text, len);

  if (!out)
    return NULL;
  tell_server(out, world);
  tell_clients(out, world->facts);
  tell_errors(out, world->facts);
  tell_limits(out, world->host->budget);
  const bool whole = metrics_tell_exports(out, world->host->catalog);
  if ((fclose(out) == 0) & whole)
    return text;
  free(text);
  return NULL;
}

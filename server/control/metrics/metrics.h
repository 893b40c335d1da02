/* SPDX-License-Identifier: BSD-2-Clause */
/* metrics.h: what the server has counted, as Prometheus reads it (its text
 * format, version 0.0.4).
 *
 * Of disks with a child for each client the times of requests are told for the
 * disk as a whole, so that a thousand machines do not make a hundred thousand
 * series; bytes and connections are told of each.  On the main thread. */
#ifndef SERVER_CONTROL_METRICS_METRICS_H
#define SERVER_CONTROL_METRICS_METRICS_H

#include <stddef.h>

struct world;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The caller's to free; NULL where memory is short. */
char *metrics_text(const struct world *world, size_t *len);

#endif

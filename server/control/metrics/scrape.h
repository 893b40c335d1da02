/* SPDX-License-Identifier: BSD-2-Clause */
/* scrape.h: answers those who come for the metrics, by as much HTTP as that
 * takes: GET and HEAD of /metrics, one request a connection.
 *
 * Whoever reaches the address may ask.  So they are bounded: SCRAPE_MAX at a
 * time, requests of SCRAPE_REQUEST bytes, and a time within which all must be
 * over.  On the main thread. */
#ifndef SERVER_CONTROL_METRICS_SCRAPE_H
#define SERVER_CONTROL_METRICS_SCRAPE_H

#include "vhdkit.h"

#define SCRAPE_MAX 8
#define SCRAPE_REQUEST ((size_t)8 << 10)
#define SCRAPE_SEC 5

struct scrape;
struct visitor;
struct world;

/* world must outlive it. */
int scrape_new(const struct world *world, struct scrape **scrape,
               struct vhd_error *err);
/* Takes a connected, non-blocking socket over. */
void scrape_accept(struct scrape *scrape, int fd,
                   const struct visitor *visitor);
/* Hangs up on all.  NULL is fine. */
void scrape_free(struct scrape *scrape);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* series.h: lines of Prometheus' text format.  One thread a stream. */
#ifndef SERVER_CONTROL_METRICS_SERIES_H
#define SERVER_CONTROL_METRICS_SERIES_H

#include <stdint.h>
#include <stdio.h>

/* What follows, up to the next one, is of this name. */
void series_begin(FILE *out, const char *name, const char *type,
                  const char *help);
/* Without labels: all of a name. */
void series_one(FILE *out, const char *name, const char *type,
                const char *help, uint64_t value);
/* NAME{LABEL="TEXT"} VALUE.  text may be anything. */
void series_labelled(FILE *out, const char *name, const char *label,
                     const char *text, uint64_t value);

/* The text in quotes, so that it is one label's value, and UTF-8. */
void series_quote(FILE *out, const char *text);

#endif

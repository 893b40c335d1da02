/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report: a run's result as one line of JSON on standard output.
 */

#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H

#include "load.h"
#include "options.h"

/* OPERATION_IDLE: the connections are there. */
void report_ready(const struct options *options, const struct result *result);

void report_result(const struct options *options, const struct result *result);

#endif

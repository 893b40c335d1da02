/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace: what a machine once asked of its disk, in order, out of a file of
 * lines "ms,op,offset,length": op is R, W or F (flush). Lines that begin with
 * '#' are comments, and the times are not used: a trace is replayed as fast as
 * the server answers. One thread.
 */

#ifndef BENCH_LOAD_TRACE_H
#define BENCH_LOAD_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct trace_step {
  uint16_t command;  /* of NBD */
  uint32_t length;
  uint64_t offset;
};

struct trace {
  struct trace_step *steps;
  size_t count;
  uint32_t longest;  /* of any step */
};

/* Fails the process on a file that is none. */
void trace_read(struct trace *trace, const char *path);
void trace_free(struct trace *trace);

#endif

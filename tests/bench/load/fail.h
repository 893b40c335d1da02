/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fail: how the load generator gives up. A measurement that went wrong is
 * worth nothing, so every failure ends the process with a message and a status
 * that says of what kind it was. Owns nothing; one thread.
 */

#ifndef BENCH_LOAD_FAIL_H
#define BENCH_LOAD_FAIL_H

enum fail_status {
  FAIL_USAGE = 1,    /* the command line makes no sense */
  FAIL_SERVER = 2,   /* no connection, or the server broke the protocol */
  FAIL_CONTENT = 3,  /* a read returned other bytes than expected */
  FAIL_REPLIES = 4,  /* the server answered requests with errors */
  FAIL_SYSTEM = 5,   /* out of memory and the like */
};

/* Print "nbd-load: MESSAGE" on standard error and exit. */
_Noreturn void fail(enum fail_status status, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* calloc() that does not fail. */
void *xcalloc(unsigned long count, unsigned long size);

#endif

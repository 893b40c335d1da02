/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder.h: what the parts of the recorder share: a library that is
 * preloaded into a server, writes down every call that changes the image's
 * file, and can delay calls, make them fail, or kill the server at one.
 *
 *   recorder.c       the system calls
 *   recorder_ring.c  io_uring: what liburing submits and what comes back
 *   recorder_log.c   the log, and the fates that the environment asks for
 *
 * The environment:
 *   CRASH_IMAGE   the file to watch
 *   CRASH_LOG     the log; CRASH_DATA the file for the bytes of this life
 *   CRASH_LIFE    the number of this life
 *   CRASH_SEED    of all that is random
 *   CRASH_DELAY   P:US:SYNCUS:READUS  of a thousand calls P take up to US
 *                 microseconds, or READUS; a sync takes up to SYNCUS
 *   CRASH_KILL    N:WHEN  the N-th call is the last; WHEN it is "before",
 *                 "after" or "during" (a write is half done)
 *   CRASH_FAIL    P:KINDS  of a thousand calls of these kinds P fail: writes,
 *                 durable ones, those that clear, extend or reserve (x),
 *                 truncate or sync, by their first letters
 *   CRASH_FAIL_AT N:ERRNO  the N-th call does nothing and fails
 *   CRASH_LOCAL   set: the file system passes for a local disk, so that
 *                 io_uring is used
 *
 * Any thread. */
#ifndef CRASH_RECORDER_H
#define CRASH_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "record.h"

/* How a call is to end. */
enum fate {
  FATE_NORMAL,
  FATE_FAIL,      /* nothing happens, and it fails */
  FATE_HALF_FAIL, /* half of it happens, and it fails */
  FATE_DONE_FAIL, /* it happens, and it fails */
  FATE_SHORT,     /* half of it happens, and it says so */
};

struct call {
  enum call_op op;
  uint64_t id;
  uint64_t len;
  enum fate fate;
  int error; /* errno of a failing one */
  bool last; /* kill after it */
};

bool recorder_watches(int fd);
/* Writes down that a call begins, perhaps by a ring; may not return. */
void recorder_begin(struct call *c, enum call_op op, bool ring, uint64_t off,
                    uint64_t len, const struct iovec *iov, int niov);
/* ... that it ended; may not return. */
void recorder_end(const struct call *c, int64_t result, uint64_t done);
void recorder_delay_read(void);
bool recorder_poses_as_local(void);

#endif

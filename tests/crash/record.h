/* SPDX-License-Identifier: BSD-2-Clause */
/* record.h: the log that a recorded run leaves, which the recorder inside the
 * server (recorder.c), the client (crashtest.py) and the replayer (replay.c)
 * share.
 *
 * Every process that takes part appends records of 64 bytes to one file, each
 * with one write(2) to a descriptor that has O_APPEND, so that the records of
 * all are in one order: what caused something stands before it.  What is
 * longer than a record lies in files of its own: the bytes that the server
 * wrote, of each of its lives, and the sectors that the client asked for. */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include <stdint.h>

#define RECORD_MAGIC 0x31524b56U /* "VKR1" */

enum record_kind {
  /* From inside the server: a call on the image's file. */
  RECORD_BEGIN = 1, /* op off len data; it may have happened from here on */
  RECORD_END = 2,   /* id result done; it has happened, whole or in part */
  /* From the client. */
  RECORD_ISSUE = 10, /* id op off len data; before it is sent */
  RECORD_ACK = 11,   /* id result; after the answer came */
  RECORD_SEEN = 12,  /* off len data: what the disk was seen to hold */
  RECORD_CLOSED = 13, /* the server ended cleanly: like a flush */
  RECORD_KILLED = 14, /* it ended otherwise; both: its file is there */
};

enum call_op {
  CALL_WRITE = 1,
  CALL_DURABLE_WRITE = 2,
  CALL_CLEAR = 3,    /* reads as zeros; the size stays */
  CALL_EXTEND = 4,   /* the file is at least off + len long */
  CALL_TRUNCATE = 5, /* it is off long */
  CALL_SYNC = 6,
  CALL_PUNCH = 7,    /* like CLEAR, and its space is given back */
  CALL_RESERVE = 8,  /* it has its space, perhaps beyond the file's end */
  CALL_STRANGE = 9,  /* nothing that the replayer knows */
};

enum request_op {
  REQUEST_WRITE = 1,
  REQUEST_ZERO = 2,
  REQUEST_TRIM = 3,
  REQUEST_FLUSH = 4,
};

#define REQUEST_FUA 1 /* in .result of an ISSUE */

struct record {
  uint32_t magic;
  uint16_t kind;
  uint16_t op;
  uint64_t id;
  uint64_t off, len;
  int64_t result; /* 0 or more, or a negative errno */
  uint64_t data;  /* where its bytes lie in their file */
  uint64_t done;  /* END: bytes that changed, whatever the result says */
  uint32_t life;  /* which server: whose file of bytes */
  uint32_t ring;  /* BEGIN: it goes through io_uring */
};

_Static_assert(sizeof(struct record) == 64, "records are 64 bytes");

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* house.h: the server that fuzz_connection talks to: one loop, a handful of
 * small images in a folder of its own, TLS with a pre-shared key.
 *
 * It serves all inputs of a process, but each of them finds the images as they
 * were at first: between two inputs nobody is connected, all images are closed,
 * and those that were written to are checked and put back.
 *
 * Used by the fuzzer's thread alone; ends with the process.  What must not be
 * is told by FUZZ_ASSERT. */
#ifndef FUZZ_HOUSE_H
#define FUZZ_HOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long anything may take that the server has to do at once; not so little
 * that a busy machine looks like a hang. */
#define HOUSE_PATIENCE_MSEC 15000

enum house_export {
  HOUSE_DYNAMIC, /* the default one */
  HOUSE_CHILD,   /* differencing; its name has a slash before it */
  HOUSE_FIXED,   /* read-only */
  HOUSE_XEN,     /* over TLS alone */
  HOUSE_LOOSE,   /* of a folder: opened and closed with its clients */
  HOUSE_NEXPORTS,
  HOUSE_BROKEN = HOUSE_NEXPORTS, /* of the folder too; not an image */
  HOUSE_MISSING,
  HOUSE_NNAMES,
};

/* What a disk holds, as far as an input knows it. */
struct house_disk {
  const char *name; /* as a client asks for it */
  bool readonly, tls_only;
  uint64_t size;
  uint8_t *data;
  uint8_t *known; /* of each byte: whether it is data[]'s */
};

#define HOUSE_IDENTITY "fuzz"
#define HOUSE_KEY "\x13\x37\xc0\xde\x13\x37\xc0\xde" \
                  "\x0f\xee\xd0\x0d\xca\xfe\xba\xbe"
#define HOUSE_KEY_LEN 16

/* Begins with the first call. */
void house_open(void);

/* A new client's end; not blocking.  sndbuf: of the server's end, 0 for the
 * system's default. */
int house_connect(int sndbuf);

/* Returns when the server has looked at everything that was sent to it before
 * (which is not to say that it has answered). */
void house_barrier(void);

/* The names are there for all of HOUSE_NNAMES, the rest for the exports. */
struct house_disk *house_disk(unsigned i);
/* Whether a range may read like this, or, where p is NULL, as zeros. */
bool house_agrees(const struct house_disk *disk, uint64_t off, const uint8_t *p,
                  uint64_t len);
/* Nothing is known of any disk for the rest of this input. */
void house_forget(void);
bool house_forgot(void);
/* Cuts the end of an image off under the server. */
void house_spoil(unsigned i);
/* The server gets no memory: see starve_begin(). */
void house_starve(unsigned pass, unsigned fail);
/* One of these has happened: whatever is asked for may fail. */
bool house_is_troubled(void);

/* Tells all connections, which are idle, that the server is stopping. */
void house_stop(void);

/* The end of an input: all its sockets are closed. */
void house_settle(void);

#endif

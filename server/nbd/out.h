/* SPDX-License-Identifier: BSD-2-Clause */
/* out.h: a growable, bounded buffer of bytes that are to be sent.
 *
 * Zero-initialise it and set .max.  It holds no memory until something is
 * put into it, nor after nbd_out_free(), so an idle connection's costs nothing.
 * Belongs to its connection's thread. */
#ifndef NBD_OUT_H
#define NBD_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct nbd_out {
  unsigned char *data;
  size_t len, cap;
  size_t max;  /* never holds more than this */
  bool failed; /* something did not fit, or there was no memory: what is in
                * here is not to be trusted, the connection must close */
};

/* Room for n more bytes at the end, already counted in .len; NULL (and
 * .failed) where it cannot be had.  Valid until the next call. */
unsigned char *nbd_out_reserve(struct nbd_out *out, size_t n);

/* Appends; false (and .failed) where there is no room. */
bool nbd_out_put(struct nbd_out *out, const void *bytes, size_t n);

/* Whether n more bytes would stay below the bound. */
bool nbd_out_has_room(const struct nbd_out *out, size_t n);

/* The first n bytes have been sent; gives the memory back once it is empty. */
void nbd_out_consume(struct nbd_out *out, size_t n);

/* Forgets the content, keeps the bound. */
void nbd_out_free(struct nbd_out *out);

#endif

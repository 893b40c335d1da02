/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h: strings of the protocol: checking what came in, and making what
 * goes out harmless.  Pure; any thread. */
#ifndef NBD_TEXT_H
#define NBD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* How much of a client's name an error text repeats. */
#define NBD_ECHO_MAX 60
/* Longest error text, with its NUL. */
#define NBD_TEXT_SIZE 256

/* Is this a string as the protocol wants it: at most 4096 bytes, UTF-8, no
 * NUL? */
bool nbd_text_valid(const void *bytes, size_t len);

/* The largest length, at most max, at which a string may be cut without
 * splitting a character. */
size_t nbd_text_cut(const char *text, size_t len, size_t max);

/* Copies text, cut to fit size bytes with its NUL, into to; what is not valid
 * UTF-8 and what would move a terminal's cursor becomes '?'.  Returns the
 * length. */
size_t nbd_text_clean(char *to, size_t size, const char *text);

/* The same for a name that is to be repeated in an error text: at most
 * NBD_ECHO_MAX bytes and "..." where something was cut.  to: NBD_ECHO_MAX + 4
 * bytes. */
const char *nbd_text_echo(char *to, const char *name);

#endif

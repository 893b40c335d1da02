/* SPDX-License-Identifier: BSD-2-Clause */
/* utf.h: UTF-16 of either byte order to UTF-8 and back.  Not
 * iconv, to which a lone surrogate is an error: here it becomes U+FFFD, so that
 * whatever a file holds can be looked at.  Pure; any thread. */
#ifndef BASE_UTF_H
#define BASE_UTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes at most len bytes, up to the first NUL character, into UTF-8 with a
 * terminating NUL.  An odd last byte and what does not fit in size is left out;
 * a lone surrogate becomes U+FFFD.  Returns the length written. */
size_t utf16_decode(const uint8_t *in, size_t len, bool big_endian, char *out,
                    size_t size);

/* Encodes a string of UTF-8, without a terminating NUL.  Returns the bytes
 * written; -EILSEQ for invalid UTF-8; -ENAMETOOLONG where it does not fit. */
long utf16_encode(const char *in, bool big_endian, uint8_t *out, size_t size);

/* Is it well-formed UTF-8 (no overlong forms, no surrogates)? */
bool utf8_valid(const char *s, size_t len);

/* Makes a string fit for a terminal: each control character (C0, DEL, C1) and
 * each byte that is not part of well-formed UTF-8 becomes '?'.  In place; the
 * string never grows. */
void utf8_make_printable(char *s);

/* Is there a control character (C0, DEL, C1) in this well-formed UTF-8? */
bool utf8_has_control(const char *s, size_t len);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* psk.h: a file of pre-shared keys in the format of GnuTLS' psktool: lines of
 * IDENTITY:KEY, the key in hexadecimal; an identity that cannot be written as
 * it is stands in hexadecimal too, behind a #.
 *
 * Immutable once read, so any number of threads may look keys up.  The keys are
 * wiped from memory when they are freed. */
#ifndef SERVER_NET_TLS_PSK_H
#define SERVER_NET_TLS_PSK_H

#include <stddef.h>

#include "vhdkit.h"

#define PSK_MAX_IDENTITY 128 /* bytes, as in OpenSSL; no zero byte */
#define PSK_MAX_KEY 256

struct psk_file;

/* Reads len bytes of text; an error names the line, in the file at path.  There
 * may be no key in it. */
int psk_parse(const char *path, const unsigned char *text, size_t len,
              struct psk_file **file, struct vhd_error *err);
void psk_close(struct psk_file *file);

size_t psk_count(const struct psk_file *file);
/* Of the keys in it; of what psktool makes, where it is empty. */
size_t psk_usual_length(const struct psk_file *file);

/* The key that belongs to an identity, and its length; NULL if nobody is called
 * that, after as many steps. */
const unsigned char *psk_find(const struct psk_file *file,
                              const void *identity, size_t identity_len,
                              size_t *key_len);

#endif

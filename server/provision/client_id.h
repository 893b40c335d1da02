/* SPDX-License-Identifier: BSD-2-Clause */
/* client_id.h: who a client is, as the name of a file.
 *
 * Two identities never have the same file, not even on a file system that does
 * not tell capitals from small letters, nor two of different kinds that look
 * alike.  What is said as a name stays as it is where it consists of small
 * letters, digits, dashes and dots; a capital becomes a low line and the small
 * letter, a low line two of them, any other byte % and two digits:
 *
 *   52-54-00-12-34-56        the name 52-54-00-12-34-56
 *   _p_c-01                  the name PC-01
 *   psk+room7                the identity of a pre-shared key
 *   ip+192.0.2.7             an address
 *   cn+lab-1.example+HASH    the name in a certificate; HASH: of its issuer
 *   long+HASH                what would be longer than CLIENT_FILE_MAX
 *
 * No escaped text has a + in it, so these are told apart.  Pure. */
#ifndef SERVER_PROVISION_CLIENT_ID_H
#define SERVER_PROVISION_CLIENT_ID_H

#include <stdbool.h>
#include <stddef.h>

enum client_id_kind {
  CLIENT_BY_CERTIFICATE,
  CLIENT_BY_PSK,
  CLIENT_BY_NAME, /* that he says himself */
  CLIENT_BY_ADDRESS,
};

/* Of a file's name, without its .vhd; with NUL it fits struct disk_name's. */
#define CLIENT_FILE_MAX 128

/* Writes the name of his file, without .vhd, into file[size].  issuer: of a
 * certificate, and NULL of everything else.  An address is text, with or
 * without a scope; however it is written, the same address has the same file.
 * 0; -EINVAL: this is no identity of that kind; -ENAMETOOLONG: size. */
int client_id_file(enum client_id_kind kind, const char *identity,
                   const char *issuer, char *file, size_t size);

/* Is it what client_id_file() can have written? */
bool client_id_is_file(const char *file);

/* The way back, for a person: *kind and text[size].  0; -EINVAL: nobody's file;
 * -ENOENT: it tells no more than that his identity is long. */
int client_id_of_file(const char *file, enum client_id_kind *kind, char *text,
                      size_t size);

/* "cn", "psk", "name", "address": what an identity of that kind begins with,
 * with a colon, where a rule speaks of it. */
const char *client_id_word(enum client_id_kind kind);

/* The one way to write an address; -EINVAL: it is none. */
int client_id_address(const char *text, char *out, size_t size);

#endif

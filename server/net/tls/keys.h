/* SPDX-License-Identifier: BSD-2-Clause */
/* keys.h: which files certificates and keys are in, and what is in them, as
 * bytes.  They are read here and nowhere else, by a function of the embedder's,
 * who knows how to come at them once the process has given up its rights.
 *
 * Bytes are wiped when they are freed.  One thread at a time. */
#ifndef SERVER_NET_TLS_KEYS_H
#define SERVER_NET_TLS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#include "vhdkit.h"

#define KEYS_MAX_BYTES (8U << 20) /* of a file: a long list of revocations */

/* In a folder of certificates; in the order of enum key_file. */
/* clang-format off */
#define KEYS_NAMES \
  { "ca-cert.pem", "server-cert.pem", "server-key.pem", "ca-crl.pem" }
/* clang-format on */

enum key_file {
  KEY_CA,
  KEY_CERT,
  KEY_PRIVATE,
  KEY_CRL,
  KEY_PSK,
  KEY_FILES,
};

/* Reads a whole file of at most KEYS_MAX_BYTES into memory from malloc().  0 or
 * -errno with err filled; -ENOENT: there is no such file. */
typedef int key_reader(void *opaque, const char *path, unsigned char **bytes,
                       size_t *n, struct vhd_error *err);

/* stat(2), with the rights by which files are read.  0 or -errno. */
typedef int key_looker(void *opaque, const char *path, struct stat *st);

/* Tells one content of a file from the next without reading it. */
struct key_stamp {
  int error; /* errno of the look; 0: what follows is known */
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec mtime, ctime;
};

struct keys_source {
  char *paths[KEY_FILES]; /* NULL: not used */
  struct key_stamp stamps[KEY_FILES];
  bool verify_peer;
  key_reader *read;
  key_looker *look; /* where the process may not itself; NULL: none */
  void *opaque;
};

struct key_bytes {
  const char *path;    /* of the source; NULL: not used */
  unsigned char *data; /* NULL: there is no such file, and need not be */
  size_t len;
};

struct keys {
  struct key_bytes files[KEY_FILES];
  bool verify_peer;
};

/* certificates: a folder; psk: a file; NULL: none.  0 or -ENOMEM. */
int keys_source_init(struct keys_source *source, const char *certificates,
                     const char *psk);
void keys_source_clear(struct keys_source *source);

/* Has a file become another since the last call? */
bool keys_have_changed(struct keys_source *source);

/* Reads what there is; what must be there and is not is an error. */
int keys_read(const struct keys_source *source, struct keys *keys,
              struct vhd_error *err);
void keys_clear(struct keys *keys);

/* Says who else can read what is secret. */
void keys_warn_of_readers(const struct keys_source *source);

#endif

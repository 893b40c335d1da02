/* SPDX-License-Identifier: BSD-2-Clause */
/* key_file.h: reading a file of certificates or keys with the rights that the
 * process has: a key_reader as of net/tls/keys.h.
 *
 * Any thread. */
#ifndef SERVER_KEEPER_KEY_FILE_H
#define SERVER_KEEPER_KEY_FILE_H

#include <stddef.h>

#include "vhdkit.h"

int key_file_read(void *opaque, const char *path, unsigned char **bytes,
                  size_t *n, struct vhd_error *err);

#endif

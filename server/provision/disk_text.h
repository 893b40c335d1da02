/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_text.h: what is said of a version, in a file beside it: one line, and a
 * second one where the version was a client's child.  Blocks; any thread. */
#ifndef SERVER_PROVISION_DISK_TEXT_H
#define SERVER_PROVISION_DISK_TEXT_H

#include <stddef.h>

#include "vhdkit.h"

/* Can that be said of a version?  It is one line of UTF-8 that has room.
 * NULL: yes, or why not. */
const char *disk_text_check(const char *text);

/* Of N.txt in that folder, into text[size] and client[size], which are then
 * UTF-8 without control characters, whatever the file holds; "" where there is
 * none. */
void disk_text_read(int folder, unsigned number, char *text, char *client,
                    size_t size);

/* At path, durable; client: NULL where it was none's. */
int disk_text_write(const char *path, const char *text, const char *client,
                    struct vhd_error *err);

#endif

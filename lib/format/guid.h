/* SPDX-License-Identifier: BSD-2-Clause */
/* guid.h: unique ids.  Windows and VirtualBox store the little-endian GUID
 * struct, others RFC order; ids are compared as 16 raw bytes and printed in the
 * order that makes a valid UUID.  Pure. */
#ifndef FORMAT_GUID_H
#define FORMAT_GUID_H

#include <stdbool.h>
#include <stdint.h>

#define GUID_TEXT_SIZE 37

/* Returns whether it was taken as little-endian. */
bool guid_text(const uint8_t *id, char *text);
bool guid_is_null(const uint8_t *id);
/* The other way; kept in that order if it would then be printed as it was, else
 * in the other.  0 or -EINVAL. */
int guid_parse(const char *text, bool little_endian, uint8_t *id);
/* The same of ids whose order is known, as VHDX's is, to be Windows'. */
void guid_text_windows(const uint8_t *id, char *text);
int guid_parse_windows(const char *text, uint8_t *id);
/* A random (version 4) id in Windows' order. */
void guid_generate(uint8_t *id);

#endif

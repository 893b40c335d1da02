/* SPDX-License-Identifier: BSD-2-Clause */
/* batmap.h: Xen's batmap, a bit for each block whose bitmap is full.
 * No I/O; any thread. */
#ifndef FORMAT_BATMAP_H
#define FORMAT_BATMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/footer.h"
#include "format/header.h"

#define BATMAP_HEADER_SIZE 512

struct batmap {
  uint64_t off;     /* of the map's bytes, in the file */
  uint32_t nsec;    /* its size in sectors */
  uint32_t version; /* 0x00010001 or 0x00010002 */
  uint32_t checksum;
  uint8_t raw[BATMAP_HEADER_SIZE]; /* as read, to be written back */
};

/* Where the batmap's header lies, if this creator writes one. */
bool batmap_expected(const struct footer *footer);
uint64_t batmap_header_off(const struct header *header);

/* Cookie, version, size against entries, offset a multiple of 512.  -EINVAL
 * with the predicate of a sentence ("is larger ...") in *why; -ENOENT without
 * the cookie. */
int batmap_parse(const uint8_t *buf, uint32_t entries, struct batmap *batmap,
                 const char **why);
bool batmap_sum_ok(const struct batmap *batmap, const uint8_t *map,
                   size_t len);
/* The header's 512 bytes for this content of the map. */
void batmap_format(const struct batmap *batmap, const uint8_t *map, size_t len,
                   uint8_t *buf);

#endif

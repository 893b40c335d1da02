/* SPDX-License-Identifier: BSD-2-Clause */
/* footer.h: the 512 bytes at the end of every VHD (and, for dynamic and
 * differencing images, copied to its start): bytes <-> struct.  No I/O. */
#ifndef FORMAT_FOOTER_H
#define FORMAT_FOOTER_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhdkit.h"

#define FOOTER_SIZE 512
/* Virtual PC before 2004 left out the last byte, a zero. */
#define FOOTER_SIZE_OLD 511
/* Its last bytes, of which the format says nothing. */
#define FOOTER_RESERVED 426
/* Seconds from 1970 to VHD's epoch, 2000-01-01 UTC. */
#define VHD_EPOCH 946684800

struct footer {
  uint32_t features;
  uint64_t data_offset; /* of the dynamic header; in a fixed disk, where it
                         * means nothing, ~0 as a rule */
  uint32_t timestamp;   /* VHD epoch */
  char creator[4];      /* raw bytes */
  uint32_t creator_version;
  char creator_os[4];
  uint64_t original_size;
  uint64_t current_size;
  uint16_t cylinders;
  uint8_t heads, sectors;
  uint32_t type; /* enum vhd_type, nothing else */
  uint8_t id[16];
  uint8_t saved_state;
  uint8_t hidden; /* tapdisk's byte 85 */
  /* Whatever its creator put there; kept as it is. */
  uint8_t reserved[FOOTER_RESERVED];
};

/* Does it begin with the cookie, or with the one that vhd-util leaves while a
 * resize is under way (which footer_parse() refuses by name, VHD_STATE)? */
bool footer_has_cookie(const uint8_t *buf);

/* Parses and validates FOOTER_SIZE bytes that were found at `place`, a word
 * for messages such as "footer at the end of the file".  path is for
 * messages.  What cannot be valid in any image is refused here: cookie,
 * checksum, version, type, size (0, not of whole sectors, above the limit of
 * its type), the data_offset of a disk that has a dynamic header. */
int footer_parse(const uint8_t *buf, const char *path, const char *place,
                 struct footer *footer, struct vhd_error *err);

/* Writes all 512 bytes, checksum included. */
void footer_format(const struct footer *footer, uint8_t *buf);

/* Makes bytes that may be a damaged footer pass for one as far as its cookie
 * and its checksum go; footer_parse() then says if the rest makes sense. */
void footer_mend(uint8_t *buf);

/* The name of the first field by which two footers cannot be of the same disk,
 * or NULL. */
const char *footer_difference(const struct footer *a, const struct footer *b);

/* The rule for every checksum of the format: the complement of the sum of all
 * bytes, those of the checksum's own field [skip, skip+4) left out. */
uint32_t vhd_checksum(const uint8_t *buf, size_t len, size_t skip);

#endif

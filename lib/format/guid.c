/* SPDX-License-Identifier: BSD-2-Clause */
/* guid.c: unique ids, as text and new.  The one user of libuuid.  Any
 * thread. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <uuid.h>

#include "format/guid.h"

/* Turns the little-endian GUID struct (u32, u16, u16, 8 bytes) into RFC order,
 * or back. */
static void
swap_order(const uint8_t *in, uint8_t *out)
{
  static const uint8_t from[16] = {
    3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15,
  };
  for (unsigned i = 0; i < 16; i++)
    out[i] = in[from[i]];
}

/* How likely a version is: random ids are nearly all there are, then those
 * from clock and network card; 0 for what RFC 4122 does not know. */
static unsigned
likelihood(unsigned version)
{
  static const uint8_t by_version[16] = { 0, 2, 1, 1, 3, 1 };
  return by_version[version];
}

bool
guid_text(const uint8_t *id, char *text)
{
  /* The version is the high nibble of byte 6 in RFC order, which a
   * little-endian struct stores in byte 7.  Where both would do, it was
   * Windows. */
  bool rfc_variant = (id[8] & 0xc0) == 0x80;
  unsigned little = likelihood(id[7] >> 4);
  bool little_endian =
    rfc_variant && little > 0 && little >= likelihood(id[6] >> 4);

  uint8_t rfc[16];
  if (little_endian)
    swap_order(id, rfc);
  else
    memcpy(rfc, id, sizeof rfc);
  uuid_unparse_lower(rfc, text);
  return little_endian;
}

bool
guid_is_null(const uint8_t *id)
{
  return uuid_is_null(id);
}

int
guid_parse(const char *text, bool little_endian, uint8_t *id)
{
  char back[GUID_TEXT_SIZE];
  uuid_t rfc;

  if (uuid_parse(text, rfc) < 0)
    return -EINVAL;
  for (int i = 0; i < 2; i++, little_endian = !little_endian) {
    if (little_endian)
      swap_order(rfc, id);
    else
      memcpy(id, rfc, sizeof rfc);
    guid_text(id, back);
    if (strcasecmp(back, text) == 0)
      return 0;
  }
  return 0; /* no order that anybody could tell */
}

void
guid_generate(uint8_t *id)
{
  uuid_t rfc;
  uuid_generate_random(rfc);
  swap_order(rfc, id);
}

void
guid_text_windows(const uint8_t *id, char *text)
{
  uint8_t rfc[16];

  swap_order(id, rfc);
  uuid_unparse_lower(rfc, text);
}

int
guid_parse_windows(const char *text, uint8_t *id)
{
  uint8_t rfc[16];

  if (uuid_parse(text, rfc) < 0)
    return -EINVAL;
  swap_order(rfc, id);
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdkit.c: the corners of the public interface that concern no image: sizes
 * as people write them, the version.  Pure; any thread. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "vhdkit.h"

/* Reads digits into *value; -ERANGE beyond `limit`.  Returns how many. */
static int
parse_digits(const char *text, uint64_t limit, uint64_t *value)
{
  int n = 0;
  for (*value = 0; isdigit((unsigned char)text[n]); n++) {
    uint64_t digit = (uint64_t)(text[n] - '0');
    if (*value > (limit - digit) / 10)
      return -ERANGE;
    *value = *value * 10 + digit;
  }
  return n;
}

int
vhd_parse_size(const char *text, uint64_t *size)
{
  static const char units[] = "KMGTPE";
  uint64_t whole, fraction = 0, scale = 1;

  int n = parse_digits(text, UINT64_MAX, &whole);
  if (n <= 0)
    return n == 0 ? -EINVAL : n;
  text += n;
  if (*text == '.') {
    /* 10^18 times 2^60 fits in the 128 bits below; finer fractions than that
     * are no whole bytes anyway. */
    n = parse_digits(text + 1, 999999999999999999, &fraction);
    if (n <= 0 || n > 18)
      return -EINVAL;
    text += 1 + n;
    while (n-- > 0)
      scale *= 10;
  }

  unsigned shift = 0;
  if (*text != '\0') {
    const char *unit = strchr(units, toupper((unsigned char)*text));
    if (unit != NULL) {
      shift = 10 * (unsigned)(unit - units + 1);
      text++;
    }
    /* K, KiB, KB; and B alone. */
    if (strcasecmp(text, "b") != 0 &&
        (unit == NULL || (*text != '\0' && strcasecmp(text, "ib") != 0)))
      return -EINVAL;
  }

  unsigned __int128 part = (unsigned __int128)fraction << shift;
  if (part % scale != 0)
    return -EINVAL;
  unsigned __int128 total =
    ((unsigned __int128)whole << shift) + part / scale;
  if (total > UINT64_MAX)
    return -ERANGE;
  *size = (uint64_t)total;
  return 0;
}

const char *
vhd_version(void)
{
  return PACKAGE_VERSION;
}

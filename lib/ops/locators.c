/* SPDX-License-Identifier: BSD-2-Clause */
/* locators.c: vhd_get_locator(), for those who want to see where a child says
 * its parent lies.  Reads the image's file; any thread. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "format/locator.h"
#include "image/image.h"
#include "vhdkit.h"

_Static_assert(VHD_MAX_LOCATORS == LOCATOR_COUNT, "locators");
/* UTF-16 becomes at most 3 bytes for each 2, Latin-1 2 for each 1 (and that is
 * cut off). */
_Static_assert(sizeof((struct vhd_locator *)NULL)->path >
                 LOCATOR_MAX_LEN / 2 * 3, "room for any path");

static void
code_text(uint32_t code, char *text)
{
  for (int i = 0; i < 4; i++) {
    unsigned char c = (unsigned char)(code >> (24 - 8 * i));
    text[i] = isascii(c) && isprint(c) ? (char)c : '?';
  }
  text[4] = '\0';
}

int
vhd_get_locator(struct vhd_image *image, unsigned i,
                struct vhd_locator *locator)
{
  const char *why;
  uint8_t data[LOCATOR_MAX_LEN];

  if (i >= LOCATOR_COUNT || image->top->footer.type != VHD_DIFFERENCING ||
      image->top->header.locator[i].code == LOCATOR_NONE)
    return -ENOENT;

  const struct locator *raw = &image->top->header.locator[i];
  *locator = (struct vhd_locator){
    .off = raw->off,
    .len = raw->len,
    .space = raw->space,
  };
  code_text(raw->code, locator->code);
  if (locator_check(raw, &why) < 0)
    return 0;
  int r = file_read(image->top->file, data, raw->len, raw->off);
  if (r == 0)
    r = locator_path(raw->code, data, raw->len, locator->path,
                     sizeof locator->path, &locator->relative);
  if (r < 0)
    locator->path[0] = '\0';
  return 0;
}

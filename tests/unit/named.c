/* SPDX-License-Identifier: BSD-2-Clause */
/* named.c: see named.h. */
#include "config.h"

#include <string.h>

#include "unit/named.h"

void
no_locators(struct forge *f)
{
  for (unsigned i = 0; i < 8; i++)
    forge_locator(f, i, 0, 0, 0, 0);
}

void
no_name(struct forge *f)
{
  forge_name(f, "");
}

void
nothing_named(struct forge *f)
{
  no_locators(f);
  no_name(f);
}

void
only(struct forge *f, uint32_t code, uint32_t space, uint32_t len,
     uint64_t off)
{
  nothing_named(f);
  forge_locator(f, 0, code, space, len, off);
}

void
only_text(struct forge *f, uint32_t code, const char *text)
{
  memset(f->file + L_RU, 0, FORGE_SECTOR);
  memcpy(f->file + L_RU, text, strlen(text));
  only(f, code, FORGE_SECTOR, (uint32_t)strlen(text), L_RU);
}

void
only_utf16(struct forge *f, const char *text)
{
  memset(f->file + L_RU, 0, FORGE_SECTOR);
  uint32_t n = forge_utf16(f, L_RU, text);
  only(f, W2RU, FORGE_SECTOR, n, L_RU);
}

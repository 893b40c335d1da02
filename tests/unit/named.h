/* SPDX-License-Identifier: BSD-2-Clause */
/* named.h: edits of a hostile child: what it names as its parent. */
#ifndef NAMED_H
#define NAMED_H

#include <stdint.h>

#include "unit/forge.h"

#define W2RU 0x57327275
#define W2KU 0x57326b75
#define WI2R 0x57693272
#define MACX 0x4d616358
#define L_RU FORGE_LOCATOR_W2RU
#define L_KU FORGE_LOCATOR_W2KU

void no_locators(struct forge *f);
void no_name(struct forge *f);
void nothing_named(struct forge *f);

/* Only the one locator, and no name; the text goes to L_RU. */
void only(struct forge *f, uint32_t code, uint32_t space, uint32_t len,
          uint64_t off);
void only_text(struct forge *f, uint32_t code, const char *text);
void only_utf16(struct forge *f, const char *text);

#endif

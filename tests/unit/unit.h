/* SPDX-License-Identifier: BSD-2-Clause */
/* unit.h: what the unit tests share.  Includes cmocka with what it needs. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/field.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(a)[0])

/* Fails the test with a message that names the row of its table. */
#define ROW_TRUE(name, condition)                                     \
  do {                                                                \
    if (!(condition))                                                 \
      fail_msg("%s: not true: %s", (name), #condition);               \
  } while (0)
#define ROW_INT(name, value, expected)                                \
  do {                                                                \
    long long v_ = (long long)(value), e_ = (long long)(expected);    \
    if (v_ != e_)                                                     \
      fail_msg("%s: %s is %lld (%#llx), not %lld (%#llx)", (name),    \
               #value, v_, (unsigned long long)v_, e_,                \
               (unsigned long long)e_);                               \
  } while (0)
#define ROW_STRING(name, value, expected)                             \
  do {                                                                \
    const char *v_ = (value), *e_ = (expected);                       \
    if (strcmp(v_, e_) != 0)                                          \
      fail_msg("%s: %s is \"%s\", not \"%s\"", (name), #value, v_,    \
               e_);                                                   \
  } while (0)

/* A pseudo-random number; the same sequence in every run. */
uint32_t unit_random(void);

/* Real images of other tools lie in $VHDKIT_IMAGES, NAME.vhd.xz each.  Only
 * programs of their own use them, which skip as a whole (exit 77) without it:
 * cmocka's skip() is a failure to a reader of TAP. */
extern const char *const unit_images[];
/* Unpacks one; the caller frees. */
uint8_t *unit_image(const char *name, size_t *size);
/* Unpacks one into a file. */
void unit_image_file(const char *name, const char *path);

#endif

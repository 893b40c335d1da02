/* SPDX-License-Identifier: BSD-2-Clause */
/* test-hostile-locator: children whose locators, or names of a parent, lie. */
#include "config.h"

#include "unit/hostile.h"
#include "unit/named.h"
#include "unit/unit.h"

#define ONLY(function, code, text)   \
  static void                        \
  function(struct forge *f)          \
  {                                  \
    only_text(f, code, text);        \
  }

#define ONLY_UTF16(function, text)   \
  static void                        \
  function(struct forge *f)          \
  {                                  \
    only_utf16(f, text);             \
  }

#define ONLY_SO(function, code, space, len, off) \
  static void                                    \
  function(struct forge *f)                      \
  {                                              \
    only(f, code, space, len, off);              \
  }

ONLY_UTF16(by_w2ru, ".\\parent.vhd")
ONLY_UTF16(by_bare_w2ru, "parent.vhd")
ONLY_UTF16(by_other_case, ".\\PARENT.VHD")
ONLY_UTF16(by_detour, ".\\nowhere\\..\\parent.vhd")
ONLY_UTF16(by_newline, ".\\parent.vhd\n")
ONLY_UTF16(by_escape, ".\\\x1b[2Jparent.vhd")
ONLY_UTF16(upwards, "..\\..\\..\\..\\..\\..\\etc\\hostname")
ONLY_UTF16(absolute_in_w2ru, "\\etc\\hostname")
ONLY(by_wi2r, WI2R, ".\\parent.vhd")
ONLY(by_macx, MACX, "file://./parent.vhd")
ONLY(by_escaped_macx, MACX, "file://./p%61rent.vhd")
ONLY(etc_macx, MACX, "file:///etc/hostname")
ONLY(nul_macx, MACX, "file://./parent.vhd%00.txt")
ONLY(unknown_code, 0x12345678, "parent.vhd")
ONLY(alias, 0x4d616320, "parent.vhd")
ONLY_SO(space_in_sectors, W2RU, 1, 24, L_RU)
ONLY_SO(no_space, W2RU, 0, 24, L_RU)
ONLY_SO(hostile_space, W2RU, 0x7ffffe00, 24, L_RU)
ONLY_SO(uneven_space, W2RU, 513, 24, L_RU)
ONLY_SO(hostile_offset, W2RU, 512, 24, 1ULL << 40)
ONLY_SO(absurd_offset, W2RU, 512, 24, 0ULL - 512)
ONLY_SO(hostile_length, W2RU, 512, UINT32_MAX, L_RU)
ONLY_SO(longer_than_space, W2RU, 512, 600, L_RU)
ONLY_SO(half_a_character, W2RU, 512, 23, L_RU)
ONLY_SO(no_length, W2RU, 512, 0, L_RU)
ONLY_SO(with_nul, W2RU, 512, 26, L_RU)
ONLY_SO(whole_space, W2RU, 512, 512, L_RU)

static void
embedded_nul(struct forge *f)
{
  only_utf16(f, ".\\parent.vhdXjunk");
  f->file[L_RU + 24] = 0;
}

static void
lone_surrogate(struct forge *f)
{
  only_utf16(f, ".\\parent.vhdX");
  unit_put(f->file, L_RU + 24, 2, 0x00d8);
}

static void
over_table(struct forge *f)
{
  forge_locator(f, 0, W2RU, 512, 24, FORGE_BAT);
}

static void
over_block(struct forge *f)
{
  forge_locator(f, 0, W2RU, 512, 24, FORGE_SLOT);
}

static void
over_each_other(struct forge *f)
{
  forge_locator(f, 0, W2RU, 512, 24, L_KU);
}

static void
beyond_the_end(struct forge *f)
{
  forge_locator(f, 0, W2RU, 512, 24, f->len + 1536);
  forge_locator(f, 2, W2RU, 512, 24, f->len + 1536);
}

static void
only_beyond_the_end(struct forge *f)
{
  only(f, W2RU, 512, 24, f->len + 1536);
}

static void
eight_times_the_same(struct forge *f)
{
  for (unsigned i = 0; i < 8; i++)
    forge_locator(f, i, W2RU, 512, 24, L_RU);
}

static void
name_only(struct forge *f)
{
  no_locators(f);
}

static void
name_with_path(struct forge *f)
{
  no_locators(f);
  forge_name(f, "C:\\Users\\somebody\\parent.vhd");
}

static void
name_upwards(struct forge *f)
{
  no_locators(f);
  forge_name(f, "..\\..\\..\\..\\..\\..\\etc\\hostname");
}

static void
name_without_end(struct forge *f)
{
  for (unsigned i = 0; i < 512; i += 2)
    unit_put(f->file, FORGE_HEADER + 64 + i, 2, 0xd800 + i);
}

static void
test_locators(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "nothing wrong, child", .base = CHILD },
    { .name = "found by W2ru", .base = CHILD, .edit = by_w2ru },
    { .name = "found by W2ru without a dot",
      .base = CHILD,
      .edit = by_bare_w2ru },
    { .name = "found by Wi2r", .base = CHILD, .edit = by_wi2r },
    { .name = "found by MacX", .base = CHILD, .edit = by_macx },
    { .name = "found by escaped MacX",
      .base = CHILD,
      .edit = by_escaped_macx },
    { .name = "found in another case",
      .base = CHILD,
      .edit = by_other_case },
    { .name = "found by name alone", .base = CHILD, .edit = name_only },
    { .name = "found by the name's last part",
      .base = CHILD,
      .edit = name_with_path },
    { .name = "found by locators, name without end",
      .base = CHILD,
      .edit = name_without_end },
    { .name = "space in sectors", .base = CHILD, .edit = space_in_sectors },
    { .name = "no space said", .base = CHILD, .edit = no_space },
    { .name = "length with its NUL", .base = CHILD, .edit = with_nul },
    { .name = "length of its whole space",
      .base = CHILD,
      .edit = whole_space },
    { .name = "no locators and no name",
      .base = CHILD,
      .edit = nothing_named,
      .code = VHD_PARENT_MISSING },
    { .name = "only an unknown locator code",
      .base = CHILD,
      .edit = unknown_code,
      .code = VHD_PARENT_MISSING },
    { .name = "only an alias",
      .base = CHILD,
      .edit = alias,
      .code = VHD_PARENT_MISSING },
    { .name = "locator's space 0x7ffffe00",
      .base = CHILD,
      .edit = hostile_space,
      .code = VHD_PARENT_MISSING },
    { .name = "locator's space of no sectors",
      .base = CHILD,
      .edit = uneven_space,
      .code = VHD_PARENT_MISSING },
    { .name = "locator at 2^40",
      .base = CHILD,
      .edit = hostile_offset,
      .code = VHD_PARENT_MISSING },
    { .name = "locator at 2^64-512",
      .base = CHILD,
      .edit = absurd_offset,
      .code = VHD_PARENT_MISSING },
    { .name = "locator of 4 GiB",
      .base = CHILD,
      .edit = hostile_length,
      .code = VHD_PARENT_MISSING },
    { .name = "locator longer than its space",
      .base = CHILD,
      .edit = longer_than_space,
      .code = VHD_PARENT_MISSING },
    { .name = "locator of half a character",
      .base = CHILD,
      .edit = half_a_character,
      .code = VHD_PARENT_MISSING },
    { .name = "locator of no length",
      .base = CHILD,
      .edit = no_length,
      .code = VHD_PARENT_MISSING },
    { .name = "path with an embedded NUL",
      .base = CHILD,
      .edit = embedded_nul,
      .code = VHD_PARENT_MISSING },
    { .name = "path with an escaped NUL",
      .base = CHILD,
      .edit = nul_macx,
      .code = VHD_PARENT_MISSING },
    { .name = "path with a lone surrogate",
      .base = CHILD,
      .edit = lone_surrogate,
      .code = VHD_PARENT_MISSING },
    { .name = "path with a newline",
      .base = CHILD,
      .edit = by_newline,
      .code = VHD_PARENT_MISSING },
    { .name = "path with an escape sequence",
      .base = CHILD,
      .edit = by_escape,
      .code = VHD_PARENT_MISSING },
    { .name = "path through a folder that is not there",
      .base = CHILD,
      .edit = by_detour,
      .code = VHD_PARENT_MISSING },
    { .name = "path upwards out of the folder",
      .base = CHILD,
      .edit = upwards,
      .code = VHD_PARENT_DENIED },
    { .name = "absolute path out of the folder",
      .base = CHILD,
      .edit = absolute_in_w2ru,
      .code = VHD_PARENT_DENIED },
    { .name = "URL out of the folder",
      .base = CHILD,
      .edit = etc_macx,
      .code = VHD_PARENT_DENIED },
    { .name = "name upwards out of the folder",
      .base = CHILD,
      .edit = name_upwards,
      /* Only its last part is looked for. */
      .code = VHD_PARENT_MISSING },
    { .name = "locator over the table",
      .base = CHILD,
      .edit = over_table,
      .traits = UNSOUND },
    { .name = "locator over a block",
      .base = CHILD,
      .edit = over_block,
      .traits = UNSOUND },
    { .name = "locators over each other",
      .base = CHILD,
      .edit = over_each_other,
      .traits = UNSOUND },
    { .name = "eight times the same locator",
      .base = CHILD,
      .edit = eight_times_the_same,
      .traits = UNSOUND },
    { .name = "locator where the file will have grown to",
      .base = CHILD,
      .edit = beyond_the_end,
      .traits = UNSOUND },
    { .name = "only that locator",
      .base = CHILD,
      .edit = only_beyond_the_end,
      .code = VHD_PARENT_MISSING },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_locators),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-hostile-chain: hostile chains: locators that lie, parents that are not
 * there, are something else, or are their own children. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "unit/hostile.h"
#include "unit/unit.h"

#define W2RU 0x57327275
#define W2KU 0x57326b75
#define WI2R 0x57693272
#define MACX 0x4d616358
#define L_RU FORGE_LOCATOR_W2RU
#define L_KU FORGE_LOCATOR_W2KU

/* ----------------------------------------------------------------- locators */

static void
no_locators(struct forge *f)
{
  for (unsigned i = 0; i < 8; i++)
    forge_locator(f, i, 0, 0, 0, 0);
}

static void
no_name(struct forge *f)
{
  forge_name(f, "");
}

static void
nothing_named(struct forge *f)
{
  no_locators(f);
  no_name(f);
}

/* Only the one locator, and no name. */
static void
only(struct forge *f, uint32_t code, uint32_t space, uint32_t len,
     uint64_t off)
{
  nothing_named(f);
  forge_locator(f, 0, code, space, len, off);
}

static void
only_text(struct forge *f, uint32_t code, const char *text)
{
  memset(f->file + L_RU, 0, FORGE_SECTOR);
  memcpy(f->file + L_RU, text, strlen(text));
  only(f, code, FORGE_SECTOR, (uint32_t)strlen(text), L_RU);
}

static void
only_utf16(struct forge *f, const char *text)
{
  memset(f->file + L_RU, 0, FORGE_SECTOR);
  uint32_t n = forge_utf16(f, L_RU, text);
  only(f, W2RU, FORGE_SECTOR, n, L_RU);
}

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

/* ------------------------------------------------------------------ parents */

static void
parent_absent(struct forge *f)
{
  (void)f;
  unlink(PARENT);
}

static void
parent_fifo(struct forge *f)
{
  (void)f;
  unlink(PARENT);
  if (mkfifo(PARENT, 0600) < 0)
    hostile_fail("mkfifo");
}

static void
parent_folder(struct forge *f)
{
  (void)f;
  unlink(PARENT);
  if (mkdir(PARENT, 0700) < 0)
    hostile_fail("mkdir");
}

static void
parent_link(const char *to)
{
  unlink(PARENT);
  if (symlink(to, PARENT) < 0)
    hostile_fail("symlink");
}

static void
parent_device(struct forge *f)
{
  (void)f;
  parent_link("/dev/zero");
}

static void
parent_proc(struct forge *f)
{
  (void)f;
  parent_link("/proc/self/status");
}

static void
parent_link_loop(struct forge *f)
{
  (void)f;
  parent_link(PARENT);
}

static void
parent_link_inside(struct forge *f)
{
  (void)f;
  if (rename(PARENT, "really.vhd") < 0)
    hostile_fail("rename");
  parent_link("really.vhd");
}

static void
parent_link_outside(struct forge *f)
{
  (void)f;
  parent_link("/etc/hostname");
}

static void
parent_of(const char *start)
{
  char text[8192] = "";
  snprintf(text, sizeof text, "%s", start);
  int fd = open(PARENT, O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0 || write(fd, text, sizeof text) != sizeof text)
    hostile_fail("%s: cannot be made", PARENT);
  close(fd);
}

static void
parent_vhdx(struct forge *f)
{
  (void)f;
  parent_of("vhdxfile");
}

static void
parent_text(struct forge *f)
{
  (void)f;
  parent_of("hello");
}

static void
parent_empty(struct forge *f)
{
  (void)f;
  if (truncate(PARENT, 0) < 0)
    hostile_fail("truncate");
}

static void
parent_broken(struct forge *f)
{
  struct forge p;
  (void)f;
  forge_dynamic(&p, 'P');
  unit_put(p.file, FORGE_BAT + 4, 4, 0);
  forge_write(&p, PARENT);
  forge_free(&p);
}

static void
parent_other(struct forge *f)
{
  struct forge p;
  (void)f;
  forge_dynamic(&p, 'Q');
  forge_write(&p, PARENT);
  forge_free(&p);
}

/* The wrong one where the locators lead, the right one nowhere. */
static void
parent_other_and_name(struct forge *f)
{
  struct forge p;
  parent_other(f);
  forge_dynamic(&p, 'P');
  forge_write(&p, "named.vhd");
  forge_free(&p);
}

static void
other_name(struct forge *f)
{
  forge_name(f, "named.vhd");
}

static void
parent_fixed(struct forge *f)
{
  struct forge p;
  forge_fixed(&p, 'P');
  forge_write(&p, PARENT);
  /* All that the child does not have itself. */
  for (size_t sec = 0; sec < f->disk_len / FORGE_SECTOR; sec++) {
    uint8_t *at = f->disk + sec * FORGE_SECTOR;
    if (at[0] != 'C')
      memcpy(at, p.disk + sec * FORGE_SECTOR, FORGE_SECTOR);
  }
  forge_free(&p);
}

static void
parent_sized(struct forge *f, uint64_t size)
{
  struct forge p;
  forge_dynamic(&p, 'P');
  forge_resize(&p, size);
  forge_seal(&p);
  forge_write(&p, PARENT);
  forge_free(&p);
  for (size_t sec = size / FORGE_SECTOR; sec < f->disk_len / FORGE_SECTOR;
       sec++)
    if (f->disk[sec * FORGE_SECTOR] != 'C')
      memset(f->disk + sec * FORGE_SECTOR, 0, FORGE_SECTOR);
}

static void
parent_larger(struct forge *f)
{
  parent_sized(f, FORGE_ENTRIES * FORGE_BLOCK);
}

static void
parent_smaller(struct forge *f)
{
  /* Ends within its block 5, before some sectors that are set. */
  parent_sized(f, 5 * FORGE_BLOCK + 70 * FORGE_SECTOR);
}

static void
parent_one_sector(struct forge *f)
{
  parent_sized(f, FORGE_SECTOR);
}

static void
parent_in_use(struct forge *f)
{
  struct vhd_image *image;
  struct vhd_error err;
  (void)f;
  if (vhd_open(PARENT, NULL, &image, &err) < 0)
    hostile_fail("%s", err.message);
  static struct vhd_image *volatile kept; /* until the process ends */
  kept = image;
  (void)kept;
}

static void
null_id(struct forge *f)
{
  memset(f->file + FORGE_HEADER + 40, 0, 16);
}

static void
null_id_etc(struct forge *f)
{
  null_id(f);
  etc_macx(f);
}

static void
self_parent(struct forge *f)
{
  only_utf16(f, ".\\" DISK);
  memset(f->file + FORGE_HEADER + 40, 'C', 16);
}

static void
mutual(struct forge *f)
{
  struct forge p;
  forge_child(&p, 'P', f, DISK);
  forge_write(&p, PARENT);
  forge_free(&p);
}

/* The same disk under another name. */
static void
self_by_link(struct forge *f)
{
  (void)f;
  if (link(DISK, "again.vhd") < 0)
    hostile_fail("link");
}

static void
self_parent_by_link(struct forge *f)
{
  only_utf16(f, ".\\again.vhd");
  memset(f->file + FORGE_HEADER + 40, 'C', 16);
}

static void
test_parents(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "parent absent",
      .base = CHILD,
      .stage = parent_absent,
      .code = VHD_PARENT_MISSING,
      .says = PARENT },
    { .name = "parent is a FIFO",
      .base = CHILD,
      .stage = parent_fifo,
      .code = VHD_PARENT_MISSING },
    { .name = "parent is a folder",
      .base = CHILD,
      .stage = parent_folder,
      .code = VHD_PARENT_MISSING },
    { .name = "parent is a device",
      .base = CHILD,
      .stage = parent_device,
      .code = VHD_PARENT_DENIED },
    { .name = "parent is in /proc",
      .base = CHILD,
      .stage = parent_proc,
      .code = VHD_PARENT_DENIED },
    { .name = "parent is a link to itself",
      .base = CHILD,
      .stage = parent_link_loop,
      .code = VHD_PARENT_MISSING },
    { .name = "parent is a link to it",
      .base = CHILD,
      .stage = parent_link_inside },
    { .name = "parent is a link out of the folder",
      .base = CHILD,
      .stage = parent_link_outside,
      .code = VHD_PARENT_DENIED },
    { .name = "parent is another format",
      .base = CHILD,
      .stage = parent_vhdx,
      .code = VHD_CHAIN_PARENT,
      .says = "VHDX" },
    { .name = "parent is text",
      .base = CHILD,
      .stage = parent_text,
      .code = VHD_CHAIN_PARENT,
      .says = PARENT },
    { .name = "parent is empty",
      .base = CHILD,
      .stage = parent_empty,
      .code = VHD_CHAIN_PARENT },
    { .name = "parent is broken",
      .base = CHILD,
      .stage = parent_broken,
      .code = VHD_CHAIN_PARENT,
      .says = "block" },
    { .name = "parent is another disk",
      .base = CHILD,
      .stage = parent_other,
      .code = VHD_PARENT_ID,
      .says = PARENT },
    { .name = "parent is elsewhere than the locators say",
      .base = CHILD,
      .edit = other_name,
      .stage = parent_other_and_name },
    { .name = "parent is fixed", .base = CHILD, .stage = parent_fixed },
    { .name = "parent is larger", .base = CHILD, .stage = parent_larger },
    { .name = "parent is smaller", .base = CHILD, .stage = parent_smaller },
    { .name = "parent is one sector",
      .base = CHILD,
      .stage = parent_one_sector },
    { .name = "parent is being written",
      .base = CHILD,
      .stage = parent_in_use,
      .code = VHD_BUSY,
      .says = "pid" },
    { .name = "null parent id",
      .base = CHILD,
      .edit = null_id,
      .code = VHD_PARENT_ID },
    { .name = "null parent id, any file of the host",
      .base = CHILD,
      .edit = null_id_etc,
      .code = VHD_PARENT_ID },
    { .name = "null parent id, any file of the host, raw parents allowed",
      .base = CHILD,
      .edit = null_id_etc,
      .flags = VHD_OPEN_RAW_PARENT,
      .code = VHD_PARENT_DENIED },
    { .name = "own parent",
      .base = CHILD,
      .edit = self_parent,
      .code = VHD_CHAIN_CYCLE },
    { .name = "own parent by another name",
      .base = CHILD,
      .edit = self_parent_by_link,
      .stage = self_by_link,
      .code = VHD_CHAIN_CYCLE },
    { .name = "own grandparent",
      .base = CHILD,
      .stage = mutual,
      .code = VHD_CHAIN_CYCLE },
    { .name = "parent's time recorded, and not",
      .base = CHILD,
      .patch = { { HEADER, 56, 4, 12345 } } },
    { .name = "child's type without one, type 3",
      /* Every sector that it does not have itself would read as zeros. */
      .base = CHILD,
      .patch = { { END, 60, 4, 3 } },
      .code = VHD_FOOTER_CORRUPT },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

/* ------------------------------------------------------------- deep chains */

/* DISK and n ancestors, each the child of the next; all but the deepest
 * without blocks. */
static void
make_chain(unsigned n, struct forge *base)
{
  struct forge f;
  char name[32], parent[32];
  forge_dynamic(base, 'P');
  forge_child(&f, 'C', base, "x");
  uint8_t footer[FORGE_SECTOR];
  memcpy(footer, f.file, sizeof footer);
  memset(f.file + FORGE_BAT, 0xff, FORGE_SECTOR);
  f.len = FORGE_SLOT + FORGE_SECTOR;
  memcpy(forge_end(&f), footer, sizeof footer);

  for (unsigned i = 0; i < n; i++) {
    snprintf(name, sizeof name, i == 0 ? DISK : "%u.vhd", i);
    snprintf(parent, sizeof parent, "%u.vhd", i + 1);
    forge_name(&f, parent);
    no_locators(&f);
    /* Each has the id of its number. */
    unit_put(f.file, 68, 8, i);
    unit_put(forge_end(&f), 68, 8, i);
    memset(f.file + FORGE_HEADER + 40, 'C', 16);
    unit_put(f.file, FORGE_HEADER + 40, 8, i + 1);
    if (i + 1 == n)
      memset(f.file + FORGE_HEADER + 40, 'P', 16);
    forge_seal(&f);
    forge_write(&f, name);
  }
  forge_write(base, n == 0 ? DISK : parent);
  forge_free(&f);
}

static void
deepest_allowed(void)
{
  struct forge base;
  make_chain(VHD_MAX_DEPTH, &base);
  hostile_compare(DISK, 0, base.disk, base.disk_len);
  forge_free(&base);
}

static void
refused_as_too_deep(unsigned n)
{
  struct forge base;
  struct vhd_image *image;
  struct vhd_error err;
  make_chain(n, &base);
  forge_free(&base);
  for (unsigned readonly = 0; readonly < 2; readonly++) {
    struct vhd_open_options opt = {
      .flags = readonly ? VHD_OPEN_READONLY : 0,
    };
    if (vhd_open(DISK, &opt, &image, &err) == 0)
      hostile_fail("opened");
    if (err.code != VHD_LIMIT)
      hostile_fail("%s, not limit: %s", vhd_code_name(err.code), err.message);
  }
  /* The message does not grow with the chain. */
  if (strlen(err.message) > 300)
    hostile_fail("says: %s", err.message);
}

static void
one_too_deep(void)
{
  refused_as_too_deep(VHD_MAX_DEPTH + 1);
}

static void
far_too_deep(void)
{
  refused_as_too_deep(10000);
}

static void
test_deep(void **state)
{
  (void)state;
  hostile_apart("as many ancestors as are allowed", deepest_allowed);
  hostile_apart("an ancestor too many", one_too_deep);
  hostile_apart("ten thousand ancestors", far_too_deep);
}

/* A message about an ancestor names it, once, and the image. */
static void
names_the_ancestor(void)
{
  struct forge base;
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  make_chain(3, &base);
  forge_free(&base);
  unlink("3.vhd");
  if (vhd_open(DISK, &opt, &image, &err) == 0)
    hostile_fail("opened");
  if (err.code != VHD_PARENT_MISSING)
    hostile_fail("%s: %s", vhd_code_name(err.code), err.message);
  if (strncmp(err.message, DISK ":", strlen(DISK ":")) != 0 ||
      strstr(err.message, "2.vhd") == NULL ||
      strstr(err.message, "3.vhd") == NULL)
    hostile_fail("says: %s", err.message);
}

/* Parents stay as they are while children are written, whatever happens. */
static void
parents_untouched(void)
{
  struct forge p, c, again;
  struct vhd_image *image;
  struct vhd_error err;
  uint8_t buf[70000];
  forge_dynamic(&p, 'P');
  forge_write(&p, PARENT);
  forge_child(&c, 'C', &p, PARENT);
  forge_write(&c, DISK);
  if (vhd_open(DISK, NULL, &image, &err) < 0)
    hostile_fail("%s", err.message);
  memset(buf, 0x5a, sizeof buf);
  for (size_t off = 0; off < p.disk_len; off += 100000)
    if (vhd_pwrite(image, buf, MIN(sizeof buf, p.disk_len - off), off, 0) < 0)
      hostile_fail("write");
  if (vhd_trim(image, p.disk_len, 0, 0) < 0 ||
      vhd_zero(image, FORGE_BLOCK, 0, 0) < 0 || vhd_close(image, &err) < 0)
    hostile_fail("trim, zero or close");
  int fd = open(PARENT, O_RDONLY | O_CLOEXEC);
  forge_dynamic(&again, 'Q');
  if (fd < 0 || read(fd, again.file, again.len) != (ssize_t)p.len ||
      memcmp(again.file, p.file, p.len) != 0)
    hostile_fail("the parent was written to");
  close(fd);
  forge_free(&p);
  forge_free(&c);
  forge_free(&again);
}

static void
test_messages(void **state)
{
  (void)state;
  hostile_apart("an ancestor's parent is absent", names_the_ancestor);
}

static void
test_untouched(void **state)
{
  (void)state;
  hostile_apart("parents are never written", parents_untouched);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_locators),  cmocka_unit_test(test_parents),
    cmocka_unit_test(test_deep),      cmocka_unit_test(test_messages),
    cmocka_unit_test(test_untouched),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}

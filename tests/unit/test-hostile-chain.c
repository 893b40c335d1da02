/* SPDX-License-Identifier: BSD-2-Clause */
/* test-hostile-chain: hostile chains: parents that are not there, are
 * something else, or are their own children. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "unit/hostile.h"
#include "unit/named.h"
#include "unit/unit.h"

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
  only_text(f, MACX, "file:///etc/hostname");
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
    cmocka_unit_test(test_parents),  cmocka_unit_test(test_deep),
    cmocka_unit_test(test_messages), cmocka_unit_test(test_untouched),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-change: what of a disk's versions and children is refused, and with
 * which words; what they are to those who look.  That each change is whole,
 * whatever cuts it off, shows tests/provision. */
#include "config.h"

#include "unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"
#include "provision/change/change.h"
#include "provision/child.h"
#include "provision/disk_folder.h"
#include "provision/disk_text.h"

#define D PLACE_DISK

static char disks[32], children[32];

/* Versions 1 and 2, of which the second is in production, and clients a on 2
 * and b on 1. */
static int
set_up(void **state)
{
  static unsigned n;
  struct vhd_error err;

  (void)state;
  snprintf(disks, sizeof disks, "disks%u", ++n);
  snprintf(children, sizeof children, "children%u", n);
  place = (struct provision_config){ .disks = disks, .children = children };
  place_make();
  place_version(1, 0);
  place_link("production", 1);
  place_version(2, 1);
  assert_int_equal(disk_promote(&place, D, 2, &err), 0);
  place_child("a", "production", 100);
  place_child("b", "1", 50);
  return 0;
}

/* Refused with that errno, and words that have this in them. */
static void
refused(int r, const struct vhd_error *err, int sys, const char *words)
{
  if (r != -sys || !strstr(err->message, words))
    fail_msg("%d, not %d: \"%s\", without \"%s\"", r, -sys, err->message,
             words);
}

static const char *
of_disk(const char *name)
{
  static char path[PATH_MAX];

  snprintf(path, sizeof path, "%s/" D "/%s", disks, name);
  return path;
}

static struct vhd_image *
open_child(const char *client)
{
  char path[PATH_MAX];

  assert_int_equal(child_path(&place, D, client, path, sizeof path), 0);
  return place_open(path, 0);
}

/* ------------------------------------------------------------------ looking */

static void
test_links(void **state)
{
  char path[PATH_MAX];
  unsigned number;

  (void)state;
#define LEADS(version, r)                                                     \
  assert_int_equal(disk_folder_version_path(disks, D, version, path,          \
                                            sizeof path, &number), r)
  LEADS("production", 0);
  assert_int_equal(number, 2);
  assert_string_equal(path, of_disk("2.vhd"));
  LEADS("1", 0);
  LEADS("3", -ENOENT);
  LEADS("test", -ENOENT);
  LEADS("maintenance", -ENOENT);
  LEADS("../2", -EINVAL);
  LEADS("previous", -EINVAL);
  assert_int_equal(disk_folder_version_for(disks, D, "test", path, sizeof path,
                                           &number), 0);
  assert_int_equal(number, 2);
  place_link("test", 1);
  assert_int_equal(disk_folder_version_for(disks, D, "test", path, sizeof path,
                                           &number), 0);
  assert_int_equal(number, 1);
  /* What leads to no version is no link, wherever it leads. */
  static const char *const strays[] = { "../x.vhd", "/etc/passwd", "1", "0.vhd",
                                        "01.vhd", "1.vhd.vhd", "./1.vhd",
                                        "x.vhd", ".vhd" };
  for (size_t i = 0; i < ARRAY_SIZE(strays); i++) {
    unlink(of_disk("test"));
    assert_int_equal(symlink(strays[i], of_disk("test")), 0);
    LEADS("test", -EINVAL);
  }
  unlink(of_disk("test"));
  assert_int_equal(symlink("9.vhd", of_disk("test")), 0);
  LEADS("test", -ENOENT);
  /* A link that was made golden, or leads to what clients get, is none. */
  place_link("maintenance", 2);
  LEADS("maintenance", -ENOENT);
  place_version(3, 2);
  place_link("maintenance", 3);
  LEADS("maintenance", 0);
  chmod(of_disk("3.vhd"), 0444);
  LEADS("maintenance", -ENOENT);
  assert_int_equal(disk_folder_version_path(disks, "../" D, "1", path,
                                            sizeof path, NULL), -EINVAL);
  assert_int_equal(disk_folder_version_path(disks, "e", "1", path, sizeof path,
                                            NULL), -ENOENT);
  assert_int_equal(disk_folder_version_path(disks, D, "1", path, 5, NULL),
                   -ENAMETOOLONG);
}

static void
test_texts(void **state)
{
  static const struct {
    const char *text, *shown; /* NULL: the same, and it can be said */
  } texts[] = {
    { "", NULL }, { "more memory", NULL }, { "\xc3\xa4 \xe2\x82\xac", NULL },
    { "\xf0\x9f\x92\xbe", NULL }, { "a\tb", "a?b" }, { "\x1b[2J", "?[2J" },
    { "\xff", "?" }, { "\xc0\xaf", "??" }, { "\xed\xa0\x80", "???" },
    { "\xc2\x85", "??" }, { "\xe2\x82", "??" }, { "\x7f", "?" },
    { "two\nlines", "two" },
  };
  char text[DISK_TEXT_SIZE], client[DISK_TEXT_SIZE], much[400];
  struct vhd_error err;
  DIR *dir = opendir(of_disk("."));

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
    ROW_INT(texts[i].text, disk_text_check(texts[i].text) == NULL,
            texts[i].shown == NULL);
    ROW_INT(texts[i].text,
            disk_text_write(of_disk("2.txt"), texts[i].text, "a", &err), 0);
    disk_text_read(dirfd(dir), 2, text, client, sizeof text);
    ROW_STRING(texts[i].text, text,
               texts[i].shown ? texts[i].shown : texts[i].text);
  }
  memset(much, 'x', sizeof much - 1);
  much[sizeof much - 1] = '\0';
  assert_non_null(disk_text_check(much));
  assert_int_equal(disk_text_write(of_disk("2.txt"), much, "a", &err), 0);
  disk_text_read(dirfd(dir), 2, text, client, sizeof text);
  assert_int_equal(strlen(text), DISK_TEXT_SIZE - 1);
  assert_string_equal(client, "a");
  refused(disk_describe(&place, D, 2, "a\nb", &err), &err, EINVAL, "one line");
  refused(disk_describe(&place, D, 7, "a", &err), &err, ENOENT, "from 1 to 2");
  closedir(dir);
}

/* ----------------------------------------------------------------- versions */

static void
test_new_version(void **state)
{
  struct vhd_error err;
  unsigned number = 0, again = 0;

  (void)state;
  assert_int_equal(disk_new_version(&place, D, 0, "new", &number, &err), 0);
  assert_int_equal(number, 3);
  assert_int_equal(disk_new_version(&place, D, 0, "new", &again, &err), 0);
  assert_int_equal(again, 3);
  refused(disk_new_version(&place, D, 0, "another", &again, &err), &err,
          EEXIST, "version 3 of 'd' is in maintenance already: new");
  refused(disk_new_version(&place, D, 1, "new", &again, &err), &err, EEXIST,
          "version 3");
  struct vhd_image *image = place_open(of_disk("3.vhd"), 0);
  unsigned char sector[512] = { 1 };
  assert_int_equal(vhd_pwrite(image, sector, sizeof sector, 0, 0), 0);
  refused(disk_promote(&place, D, 3, &err), &err, EBUSY, "3.vhd");
  assert_int_equal(vhd_close(image, &err), 0);
  refused(disk_new_version(&place, D, 0, "new", &again, &err), &err, EEXIST,
          "version 3");
  refused(child_make(&place, D, "c", "3", &err), &err, EBUSY,
          "version 3 of 'd' is in maintenance");
  assert_int_equal(disk_promote(&place, D, 3, &err), 0);
  struct stat st;
  assert_int_equal(stat(of_disk("3.vhd"), &st), 0);
  assert_int_equal(st.st_mode & 0222, 0);
  assert_int_equal(lstat(of_disk("maintenance"), &st), -1);
  refused(disk_new_version(&place, D, 9, "x", &again, &err), &err, ENOENT,
          "no version 9; its versions go from 1 to 3");
  refused(disk_new_version(&place, "e", 0, "x", &again, &err), &err, ENOENT,
          "there is no disk 'e'");
  refused(disk_new_version(&place, "../d", 0, "x", &again, &err), &err, EINVAL,
          "no name of a disk");
  unlink(of_disk("production"));
  refused(disk_new_version(&place, D, 0, "x", &again, &err), &err, ENOENT,
          "in production");
}

/* What cannot be read is put before nobody. */
static void
test_broken(void **state)
{
  struct vhd_error err;

  (void)state;
  place_version(3, 2);
  assert_int_equal(truncate(of_disk("3.vhd"), 700), 0);
  assert_true(disk_promote(&place, D, 3, &err) < 0);
  assert_true(disk_test(&place, D, 3, &err) < 0);
  char text[PLACE_TEXT];
  place_tell(text);
  assert_non_null(strstr(text, "; production 2 after 1; "));
  /* And it can be deleted. */
  assert_int_equal(disk_delete(&place, D, 3, &err), 0);
}

static void
test_rollback(void **state)
{
  struct vhd_error err;
  unsigned number;

  (void)state;
  place_version(3, 2);
  assert_int_equal(disk_promote(&place, D, 3, &err), 0);
  assert_int_equal(disk_rollback(&place, D, 3, &number, &err), 0);
  assert_int_equal(number, 2);
  assert_int_equal(disk_rollback(&place, D, 3, &number, &err), 0);
  assert_int_equal(number, 2);
  assert_int_equal(disk_rollback(&place, D, 0, &number, &err), 0);
  assert_int_equal(number, 1);
  refused(disk_rollback(&place, D, 3, &number, &err), &err, ESTALE,
          "version 1 of 'd' is in production, and not 3");
  refused(disk_rollback(&place, D, 0, &number, &err), &err, ENOENT,
          "before version 1");
}

static void
test_schedule(void **state)
{
  static const char *const wrong[] = {
    "", "promote 3", "promote 3 at noon", "promote 0 at 2026-12-01T03:00:00Z",
    "promote 03 at 2026-12-01T03:00:00Z", "promote 3 at 2026-12-01T03:00:00",
    "promote 3 at 2026-02-30T03:00:00Z", "promote 3 at 2026-12-01T24:00:00Z",
    "promote 3 at 1969-12-01T03:00:00Z", "promote  3 at 2026-12-01T03:00:00Z",
    "promote 3 at 2026-12-01T03:00:00Z ", "promote 3 at 2026-12-01T03:00:00Zx",
    "promote 3 at 2026-12-01T03:00:00Z\n\n", "delete 3 at 2026-12-01T03:00:00Z",
  };
  struct disk_schedule schedule;
  struct vhd_error err;
  struct stat st;
  unsigned number;

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
    ROW_INT(wrong[i], disk_schedule_parse(wrong[i], &schedule), -EINVAL);
  assert_int_equal(disk_schedule_parse("promote 3 at 2026-12-01T03:00:00Z\n",
                                       &schedule), 0);
  assert_int_equal(schedule.number, 3);
  assert_int_equal(schedule.when, 1796094000);

  place_version(3, 2);
  refused(disk_schedule(&place, D, 4, 1000, &err), &err, ENOENT, "version 4");
  refused(disk_schedule(&place, D, 3, -1, &err), &err, EINVAL, "years");
  assert_int_equal(disk_schedule(&place, D, 3, 1000, &err), 0);
  refused(disk_delete(&place, D, 3, &err), &err, EBUSY, "is scheduled");
  assert_int_equal(disk_promote_due(&place, D, 999, &number, &err), 0);
  assert_int_equal(number, 0);
  assert_int_equal(disk_promote_due(&place, D, 1000, &number, &err), 0);
  assert_int_equal(number, 3);
  assert_int_equal(stat(of_disk("schedule"), &st), -1);
  assert_int_equal(disk_promote_due(&place, D, 1000, &number, &err), 0);
  assert_int_equal(number, 0);
  /* What was left of it does not do so again. */
  assert_int_equal(disk_schedule(&place, D, 3, 1000, &err), 0);
  assert_int_equal(disk_rollback(&place, D, 3, &number, &err), 0);
  assert_int_equal(disk_promote_due(&place, D, 1000, &number, &err), 0);
  assert_int_equal(number, 0);
  assert_int_equal(disk_schedule(&place, D, 3, 1000, &err), 0);
  assert_int_equal(disk_schedule(&place, D, 0, 0, &err), 0);
  assert_int_equal(disk_promote_due(&place, D, 1000, &number, &err), 0);
  assert_int_equal(number, 0);
  FILE *file = fopen(of_disk("schedule"), "w");
  assert_non_null(file);
  fputs("promote all\n", file);
  fclose(file);
  refused(disk_promote_due(&place, D, 1000, &number, &err), &err, EINVAL,
          "put it right");
}

static void
test_delete(void **state)
{
  struct vhd_error err;

  (void)state;
  refused(disk_delete(&place, D, 2, &err), &err, EBUSY,
          "version 2 of 'd' cannot be deleted: it is in production; client a "
          "stands on it");
  refused(disk_delete(&place, D, 1, &err), &err, EBUSY,
          "version 2 is a child of it; client b stands on it");
  place_version(3, 2);
  assert_int_equal(disk_test(&place, D, 3, &err), 0);
  refused(disk_delete(&place, D, 3, &err), &err, EBUSY, "it is being tested");
  assert_int_equal(disk_test(&place, D, 0, &err), 0);
  struct vhd_image *image = place_open(of_disk("3.vhd"), VHD_OPEN_READONLY);
  refused(disk_delete(&place, D, 3, &err), &err, EBUSY, "somebody reads it");
  vhd_close(image, NULL);
  for (char client[] = "m"; *client <= 's'; client[0]++)
    place_child(client, "3", 1);
  refused(disk_delete(&place, D, 3, &err), &err, EBUSY,
          "so do 2 other clients");
  for (char client[] = "m"; *client <= 's'; client[0]++)
    assert_int_equal(child_remove(&place, D, client, &err), 0);
  assert_int_equal(disk_delete(&place, D, 3, &err), 0);
  refused(disk_delete(&place, D, 3, &err), &err, ENOENT, "no version 3");
}

/* ----------------------------------------------------------------- children */

static void
test_child(void **state)
{
  struct disk_folder folder;
  struct vhd_error err;
  struct child child;
  char path[PATH_MAX];

  (void)state;
  /* It stays on its version, and as it is. */
  assert_int_equal(child_make(&place, D, "b", "production", &err), 0);
  assert_int_equal(disk_folder_read(disks, D, &folder, &err), 0);
  assert_int_equal(child_look(&place, D, "b", &folder, &child), 0);
  assert_int_equal(child.version, 1);
  assert_true(child.sound);
  assert_int_equal(child_look(&place, D, "c", &folder, &child), -ENOENT);
  disk_folder_free(&folder);
  struct vhd_image *image = open_child("b");
  assert_int_equal(place_byte(image), 1 + 50);
  const int r = child_discard(&place, D, "b", "production", &err);
  refused(r, &err, -r, "b.vhd");
  assert_int_equal(err.code, VHD_BUSY);
  assert_int_equal(vhd_close(image, NULL), 0);
  assert_int_equal(child_discard(&place, D, "b", "production", &err), 0);
  image = open_child("b");
  assert_int_equal(place_byte(image), 1 + 2);
  assert_int_equal(vhd_close(image, NULL), 0);

  static const char *const nobodys[] = { "..", "", "../b", "B", "b/c", "%2E",
                                         ".new-b" };
  for (size_t i = 0; i < ARRAY_SIZE(nobodys); i++) {
    ROW_INT(nobodys[i], child_path(&place, D, nobodys[i], path, sizeof path),
            -EINVAL);
    refused(child_make(&place, D, nobodys[i], "1", &err), &err, EINVAL,
            "no client");
    refused(child_remove(&place, D, nobodys[i], &err), &err, EINVAL,
            "no client");
  }
  refused(child_make(&place, D, "c", "9", &err), &err, ENOENT,
          "no version '9'");
  place.reserve = UINT64_MAX;
  refused(child_make(&place, D, "c", "1", &err), &err, ENOSPC, "--reserve");
  /* Who has one goes on. */
  assert_int_equal(child_make(&place, D, "b", "1", &err), 0);
}

/* The whole is moved, and nobody notices. */
static void
test_moved(void **state)
{
  (void)state;
  assert_int_equal(mkdir("elsewhere", 0700), 0);
  assert_int_equal(rename(disks, "elsewhere/disks"), 0);
  assert_int_equal(rename(children, "elsewhere/children"), 0);
  place.disks = "elsewhere/disks";
  place.children = "elsewhere/children";
  char to[64];
  snprintf(to, sizeof to, "elsewhere/%s", disks);
  assert_int_equal(rename("elsewhere/disks", to), 0);
  place.disks = to;
  struct vhd_image *image = open_child("a");
  assert_int_equal(place_byte(image), 1 + 2 + 100);
  assert_int_equal(vhd_close(image, NULL), 0);
}

static bool
says_parent(const char *path, const char *parent)
{
  struct vhd_image *image = place_open(path, VHD_OPEN_READONLY);
  struct vhd_locator locator;
  bool says = false;

  for (unsigned i = 0; i < VHD_MAX_LOCATORS; i++)
    says |= vhd_get_locator(image, i, &locator) == 0 && locator.relative &&
            strcmp(locator.path, parent) == 0;
  vhd_close(image, NULL);
  return says;
}

static void
test_apply(void **state)
{
  struct vhd_error err;
  unsigned number;
  char text[PLACE_TEXT];

  (void)state;
  struct vhd_image *image = open_child("a");
  assert_true(disk_apply(&place, D, "a", "by a", &number, &err) < 0);
  assert_int_equal(err.code, VHD_BUSY);
  assert_int_equal(vhd_close(image, NULL), 0);
  assert_int_equal(disk_apply(&place, D, "a", "by a", &number, &err), 0);
  assert_int_equal(number, 3);
  assert_int_equal(disk_apply(&place, D, "a", "by a", &number, &err), 0);
  assert_int_equal(number, 3);
  refused(disk_apply(&place, D, "c", "by c", &number, &err), &err, ENOENT,
          "client 'c' has no child");
  /* It says where its parent lies as seen from there. */
  assert_true(says_parent(of_disk("3.vhd"), "./2.vhd"));
  /* He goes on with a new child. */
  assert_int_equal(child_make(&place, D, "a", "3", &err), 0);
  place_tell(text);
  assert_non_null(strstr(text, " 3<2:103r(by a); production 2"));
  assert_non_null(strstr(text, " a<3:103"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
  const struct CMUnitTest tests[] = {
    TEST(test_links),    TEST(test_texts),  TEST(test_new_version),
    TEST(test_broken),   TEST(test_rollback), TEST(test_schedule),
    TEST(test_delete),
    TEST(test_child),    TEST(test_moved),  TEST(test_apply),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* place.c: see place.h. */
#include "config.h"

#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "provision/change/change.h"
#include "provision/child.h"
#include "provision/disk_folder.h"

struct provision_config place = { .disks = "disks", .children = "children" };

static void
need(int good, const char *what, const struct vhd_error *err)
{
  if (good)
    return;
  fprintf(stderr, "%s: %s\n", what, err ? err->message : strerror(errno));
  abort();
}

void
place_make(void)
{
  char path[PATH_MAX];

  need(mkdir(place.disks, 0700) == 0, place.disks, NULL);
  need(mkdir(place.children, 0700) == 0, place.children, NULL);
  snprintf(path, sizeof path, "%s/" PLACE_DISK, place.disks);
  need(mkdir(path, 0700) == 0, path, NULL);
  snprintf(path, sizeof path, "%s/" PLACE_DISK, place.children);
  need(mkdir(path, 0700) == 0, path, NULL);
}

/* ------------------------------------------------------------------- images */

struct vhd_image *
place_open(const char *path, unsigned flags)
{
  const struct vhd_open_options options = {
    .flags = flags, .roots = &place.disks, .nroots = 1
  };
  struct vhd_image *image;
  struct vhd_error err;

  need(vhd_open(path, &options, &image, &err) == 0, path, &err);
  return image;
}

/* Each version, and each child, has its own sector; so what a later one reads
 * is what the earlier ones hold, too. */
static void
put_byte(const char *path, unsigned sector, unsigned char byte)
{
  struct vhd_image *image = place_open(path, 0);
  unsigned char bytes[512];
  struct vhd_error err;

  memset(bytes, byte, sizeof bytes);
  need(vhd_pwrite(image, bytes, sizeof bytes, 512ULL * sector, 0) == 0, path,
       NULL);
  need(vhd_close(image, &err) == 0, path, &err);
}

/* The sum of all that was put. */
int
place_byte(struct vhd_image *image)
{
  unsigned char bytes[32 * 512];
  int sum = 0;

  if (vhd_pread(image, bytes, sizeof bytes, 0) < 0)
    return -1;
  for (unsigned i = 0; i < 32; i++)
    sum += bytes[i * 512];
  return sum;
}

/* It is a while ago that it was changed: nobody has to wait for the next
 * second. */
static void
date(const char *path)
{
  const struct timespec then = { .tv_sec = time(NULL) - 3600 };
  const struct timespec times[2] = { then, then };

  need(utimensat(AT_FDCWD, path, times, 0) == 0, path, NULL);
}

void
place_version(unsigned number, unsigned parent)
{
  char path[PATH_MAX], beside[PATH_MAX];
  const struct vhd_create_options options = {
    .size = parent ? 0 : PLACE_SIZE,
    .block_size = parent ? 0 : 4096,
    .parent = parent ? beside : NULL,
  };
  struct vhd_error err;

  disk_folder_file(place.disks, PLACE_DISK, number, path, sizeof path);
  disk_folder_file(place.disks, PLACE_DISK, parent, beside, sizeof beside);
  need(vhd_create(path, &options, &err) == 0, path, &err);
  put_byte(path, number, (unsigned char)number);
  date(path);
}

void
place_link(const char *link, unsigned number)
{
  char path[PATH_MAX], to[32];

  snprintf(path, sizeof path, "%s/" PLACE_DISK "/%s", place.disks, link);
  snprintf(to, sizeof to, "%u.vhd", number);
  unlink(path);
  need(symlink(to, path) == 0, path, NULL);
}

void
place_child(const char *client, const char *version, unsigned char byte)
{
  struct vhd_error err;
  char path[PATH_MAX];

  need(child_make(&place, PLACE_DISK, client, version, &err) == 0, client,
       &err);
  need(child_path(&place, PLACE_DISK, client, path, sizeof path) == 0, client,
       NULL);
  put_byte(path, 20, byte);
}

/* ------------------------------------------------------------------ telling */

struct telling {
  char *text;
  size_t n;
  const struct disk_folder *folder;
};

__attribute__((format(printf, 2, 3))) static void
say(struct telling *t, const char *fmt, ...)
{
  va_list args;

  va_start(args, fmt);
  const int n = vsnprintf(t->text + t->n, PLACE_TEXT - t->n, fmt, args);
  va_end(args);
  t->n += (size_t)n < PLACE_TEXT - t->n ? (size_t)n : 0;
}

static void
say_byte(struct telling *t, const char *path)
{
  const struct vhd_open_options options = {
    .flags = VHD_OPEN_READONLY, .roots = &place.disks, .nroots = 1
  };
  struct vhd_image *image;
  struct vhd_error err;

  if (vhd_open(path, &options, &image, &err) < 0) {
    say(t, ":%s", vhd_code_name(err.code));
    return;
  }
  say(t, ":%d", place_byte(image));
  vhd_close(image, NULL);
}

static void
say_version(struct telling *t, const struct disk_version *v)
{
  char path[PATH_MAX];

  say(t, " %u", v->number);
  if (v->parent)
    say(t, "<%u", v->parent);
  disk_folder_file(place.disks, PLACE_DISK, v->number, path, sizeof path);
  say_byte(t, path);
  /* All but the one in maintenance count as golden, whatever is left to do. */
  say(t, "%s", v->number == t->folder->maintenance ? "" : "r");
  if (*v->text)
    say(t, "(%s)", v->text);
}

static int
say_child(void *opaque, const struct child *child)
{
  struct telling *t = opaque;
  char path[PATH_MAX];

  say(t, " %s<%u", child->client, child->version);
  child_path(&place, PLACE_DISK, child->client, path, sizeof path);
  say_byte(t, path);
  return 0;
}

void
place_tell(char text[PLACE_TEXT])
{
  struct telling t = { .text = text };
  struct disk_folder folder;
  struct vhd_error err;

  text[0] = '\0';
  if (disk_folder_read(place.disks, PLACE_DISK, &folder, &err) < 0) {
    say(&t, "%s", err.message);
    return;
  }
  t.folder = &folder;
  say(&t, "versions");
  for (size_t i = 0; i < folder.n; i++)
    say_version(&t, &folder.versions[i]);
  say(&t, "; production %u", folder.production);
  if (folder.previous)
    say(&t, " after %u", folder.previous);
  if (folder.test && folder.test != folder.production)
    say(&t, ", test %u", folder.test);
  if (folder.maintenance)
    say(&t, ", maintenance %u", folder.maintenance);
  if (folder.schedule.number && folder.schedule.number != folder.production)
    say(&t, ", %u at %lld", folder.schedule.number,
        (long long)folder.schedule.when);
  say(&t, "; children");
  child_each(&place, PLACE_DISK, &folder, say_child, &t);
  disk_folder_free(&folder);
}

/* ------------------------------------------------------------------- strays */

/* What a power cut brings back of what was removed beside an image. */
static int
is_empty(const char *path)
{
  struct stat st;

  return stat(path, &st) == 0 && st.st_size == 0;
}

static int
is_expected(const char *name, const char *path)
{
  static const char *const known[] = { ".", "..", "production", "test",
                                       "maintenance", "schedule" };
  const char *rest = name + strspn(name, "0123456789");

  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(name, known[i]) == 0)
      return 1;
  return rest != name && (!strcmp(rest, ".vhd") || !strcmp(rest, ".txt") ||
                          !strcmp(rest, ".replaced") || is_empty(path));
}

/* The file of a client who has a child. */
static int
is_child(const char *name, const char *path)
{
  char client[PATH_MAX];
  struct disk_folder folder;
  struct vhd_error err;
  struct child child;
  const size_t len = strlen(name);

  snprintf(client, sizeof client, "%.*s", len > 4 ? (int)len - 4 : 0, name);
  need(disk_folder_read(place.disks, PLACE_DISK, &folder, &err) == 0, name,
       &err);
  const int r = child_look(&place, PLACE_DISK, client, &folder, &child);
  disk_folder_free(&folder);
  return r == 0 || name[0] == '.' || is_empty(path);
}

static void
find_stray(const char *folder, int (*expected)(const char *, const char *),
           char stray[PATH_MAX])
{
  const struct dirent *entry;
  char path[PATH_MAX], one[PATH_MAX + 256];

  snprintf(path, sizeof path, "%s/" PLACE_DISK, folder);
  DIR *dir = opendir(path);
  need(dir != NULL, path, NULL);
  while ((entry = readdir(dir)) != NULL) {
    snprintf(one, sizeof one, "%s/%s", path, entry->d_name);
    if (!expected(entry->d_name, one))
      snprintf(stray, PATH_MAX, "%s", entry->d_name);
  }
  closedir(dir);
}

const char *
place_stray(void)
{
  static char stray[PATH_MAX];

  stray[0] = '\0';
  find_stray(place.disks, is_expected, stray);
  find_stray(place.children, is_child, stray);
  return stray;
}

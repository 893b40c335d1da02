/* SPDX-License-Identifier: BSD-2-Clause */
/* apply.c: disk_apply(), by which a client's child becomes a version.
 *
 * It is renamed into the disk's folder, and that decides.  What it says of
 * where its parent lies is put right behind: until then its parent is found by
 * its name, which lies beside it now.  Between two file systems it is copied,
 * the copy is put right and gets its name, which decides; and the child, which
 * is known by its id to be that version, goes behind. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/child.h"
#include "provision/disk_text.h"
#include "provision/change/work.h"

/* A copy is called so until it is whole. */
#define COPY ".new-version"
#define PART (1U << 20)

struct applying {
  struct disk_work work;
  const char *client, *text;
  struct child child;
  char from[PATH_MAX], to[PATH_MAX];
  unsigned number;
};

/* The newest version that was a child of his. */
static unsigned
find_his(const struct applying *a)
{
  const struct disk_folder *folder = &a->work.folder;

  for (size_t i = folder->n; i-- > 0;)
    if (strcmp(folder->versions[i].client, a->client) == 0)
      return folder->versions[i].number;
  return 0;
}

static int
no_child(struct applying *a)
{
  a->number = find_his(a);
  return a->number > 0
           ? 0
           : fail_state(a->work.err, ENOENT,
                        "client '%s' has no child of the disk '%s'", a->client,
                        a->work.disk);
}

static int
check_child(struct applying *a)
{
  if (!a->child.sound)
    return fail_state(a->work.err, EINVAL,
                      "%s cannot be read: see \"vhdkit check\"", a->from);
  return a->child.version > 0
           ? 0
           : fail_state(a->work.err, ESTALE,
                        "%s is no child of any version of '%s' that is there",
                        a->from, a->work.disk);
}

/* ----------------------------------------------------------------- renaming */

static int
sync_children(struct applying *a)
{
  char path[PATH_MAX];

  snprintf(path, sizeof path, "%.*s", (int)(strrchr(a->from, '/') - a->from),
           a->from);
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int r =
    fd < 0 || fsync(fd) < 0 ? fail_system(a->work.err, errno, "%s", path) : 0;
  if (fd >= 0)
    close(fd);
  return r;
}

/* -EXDEV: they lie on two file systems. */
static int
move(struct applying *a)
{
  if (rename(a->from, a->to) < 0)
    return errno == EXDEV
             ? -EXDEV
             : fail_system(a->work.err, errno, "%s: cannot become %s", a->from,
                           a->to);
  const int r = disk_work_sync(&a->work);
  return r < 0 ? r : sync_children(a);
}

/* ------------------------------------------------------------------ copying */

static int
copy_part(int from, int to, off_t off, off_t end, char *buf)
{
  while (off < end) {
    const size_t left = (size_t)(end - off);
    const ssize_t n = pread(from, buf, left < PART ? left : PART, off);
    if (n <= 0)
      return n < 0 ? -errno : -EIO;
    const ssize_t done = pwrite(to, buf, (size_t)n, off);
    if (done <= 0)
      return done < 0 ? -errno : -EIO;
    off += done;
  }
  return 0;
}

/* Where there are holes, there are holes. */
static int
copy_parts(int from, int to, off_t size, char *buf)
{
  off_t end = 0;
  int r = 0;

  while (r == 0 && end < size) {
    const off_t data = lseek(from, end, SEEK_DATA);
    if (data < 0)
      return errno == ENXIO ? 0 : -errno;
    end = lseek(from, data, SEEK_HOLE);
    r = end < 0 ? -errno : copy_part(from, to, data, end, buf);
  }
  return r;
}

/* And the time of its last change, by which it is known again. */
static int
copy_bytes(int from, int to)
{
  char *buf = malloc(PART);
  struct stat st;
  int r = !buf ? -ENOMEM
          : fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0
            ? -errno
            : copy_parts(from, to, st.st_size, buf);

  if (r == 0) {
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    r = futimens(to, times) < 0 ? -errno : 0;
  }
  free(buf);
  return r;
}

static int
copy_file(struct applying *a, const char *copy)
{
  struct vhd_output *output = NULL;
  const int from = open(a->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int r = from < 0 ? fail_system(a->work.err, errno, "%s", a->from) : 0;

  if (r == 0)
    r = vhd_output_open(copy, VHD_CREATE_OVERWRITE, &output, a->work.err);
  if (r == 0) {
    r = copy_bytes(from, vhd_output_fd(output));
    r = r < 0 ? fail_system(a->work.err, -r, "%s: cannot be copied", a->from)
              : vhd_output_commit(output, a->work.err);
  }
  vhd_output_close(output);
  if (from >= 0)
    close(from);
  return r;
}

static int
copy_over(struct applying *a)
{
  char copy[PATH_MAX], parent[PATH_MAX];
  const struct provision_config *config = a->work.config;
  const struct vhd_set_options options = {
    .open = { .roots = &config->disks, .nroots = 1 },
    .parent = parent,
  };
  int r = disk_work_path(&a->work, a->child.version, parent);

  if (r == 0 && snprintf(copy, sizeof copy, "%s/%s/" COPY, config->disks,
                         a->work.disk) >= (int)sizeof copy)
    r = fail_argument(a->work.err, "%s: the path is too long", config->disks);
  if (r == 0)
    r = copy_file(a, copy);
  if (r == 0)
    r = vhd_set(copy, &options, a->work.err);
  if (r == 0)
    r = disk_work_forbid(&a->work, copy);
  if (r == 0 && rename(copy, a->to) < 0)
    r = fail_system(a->work.err, errno, "%s: cannot become %s", copy, a->to);
  if (r == 0)
    r = disk_work_sync(&a->work);
  if (r < 0)
    unlink(copy);
  return r;
}

/* ---------------------------------------------------------------- the whole */

static int
make_version(struct applying *a)
{
  struct vhd_image *image = NULL;
  char beside[PATH_MAX];
  int r = disk_work_text_path(&a->work, a->number, beside);

  if (r == 0)
    r = disk_work_hold(&a->work, a->from, &image);
  if (r == 0)
    r = disk_text_write(beside, a->text, a->client, a->work.err);
  if (r == 0)
    r = move(a);
  if (r == -EXDEV)
    r = copy_over(a);
  vhd_close(image, NULL);
  return r;
}

/* It is not what became that version any more. */
static int
refuse_again(struct applying *a, const struct disk_version *version)
{
  return fail_state(a->work.err, EEXIST,
                    "%s has become version %u of '%s', and was written to "
                    "since: discard it, or go on with it",
                    a->from, version->number, a->work.disk);
}

static int
apply(struct applying *a)
{
  int r = child_look(a->work.config, a->work.disk, a->client, &a->work.folder,
                     &a->child);

  if (r == -ENOENT)
    return no_child(a);
  if (r == 0)
    r = child_path(a->work.config, a->work.disk, a->client, a->from,
                   sizeof a->from);
  if (r < 0)
    return fail_argument(a->work.err, "'%s' is no client", a->client);
  r = check_child(a);
  if (r < 0)
    return r;
  const struct disk_version *same =
    disk_folder_find_id(&a->work.folder, a->child.id);
  if (same)
    return refuse_again(a, same);
  a->number = disk_work_next(&a->work);
  r = disk_work_path(&a->work, a->number, a->to);
  if (r == 0)
    r = make_version(a);
  /* What is in the disk's folder now is made golden. */
  return r < 0 ? r : disk_work_again(&a->work);
}

int
disk_apply(const struct provision_config *config, const char *disk,
           const char *client, const char *text, unsigned *number,
           struct vhd_error *err)
{
  struct applying a = { .client = client, .text = text };
  const char *why = disk_text_check(text);
  int r = disk_work_begin(&a.work, config, disk, err);

  if (r == 0 && why)
    r = fail_argument(err, "what is said of the version: %s", why);
  if (r == 0)
    r = apply(&a);
  *number = a.number;
  return disk_work_end(&a.work, r);
}

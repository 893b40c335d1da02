/* SPDX-License-Identifier: BSD-2-Clause */
/* recover.c: see recover.h.
 *
 * What was left goes with the file only as long as nobody else changed that.
 * It is moved into a journal of our own before anything of the file is changed,
 * be it its times; the new one takes the place of the old in one step. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/error.h"
#include "image/recover.h"
#include "image/replay.h"

/* What cannot be used, but does not stand in the way either: the image is then
 * what a power cut would have left. */
static void
warn(struct vhd_image *img)
{
  const struct journal_file *jf = &img->journal_file;
  const char *what =
    jf->found == JOURNAL_MISSING
      ? "is gone: what it acknowledged and did not flush may be lost"
    : jf->found == JOURNAL_ELSEWHERE
      ? "is another file's: this is a copy of an image that was in use, and "
        "lacks what was not flushed"
    : img->unlocked && jf->found == JOURNAL_LEFT
      ? "is left aside, since the image is opened without a lock"
      : NULL;
  char text[600];

  if (!what)
    return;
  snprintf(text, sizeof text, "the program that had this image open was "
           "killed; its journal '%.300s' %s", jf->path, what);
  layer_warn(img->top, text);
}

/* The records that are to be replayed, or NULL. */
static int
judge(struct vhd_image *img, const struct file_stamp *stamp,
      struct journal **left, struct vhd_error *err)
{
  struct journal_file *jf = &img->journal_file;

  *left = NULL;
  if (jf->found != JOURNAL_LEFT || img->unlocked)
    return 0;
  struct journal *j = journal_adopt(jf->left, jf->left_bytes);
  if (!j)
    return vhd_fail(err, VHD_JOURNAL, EIO,
                    "%s: its journal '%s', which a killed program left, is "
                    "damaged; if the changes in it are not wanted, remove that "
                    "file", img->top->path, jf->path);
  const bool fits = journal_fits(j, stamp);
  if (!fits)
    jf->kept = 0;
  if (journal_empty(j))
    return 0;
  if (!fits)
    return replay_refuse(img, err);
  int e = replay_check(img, j, err);
  if (e < 0)
    return e;
  img->top->journaled = true;
  *left = j;
  return 0;
}

static int
make_own(struct vhd_image *img, const char *dir,
         const struct file_stamp *stamp, const struct journal *left)
{
  struct journal_file *jf = &img->journal_file;
  size_t bytes = journal_bytes(JOURNAL_RECORDS);
  size_t first = journal_bytes(JOURNAL_FIRST);

  if (left)
    first = bytes = MAX(bytes, jf->left_bytes);
  int e = journal_file_make(dir, img->top->file, img->top->footer.id, bytes,
                            first, jf);
  if (e < 0)
    return e;
  struct journal *j = journal_format(jf->mem, jf->reserved);
  journal_stamp(j, stamp);
  if (left)
    journal_copy(j, left, stamp);
  journal_file_keep(jf, jf->kept);
  int64_t begun = journal_begin(j, 0);
  e = journal_file_publish(img->top->file, jf);
  if (e == 0)
    file_probe(img->top->file);
  journal_end(j, begun, false);
  return e;
}

/* Without a journal the image can be written all the same, but not where there
 * is something left to be replayed: if we were killed in the middle of that,
 * nothing would tell. */
static int
go_on(struct vhd_image *img, const char *dir, const struct file_stamp *stamp,
      const struct journal *left, struct journal **journal,
      struct vhd_error *err)
{
  struct journal_file *jf = &img->journal_file;

  int e = make_own(img, dir, stamp, left);
  if (e == 0) {
    *journal = (struct journal *)jf->mem;
    return 0;
  }
  if (left)
    return vhd_fail(err, VHD_JOURNAL, -e,
                    "%s: a killed program left acknowledged changes of this "
                    "image in the journal '%s', and there is no place to keep "
                    "them while they are written down: %s; VHDKIT_JOURNAL_DIR "
                    "can name a folder on a tmpfs that belongs to this user",
                    img->top->path, jf->path,
                    e == -ENOENT ? "no folder can be used" : strerror(-e));
  file_probe(img->top->file);
  journal_file_forget(img->top->file, jf);
  journal_file_close(jf, img->top->file, false);
  return 0;
}

int
recover_journal(struct vhd_image *img, const char *dir,
                struct journal **journal, struct vhd_error *err)
{
  struct journal_file *jf = &img->journal_file;
  struct journal *left;
  struct file_stamp stamp;

  *journal = NULL;
  if (img->top->fixed && img->writable)
    file_probe(img->top->file);
  if (img->top->fixed || img->orphan || img->top->layout.vhdx)
    return 0;
  int e = journal_file_find(dir, img->top->file, img->top->footer.id,
                            img->unlocked, journal_bytes(JOURNAL_RECORDS), jf,
                            err);
  if (e < 0)
    return e;
  warn(img);
  e = file_stamp(img->top->file, &stamp);
  if (e < 0)
    return vhd_fail_sys(err, -e, "%s: fstat", img->top->path);
  e = judge(img, &stamp, &left, err);
  if (e < 0)
    return e;
  if (!img->writable) {
    *journal = left;
    return 0;
  }
  return go_on(img, dir, &stamp, left, journal, err);
}

/* What was killed had left the disk as it was; so has replaying it. */
static void
restore_time(struct vhd_image *img)
{
  struct journal_file *jf = &img->journal_file;
  struct journal *j = jf->mem;
  int64_t begun = j ? journal_begin(j, 0) : 0;

  if (file_set_time(img->top->file, jf->kept) == 0)
    img->top->stamp.mtime = jf->kept;
  if (j)
    journal_end(j, begun, false);
  journal_file_keep(jf, 0);
}

void
recover_end(struct vhd_image *img)
{
  struct journal_file *jf = &img->journal_file;

  if (img->writable) {
    img->top->journaled = false;
    if (jf->kept != 0)
      restore_time(img);
  }
  free(jf->left);
  jf->left = NULL;
}

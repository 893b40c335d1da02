/* SPDX-License-Identifier: BSD-2-Clause */
/* edit.c: see edit.h. */
#include "config.h"

#include <errno.h>

#include "base/error.h"
#include "image/image.h"
#include "image/open.h"
#include "ops/edit.h"
#include "ops/settle.h"
#include "store/journal_file.h"
#include "store/local.h"

bool
edit_interrupted(const char *path)
{
  struct vhd_file *file, *companion = NULL;

  if (local_open(path, LOCAL_UNLOCKED, &file, NULL) < 0)
    return false;
  const bool there =
    file_companion(file, COMPANION_READ, &companion, NULL) == 0;
  file_close(companion);
  file_close(file);
  return there;
}

int
edit_finish(const char *path, const struct vhd_open_options *opt,
            struct vhd_error *err)
{
  struct edit edit;

  int r = edit_open(&edit, path, opt, err);
  if (r == 0)
    edit_close(&edit);
  return r;
}

/* Is there more of the image than its file says: a footer that a power cut took
 * from its end, or what a killed program left?  1, 0 or -errno. */
static int
is_unsettled(const struct edit *edit, const char *dir, struct vhd_error *err)
{
  struct journal_file jf;

  if (edit->layout.footer.type == VHD_FIXED)
    return 0;
  int r = journal_file_find(dir, edit->file, edit->layout.footer.id, false,
                            journal_bytes(JOURNAL_RECORDS), &jf, err);
  if (r == 0)
    r = jf.found == JOURNAL_LEFT || !edit->layout.end_footer;
  journal_file_close(&jf, edit->file, false);
  return r;
}

static void
note_time(struct edit *edit, const struct file_stamp *stamp)
{
  edit->changed = stamp->mtime;
  edit->dated = stamp->ctime != 0;
}

/* One try: 1 where it must be settled first. */
static int
try_open(struct edit *edit, const char *path,
         const struct vhd_open_options *opt, struct vhd_error *err)
{
  struct file_stamp stamp = { 0 };

  *edit = (struct edit){ 0 };
  int r = local_open(path, LOCAL_WRITE, &edit->file, err);
  if (r < 0)
    return r;
  r = redo_finish(edit->file, REDO_WRITER, err);
  file_stamp(edit->file, &stamp);
  note_time(edit, &stamp);
  if (r >= 0)
    r = layout_read(edit->file, 0, NULL, &edit->layout, err);
  if (r == 0)
    r = is_unsettled(edit, opt->journal_dir, err);
  if (r != 0)
    edit_close(edit);
  return r;
}

int
edit_open(struct edit *edit, const char *path,
          const struct vhd_open_options *opt, struct vhd_error *err)
{
  int r = try_open(edit, path, opt, err);

  if (r <= 0)
    return r;
  r = settle_image(path, opt, err);
  if (r == 0)
    r = try_open(edit, path, opt, err);
  return r > 0 ? vhd_fail(err, VHD_BUSY, EBUSY,
                          "%s: another program is about to use it", path) : r;
}

int
edit_take(struct edit *edit, struct vhd_image *image, struct vhd_error *err)
{
  *edit = (struct edit){ .image = image, .file = image->top->file };
  note_time(edit, &image->top->stamp);
  int r = image_finish(image);
  if (r < 0) {
    vhd_fail_sys(err, -r, "%s: cannot be made durable", image->top->path);
  } else {
    edit_restore_time(edit);
    journal_file_close(&image->journal_file, edit->file, true);
    r = layout_read(edit->file, 0, NULL, &edit->layout, err);
  }
  if (r < 0)
    edit_close(edit);
  return r;
}

void
edit_close(struct edit *edit)
{
  layout_free(&edit->layout);
  if (edit->image)
    image_free(edit->image);
  else
    file_close(edit->file);
  *edit = (struct edit){ 0 };
}

void
edit_keep_time(const struct edit *edit, struct redo *redo)
{
  if (edit->dated)
    redo_keep_time(redo, edit->changed);
}

void
edit_restore_time(const struct edit *edit)
{
  if (edit->dated)
    file_set_time(edit->file, edit->changed);
}

int
edit_add_footers(const struct edit *edit, struct redo *redo,
                 const struct footer *footer, uint64_t off)
{
  uint8_t buf[FOOTER_SIZE];

  footer_format(footer, buf);
  int r = redo_add(redo, buf, sizeof buf, off);
  if (r == 0 && edit->layout.footer.type != VHD_FIXED)
    r = redo_add(redo, buf, sizeof buf, 0);
  return r;
}

int
edit_add_header(const struct edit *edit, struct redo *redo,
                const struct header *header)
{
  uint8_t buf[HEADER_SIZE];

  header_format(header, buf);
  return redo_add(redo, buf, sizeof buf, edit->layout.footer.data_offset);
}

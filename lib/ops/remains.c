/* SPDX-License-Identifier: BSD-2-Clause */
/* remains.c: see remains.h; and vhd_examine(), which tells what there is. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "ops/remains.h"
#include "store/journal_note.h"
#include "store/local.h"
#include "store/redo.h"

void
remains_tell(struct remains *m, enum vhd_severity severity, int code,
             const char *message)
{
  const size_t len = strlen(m->path);

  /* Messages of others name the file; findings have that apart. */
  if (strncmp(message, m->path, len) == 0 &&
      strncmp(message + len, ": ", 2) == 0)
    message += len + 2;
  const struct vhd_finding finding = {
    .severity = severity, .code = code, .path = m->path, .message = message,
  };
  if (m->found != NULL)
    m->found(m->opaque, &finding);
}

static void
hear(struct layout_sink *sink, enum vhd_severity severity, int code,
     const char *message)
{
  remains_tell((struct remains *)sink, severity, code, message);
}

/* Changes that the file lacks may be anywhere. */
static void
look_for_changes(struct remains *m, bool unlocked)
{
  struct vhd_error why = { 0 };
  const enum redo_opener opener = unlocked ? REDO_UNLOCKED : REDO_READER;
  int found = redo_finish(m->file, opener, &why);

  if (found < 0 || found == REDO_UNDER_WAY) {
    remains_tell(m, VHD_DOUBTFUL, VHD_JOURNAL,
                 "a change in place was interrupted, and its companion says "
                 "how it goes on; open the image for writing, if that can be "
                 "done: until then all of it is doubtful");
    m->s.sure = false;
  }
  if (journal_note_there(m->file) == 1) {
    remains_tell(m, VHD_DOUBTFUL, VHD_JOURNAL,
                 "a killed program left changes that the file lacks; open the "
                 "image for writing, if that can be done: until then all of "
                 "it is doubtful");
    m->s.sure = false;
  }
}

int
remains_open(struct remains *m, const struct vhd_open_options *opt,
             struct progress *progress, struct vhd_error *err)
{
  const bool unlocked = opt->flags & VHD_OPEN_UNLOCKED;

  m->sink = (struct layout_sink){ .found = hear, .keep_going = true };
  int r = vhd_check_flags(opt->flags & ~(uint32_t)VHD_OPEN_READONLY,
                          VHD_OPEN_UNLOCKED, m->path, err);
  if (r == 0)
    r = CHECK_ROOM(opt, m->path, err);
  if (r == 0)
    r = local_open(m->path, unlocked ? LOCAL_UNLOCKED : LOCAL_READ, &m->file,
                   err);
  if (r == 0)
    r = layout_salvage(m->file, &m->sink, progress, &m->s, err);
  if (r < 0)
    return r;
  m->readable = true;
  look_for_changes(m, unlocked);
  return 0;
}

void
remains_close(struct remains *m)
{
  if (m->readable)
    salvage_free(&m->s);
  file_close(m->file);
}

static void
fill(struct vhd_remains *to, const struct salvage *s)
{
  const struct layout *l = &s->layout;

  *to = (struct vhd_remains){
    .type = (enum vhd_type)l->footer.type,
    .end_footer = s->end_footer,
    .start_footer = s->start_footer,
    .header = s->header,
    .table = s->table,
    .sure = s->sure,
    .size_guessed = s->size_guessed,
    .size = l->disk_size,
    .file_size = l->file_size,
    .table_offset = l->header.table_offset,
    .block_size = l->header.block_size,
    .nblk = l->nblk,
    .nblk_unused = s->count[FATE_UNUSED],
    .nblk_placed = s->count[FATE_PLACED],
    .nblk_shared = s->count[FATE_SHARED],
    .nblk_found = s->count[FATE_FOUND],
    .nblk_lost = s->count[FATE_LOST] + s->count[FATE_CUT],
    .nstray = s->nstray,
  };
}

int
vhd_examine(const char *path, const struct vhd_check_options *opt,
            void (*found)(void *opaque, const struct vhd_finding *finding),
            void *opaque, struct vhd_remains *remains, struct vhd_error *err)
{
  static const struct vhd_check_options defaults;
  __attribute__((cleanup(remains_close))) struct remains m = {
    .path = path, .found = found, .opaque = opaque,
  };
  struct progress progress;

  opt = opt != NULL ? opt : &defaults;
  *remains = (struct vhd_remains){ 0 };
  int r = CHECK_ROOM(opt, path, err);
  if (r == 0)
    r = progress_begin(&progress, &opt->progress, path, 0, err);
  if (r == 0)
    r = remains_open(&m, &opt->open, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  if (r == 0)
    fill(remains, &m.s);
  return r;
}

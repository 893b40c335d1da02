/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs.c: see ntfs.h.  The bitmap's bits lie as usage.h wants them. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "inside/ntfs.h"

#define WINDOW (1U << 18) /* clusters; 32 KiB of the bitmap */

/* One without which there is no such file system. */
static int
open_data(struct usage *usage, uint64_t file, struct ntfs_stream *stream)
{
  const int r = ntfs_open_stream(usage, file, NTFS_DATA, "", stream);

  return r < 0 ? r : r == 1 ? 0 : -EUCLEAN;
}

static int
open_streams(struct usage *usage)
{
  struct ntfs *fs = usage->fs;
  int r = ntfs_open_mft(usage);

  if (r == 0)
    r = open_data(usage, NTFS_BITMAP, &fs->bitmap);
  if (r == 0)
    r = open_data(usage, NTFS_LOG, &fs->log);
  if (r == 0 && fs->bitmap.size < (fs->clusters + 7) / 8)
    r = -EUCLEAN;
  return r;
}

static int
open(struct usage *usage)
{
  struct ntfs *fs = calloc(1, sizeof *fs);

  usage->fs = fs;
  usage->mend = NTFS_CHKDSK;
  if (fs == NULL)
    return -ENOMEM;
  int r = ntfs_read_boot(usage, fs);
  if (r == 0 && (fs->buf = malloc(fs->record)) == NULL)
    r = -ENOMEM;
  if (r == 0)
    r = open_streams(usage);
  if (r == 0)
    r = ntfs_check_state(usage);
  usage->unit = fs->cluster;
  usage->n = fs->clusters;
  usage->window = WINDOW;
  return r;
}

static int
load(struct usage *usage, uint64_t window, uint8_t *used)
{
  const struct ntfs *fs = usage->fs;
  const uint64_t from = window * (WINDOW / 8);
  const uint64_t left = (fs->clusters + 7) / 8 - from;

  return ntfs_read_stream(usage, &fs->bitmap, used,
                          left < WINDOW / 8 ? (size_t)left : WINDOW / 8, from);
}

static int
check_stream(struct usage *usage, const struct ntfs_stream *stream)
{
  const struct ntfs *fs = usage->fs;
  int r = 1;

  for (size_t i = 0; r == 1 && i < stream->n; i++)
    r = usage_holds(usage, stream->run[i].lcn * fs->cluster,
                    stream->run[i].len * fs->cluster);
  return r;
}

static int
check(struct usage *usage)
{
  const struct ntfs *fs = usage->fs;
  int r = usage_holds(usage, 0, 8192);

  if (r == 1)
    r = check_stream(usage, &fs->mft);
  if (r == 1)
    r = check_stream(usage, &fs->bitmap);
  if (r == 1)
    r = check_stream(usage, &fs->log);
  return r != 0 ? r < 0 ? r : 0
                : usage_refuse(usage, NTFS_CHKDSK,
                               "calls free what it uses itself");
}

static void
close(struct usage *usage)
{
  struct ntfs *fs = usage->fs;

  if (fs == NULL)
    return;
  ntfs_close_stream(&fs->mft);
  ntfs_close_stream(&fs->bitmap);
  ntfs_close_stream(&fs->log);
  free(fs->buf);
  free(fs);
}

static const char *const contents[] = { "ntfs", NULL };

const struct usage_reader ntfs_reader = {
  .contents = contents,
  .open = open,
  .load = load,
  .check = check,
  .close = close,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_head.h: what a journal's file says at its beginning of the image that
 * it is of.  Blocks; any thread. */
#ifndef STORE_JOURNAL_HEAD_H
#define STORE_JOURNAL_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "store/file.h"
#include "store/journal_note.h"

/* The head has a page of its own; what is behind it is the caller's part. */
#define JOURNAL_PAGE 4096
/* How one is opened that another process left. */
#define JOURNAL_OPEN_LEFT (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct journal_head {
  char magic[16];
  char boot[BOOT_ID_SIZE];
  uint64_t fs, ino;
  uint8_t id[16];
  uint64_t bytes;
  uint64_t dev; /* 0: it is not told */
  uint64_t mounting; /* see mounts_mounting() */
  int64_t kept;      /* see journal_file_keep() */
};

enum journal_version {
  JOURNAL_NO_VERSION, /* it is no journal */
  JOURNAL_VERSION,    /* ours */
  JOURNAL_VERSION_1,  /* without stamps (image/journal.h) in its second part */
  JOURNAL_VERSION_OTHER,
};

/* 1, 0 where this file is not fit for a journal, or -errno: whether it has one
 * cannot be told. */
int journal_head_fill(struct journal_head *head, struct vhd_file *file,
                      const uint8_t *id);
enum journal_version journal_head_read(int fd, struct journal_head *head);

/* The path in a folder of the journal that has this head, `more` behind it; to
 * be freed, or NULL. */
char *journal_head_path(const struct journal_head *head, const char *dir,
                        const char *more);

/* Of one file, by all but the place of its file system; */
bool journal_head_same_file(const struct journal_head *a,
                            const struct journal_head *b);
/* and on that, mounted where it is now: 1, 0 or -errno. */
int journal_head_same_place(const struct journal_head *left,
                            const struct journal_head *own);

/* Has a process it in use? */
bool journal_in_use(int fd);

#endif

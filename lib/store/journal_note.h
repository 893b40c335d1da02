/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_note.h: the note at an image's file that says where its journal
 * lies: the extended attribute user.vhdkit.journal, the boot's id and a path.
 *
 * Whoever opens the image finds the journal by it, whatever user or settings
 * the program had that was killed.  A note of another boot says nothing.
 * Setting and removing it changes the file's ctime.  Blocks; any thread. */
#ifndef STORE_JOURNAL_NOTE_H
#define STORE_JOURNAL_NOTE_H

#include <stddef.h>

#include "store/file.h"

#define BOOT_ID_SIZE 40

/* The id of this boot.  0 or -errno. */
int boot_id(char boot[BOOT_ID_SIZE]);

/* Is there a note, of whatever boot?  1, 0 or -errno, as below. */
int journal_note_there(struct vhd_file *file);
/* 0 and the path, to be freed; -ENODATA: there is none, or of another boot, or
 * one that makes no sense; -EOPNOTSUPP: this file can have none; -errno. */
int journal_note_read(struct vhd_file *file, const char *boot, char **path);
int journal_note_write(struct vhd_file *file, const char *boot,
                       const char *path);
/* 0: there is none, or none any more; or -errno. */
int journal_note_remove(struct vhd_file *file);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* companion_note.h: the note at an image's file that says where its companion
 * lies: the extended attribute user.vhdkit.redo, the file's number and a path.
 *
 * By it the companion is found under each name of the file: one that it was
 * given since, or another hard link.  A copy that took the note along has
 * another number, and is not led to what is another file's.  Where there can be
 * no notes the companion is found beside the file alone.  Blocks; any
 * thread. */
#ifndef STORE_COMPANION_NOTE_H
#define STORE_COMPANION_NOTE_H

void companion_note_write(int image, const char *path);
void companion_note_remove(int image);

/* path: of the companion as the file's name has it, in PATH_MAX bytes.  Where
 * nothing lies there, and the note leads to something, that takes its place. */
void companion_note_follow(int image, char *path);

#endif

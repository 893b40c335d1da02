/* SPDX-License-Identifier: BSD-2-Clause */
/* companion_note.c: see companion_note.h. */
#include "config.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "store/companion_note.h"
#include "store/file.h"

#define NAME "user.vhdkit.redo"
#define NOTE_SIZE (24 + PATH_MAX)

/* What fails here leaves the companion where it is found by the name. */
void
companion_note_write(int image, const char *path)
{
  char note[NOTE_SIZE];
  struct stat st;

  if (fstat(image, &st) < 0)
    return;
  int n = snprintf(note, sizeof note, "%ju %s", (uintmax_t)st.st_ino, path);
  if (n > 0 && (size_t)n < sizeof note)
    fsetxattr(image, NAME, note, (size_t)n, 0);
}

void
companion_note_remove(int image)
{
  fremovexattr(image, NAME);
}

static bool
is_companion(const char *path)
{
  const size_t len = strlen(path), end = strlen(COMPANION_SUFFIX);
  struct stat st;

  return path[0] == '/' && len < PATH_MAX && len > end &&
         strcmp(path + len - end, COMPANION_SUFFIX) == 0 &&
         lstat(path, &st) == 0;
}

void
companion_note_follow(int image, char *path)
{
  char note[NOTE_SIZE + 1], *said;
  struct stat st;

  if (lstat(path, &st) == 0 || fstat(image, &st) < 0)
    return;
  ssize_t n = fgetxattr(image, NAME, note, NOTE_SIZE);
  if (n < 0)
    return;
  note[n] = '\0';
  if (strtoumax(note, &said, 10) == (uintmax_t)st.st_ino && *said == ' ' &&
      is_companion(said + 1))
    strcpy(path, said + 1);
}

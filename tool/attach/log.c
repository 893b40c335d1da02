/* SPDX-License-Identifier: BSD-2-Clause */
/* log.c: see log.h. */
#include "config.h"

#include "attach/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

int
log_make(const struct entry *entry, const char *name)
{
  int fd = openat(entry->fd, name,
                  O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);

  if (fd < 0)
    complain("%s/%s: %s", entry->path, name, strerror(errno));
  return fd;
}

off_t
log_end(const struct entry *entry, const char *name)
{
  struct stat st;

  return fstatat(entry->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size
                                                                : 0;
}

/* The rest of the line behind "PROGRAM: error: " or without PROGRAM; NULL where
 * it does not begin so. */
static const char *
behind(const char *line, const char *word)
{
  static const char program[] = "vhdkitd: ";

  if (strncmp(line, program, sizeof program - 1) == 0)
    line += sizeof program - 1;
  return strncmp(line, word, strlen(word)) == 0 ? line + strlen(word) : NULL;
}

static unsigned
tell_line(const char *line, enum log_part part)
{
  const char *error = behind(line, "error: ");
  const char *warning = behind(line, "warning: ");

  if (error)
    complain("%s", error);
  else if (warning && part >= LOG_WARNINGS)
    complain("warning: %s", warning);
  else if (part == LOG_ALL && *line != '\0')
    complain("%s", line);
  return error || (part == LOG_ALL && !warning);
}

unsigned
log_tell(const struct entry *entry, const char *name, off_t from,
         enum log_part part)
{
  int fd = openat(entry->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
  char *line = NULL;
  size_t size = 0;
  unsigned errors = 0;

  if (!file) {
    if (fd >= 0)
      close(fd);
    return 0;
  }
  if (fseeko(file, from, SEEK_SET) == 0)
    while (getline(&line, &size, file) >= 0) {
      line[strcspn(line, "\n")] = '\0';
      errors += tell_line(line, part);
    }
  free(line);
  fclose(file);
  return errors;
}

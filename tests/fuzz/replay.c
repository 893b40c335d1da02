/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.c: the main() of a fuzz target outside libFuzzer: runs the target
 * once for each file given, or for each file in a folder given.  Without
 * arguments, for those in $SRCDIR/tests/fuzz/corpus/NAME, where NAME is the
 * target's; that is what make check does. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fatal(const char *path)
{
  fprintf(stderr, "%s: %s\n", path, strerror(errno));
  exit(1);
}

static void
replay_file(const char *path)
{
  struct stat st;
  FILE *f = fopen(path, "re");
  if (!f || fstat(fileno(f), &st) < 0)
    fatal(path);
  /* Exactly so much memory, so that reading past it is seen. */
  size_t size = (size_t)st.st_size;
  uint8_t *data = malloc(size ? size : 1);
  if (!data || fread(data, 1, size, f) != size)
    fatal(path);
  fclose(f);
  LLVMFuzzerTestOneInput(data, size);
  free(data);
}

/* Returns how many files were replayed. */
static unsigned
replay(const char *path)
{
  struct dirent *entry;
  unsigned n = 0;
  DIR *dir = opendir(path);

  if (!dir && errno != ENOTDIR)
    fatal(path);
  if (!dir) {
    replay_file(path);
    return 1;
  }
  /* A target may change the working directory. */
  char *absolute = realpath(path, NULL);
  if (!absolute)
    fatal(path);
  while ((entry = readdir(dir))) {
    char *file;
    if (entry->d_name[0] == '.')
      continue;
    if (asprintf(&file, "%s/%s", absolute, entry->d_name) < 0)
      fatal(path);
    replay_file(file);
    free(file);
    n++;
  }
  closedir(dir);
  free(absolute);
  return n;
}

static unsigned
replay_corpus(const char *program)
{
  const char *srcdir = getenv("SRCDIR");
  const char *slash = strrchr(program, '/');
  char *path;

  if (asprintf(&path, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
               slash ? slash + 1 : program) < 0)
    fatal(program);
  unsigned n = replay(path);
  free(path);
  return n;
}

int
main(int argc, char **argv)
{
  unsigned n = 0;

  if (argc == 1)
    n = replay_corpus(argv[0]);
  for (int i = 1; i < argc; i++)
    n += replay(argv[i]);
  printf("%u inputs replayed\n", n);
  return n > 0 ? 0 : 1; /* an empty corpus tests nothing */
}

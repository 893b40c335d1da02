/* SPDX-License-Identifier: BSD-2-Clause */
/* holder.c: see holder.h.  Reads /proc. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/holder.h"

/* Is fd `name` of process `pid` our file, and does that description hold locks
 * (2), or is it merely open (1)? */
static int
rate_descriptor(const char *pid, const char *name, const struct stat *file)
{
  char path[64];
  struct stat st;
  snprintf(path, sizeof path, "/proc/%.15s/fd/%.15s", pid, name);
  if (stat(path, &st) < 0 || st.st_dev != file->st_dev ||
      st.st_ino != file->st_ino)
    return 0;

  snprintf(path, sizeof path, "/proc/%.15s/fdinfo/%.15s", pid, name);
  FILE *info = fopen(path, "re");
  int rating = 1;
  char line[256];
  while (info != NULL && rating == 1 &&
         fgets(line, sizeof line, info) != NULL)
    if (strncmp(line, "lock:", 5) == 0)
      rating = 2;
  if (info != NULL)
    fclose(info);
  return rating;
}

/* Whose file it is. */
struct asker {
  long pid;
  int fd;
};

/* The best rating among the descriptors of a process, the asker's own left
 * out. */
static int
rate_process(const char *pid, const struct asker *asker,
             const struct stat *file)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%.15s/fd", pid);
  DIR *dir = opendir(path);
  if (dir == NULL)
    return 0;

  bool self = atol(pid) == asker->pid;
  int best = 0;
  struct dirent *entry;
  while (best < 2 && (entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] == '.' || (self && atoi(entry->d_name) == asker->fd))
      continue;
    int rating = rate_descriptor(pid, entry->d_name, file);
    if (rating > best)
      best = rating;
  }
  closedir(dir);
  return best;
}

static void
read_name(const char *pid, char *name, size_t size)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%.15s/comm", pid);
  FILE *comm = fopen(path, "re");
  name[0] = '\0';
  if (comm != NULL) {
    if (fgets(name, (int)size, comm) != NULL)
      name[strcspn(name, "\n")] = '\0';
    fclose(comm);
  }
}

/* What /proc tells of a process. */
struct facts {
  long parent;
  bool dying;
};

#define EXITING 4 /* of the kernel's flags of a process */

/* From the end of the name, which can hold anything, on: the state, numbers. */
static void
read_facts(const char *pid, struct facts *facts)
{
  char path[64], line[1024] = "";
  snprintf(path, sizeof path, "/proc/%.15s/stat", pid);
  FILE *stat = fopen(path, "re");
  *facts = (struct facts){ 0, false };
  if (stat == NULL)
    return;
  char *at = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
  fclose(stat);
  at = at ? strchr(at, ' ') : NULL;
  for (int field = 3; at != NULL; field++) {
    const long value = strtol(at + 1, NULL, 10);
    if (field == 4)
      facts->parent = value;
    if ((field == 9 && (value & EXITING)) || (field == 52 && value == SIGKILL))
      facts->dying = true;
    at = strchr(at + 1, ' ');
  }
}

/* A process called "NAME-part" is a part of its parent, if that is "NAME", and
 * it is the parent that people know and can stop. */
static void
name_process(const char *pid, char *text, size_t size)
{
  char name[64], whole[64], parent[16];
  struct facts facts;

  read_name(pid, name, sizeof name);
  read_facts(pid, &facts);
  snprintf(parent, sizeof parent, "%ld", facts.parent);
  read_name(parent, whole, sizeof whole);
  const size_t n = strlen(whole);
  if (n > 0 && strncmp(name, whole, n) == 0 && name[n] == '-')
    snprintf(text, size, "%s (pid %.15s)", whole, parent);
  else
    snprintf(text, size, "%s (pid %.15s)", name[0] ? name : "a process", pid);
}

/* Who has the file open?  The kernel does not say whose a description's lock
 * is, so all processes that we may look into are searched: for one whose
 * description holds locks, else for one that merely has the file open.  One
 * that was killed does not count: it will be gone in a moment. */
bool
holder_find(int fd, long pid, int number, char *text, size_t size)
{
  const struct asker asker = { pid, number };
  snprintf(text, size, "another program");
  struct stat file;
  DIR *dir = opendir("/proc");
  if (dir == NULL || fstat(fd, &file) < 0) {
    if (dir != NULL)
      closedir(dir);
    return false;
  }

  int best = 0;
  struct dirent *entry;
  while (best < 2 && (entry = readdir(dir)) != NULL) {
    if (!isdigit((unsigned char)entry->d_name[0]) ||
        (pid != getpid() && atol(entry->d_name) == getpid()))
      continue;
    int rating = rate_process(entry->d_name, &asker, &file);
    struct facts facts;
    if (rating > best)
      read_facts(entry->d_name, &facts);
    if (rating > best && !facts.dying) {
      best = rating;
      name_process(entry->d_name, text, size);
    }
  }
  closedir(dir);
  return best > 0;
}

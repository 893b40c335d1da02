/* SPDX-License-Identifier: BSD-2-Clause */
/* bases.c: see bases.h. */
#include "config.h"

#include "catalog/start/bases.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/entry.h"
#include "catalog/looks.h"
#include "catalog/source/source.h"
#include "io/engine.h"

/* An image that is open for writing. */
struct base {
  char *name, *path;
  size_t folder; /* length of its folder's path, 0: "." */
  unsigned char id[16];
  bool asked; /* the library, for its children */
};

/* All that a search needs, which may outlive what it was made of.  Who comes
 * last, the one that waits or the thread, frees it. */
struct search {
  struct io_work work; /* first */
  struct io_queue *queue;
  struct base *all; /* those of a folder behind each other */
  size_t n;
  struct file_id *served;
  size_t nserved;
  sem_t done;
  atomic_bool left;
};

/* --------------------------------------------------------------- the bases */

static int
by_folder(const void *a, const void *b)
{
  const struct base *x = a, *y = b;
  const size_t n = x->folder < y->folder ? x->folder : y->folder;
  const int r = memcmp(x->path, y->path, n);

  return r ? r : (x->folder > y->folder) - (x->folder < y->folder);
}

static void
search_free(struct search *s)
{
  for (size_t i = 0; i < s->n; i++) {
    free(s->all[i].name);
    free(s->all[i].path);
  }
  free(s->all);
  free(s->served);
  sem_destroy(&s->done);
  free(s);
}

/* Room for all is there.  False: no memory. */
static bool
add_base(struct search *s, const struct generation *gen)
{
  struct base *base = &s->all[s->n];
  struct vhd_info info;

  vhd_get_info(gen->export.image, &info);
  if (info.type == VHD_RAW)
    return true; /* it has no id */
  s->n++;
  *base =
    (struct base){ .name = strdup(gen->name), .path = strdup(info.path) };
  if (!base->name || !base->path)
    return false;
  const char *slash = strrchr(base->path, '/');
  base->folder = slash ? (size_t)(slash - base->path) + 1 : 0;
  memcpy(base->id, info.id, sizeof base->id);
  return true;
}

static bool
add_all(struct search *s, const struct generations *live)
{
  const struct generation *gen;
  size_t n = 0;

  TAILQ_FOREACH(gen, &live->all, link)
    n++;
  s->all = calloc(n, sizeof *s->all);
  s->served = calloc(n, sizeof *s->served);
  if (!s->all || !s->served)
    return false;
  TAILQ_FOREACH(gen, &live->all, link) {
    s->served[s->nserved++] = gen->files.id[0];
    if (!gen->export.readonly && !add_base(s, gen))
      return false;
  }
  qsort(s->all, s->n, sizeof *s->all, by_folder);
  return true;
}

static struct search *
search_new(const struct generations *live)
{
  struct search *s = calloc(1, sizeof *s);

  if (!s)
    return NULL;
  sem_init(&s->done, 0, 0);
  if (add_all(s, live) && (s->queue = io_queue_new()) != NULL)
    return s;
  search_free(s);
  return NULL;
}

/* ----------------------------------------------------------- on its thread */

static int
open_to_look(const char *path, struct vhd_image **image)
{
  const struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY |
                                                 VHD_OPEN_UNLOCKED |
                                                 VHD_OPEN_NO_PARENT };

  return vhd_open(path, &opt, image, NULL);
}

/* The id that the image at path has of its parent. */
static bool
read_parent_id(const char *path, unsigned char *id)
{
  struct vhd_image *image;
  struct vhd_info info;

  if (open_to_look(path, &image) < 0)
    return false;
  vhd_get_info(image, &info);
  const bool child = info.type == VHD_DIFFERENCING;
  memcpy(id, info.parent_id, sizeof info.parent_id);
  vhd_close(image, NULL);
  return child;
}

/* A file of the folder that nobody is served? */
static bool
is_bystander(const struct search *s, const char *path)
{
  struct stat st;

  if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
    return false;
  const struct file_id file = { st.st_dev, st.st_ino };
  for (size_t i = 0; i < s->nserved; i++)
    if (file_id_same(&s->served[i], &file))
      return false;
  return true;
}

struct asking {
  const struct search *search;
  const struct base *base;
};

static int
found_child(void *opaque, const char *path)
{
  const struct asking *a = opaque;

  if (!is_bystander(a->search, path))
    return 0;
  log_warning("export '%s': it is the parent of '%s', which is damaged by any "
              "change to it; --readonly would protect it",
              a->base->name, path);
  return 1; /* one is enough */
}

static void
ask(const struct search *s, const struct base *base)
{
  struct asking asking = { s, base };
  struct vhd_image *image;

  if (open_to_look(base->path, &image) < 0)
    return;
  vhd_find_children(image, NULL, VHD_FIND_LIMIT, found_child, &asking);
  vhd_close(image, NULL);
}

/* Something names this id as its parent's: whether it means the base, and not a
 * copy of it, the library knows. */
static void
warn_of(const struct search *s, struct base *base, size_t n,
        const unsigned char *parent_id)
{
  for (size_t i = 0; i < n; i++) {
    if (base[i].asked || memcmp(base[i].id, parent_id, 16) != 0)
      continue;
    base[i].asked = true;
    ask(s, &base[i]);
  }
}

static void
look_into(const struct search *s, const char *folder, struct base *base,
          size_t n)
{
  unsigned left = VHD_FIND_LIMIT;
  DIR *dir = folder_open(*folder ? folder : ".");
  const struct dirent *d;
  unsigned char id[16];

  while (dir && left > 0 && (d = readdir(dir)) != NULL) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s%s", folder, d->d_name) >=
          sizeof path ||
        !is_bystander(s, path))
      continue;
    left--;
    if (read_parent_id(path, id))
      warn_of(s, base, n, id);
  }
  if (dir)
    closedir(dir);
}

static void
search(const struct search *s)
{
  size_t end;

  for (size_t at = 0; at < s->n; at = end) {
    struct base *first = &s->all[at];
    char folder[PATH_MAX];
    for (end = at; end < s->n && by_folder(first, &s->all[end]) == 0; end++)
      ;
    if (snprintf(folder, sizeof folder, "%.*s", (int)first->folder,
                 first->path) < (int)sizeof folder)
      look_into(s, folder, first, end - at);
  }
}

static void
leave(struct search *s)
{
  if (atomic_exchange(&s->left, true))
    search_free(s);
}

static void
run(struct io_work *work)
{
  struct search *s = (struct search *)work;

  search(s);
  io_queue_free(s->queue);
  sem_post(&s->done);
  leave(s);
}

void
warn_of_bases(struct catalog *catalog)
{
  struct search *s = search_new(&catalog->live);

  if (!s)
    return;
  s->work.run = run;
  io_queue_run(s->queue, &s->work);
  const struct timespec until = clock_from_now(LOOKS_PATIENCE_MSEC);
  int r;
  do
    r = sem_clockwait(&s->done, CLOCK_MONOTONIC, &until);
  while (r < 0 && errno == EINTR);
  if (r < 0)
    log_warning("a disk beside the images does not answer; whether one of "
                "them is a parent is not known yet");
  leave(s);
}

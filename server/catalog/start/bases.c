/* SPDX-License-Identifier: BSD-2-Clause */
/* bases.c: see bases.h. */
#include "config.h"

#include "catalog/start/bases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "catalog/entry.h"
#include "catalog/source/source.h"
#include "config/server_config.h"

/* An image that is open for writing. */
struct base {
  const char *name, *path;
  size_t folder; /* length of its folder's path, 0: "." */
  unsigned char id[16];
  struct vhd_image *image;
  bool asked; /* the library, for its children */
};

struct bases {
  struct base *all; /* those of a folder behind each other */
  size_t n;
};

static int
by_folder(const void *a, const void *b)
{
  const struct base *x = a, *y = b;
  const size_t n = x->folder < y->folder ? x->folder : y->folder;
  const int r = memcmp(x->path, y->path, n);

  return r ? r : (x->folder > y->folder) - (x->folder < y->folder);
}

/* Room for all is there. */
static void
add_base(struct bases *bases, const struct generation *gen)
{
  struct base *base = &bases->all[bases->n];
  struct vhd_info info;

  vhd_get_info(gen->export.image, &info);
  if (info.type == VHD_RAW)
    return; /* it has no id */
  const char *slash = strrchr(info.path, '/');
  *base = (struct base){ .name = gen->name,
                         .path = info.path,
                         .image = gen->export.image };
  base->folder = slash ? (size_t)(slash - info.path) + 1 : 0;
  memcpy(base->id, info.id, sizeof base->id);
  bases->n++;
}

static void
find_bases(struct catalog *catalog, struct bases *bases)
{
  struct generation *gen;
  size_t n = 0;

  TAILQ_FOREACH(gen, &catalog->live.all, link)
    n++;
  bases->all = calloc(n, sizeof *bases->all);
  if (!bases->all)
    return;
  TAILQ_FOREACH(gen, &catalog->live.all, link)
    if (!gen->export.readonly)
      add_base(bases, gen);
  qsort(bases->all, bases->n, sizeof *bases->all, by_folder);
}

/* The id that the image at path has of its parent. */
static bool
read_parent_id(struct catalog *catalog, const char *path, unsigned char *id)
{
  struct vhd_open_options opt = catalog->config.open;
  struct vhd_image *image;
  struct vhd_info info;

  opt.flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT;
  if (vhd_open(path, &opt, &image, NULL) < 0)
    return false;
  vhd_get_info(image, &info);
  const bool child = info.type == VHD_DIFFERENCING;
  memcpy(id, info.parent_id, sizeof info.parent_id);
  vhd_close(image, NULL);
  return child;
}

/* A file of the folder that nobody is served? */
static bool
is_bystander(struct catalog *catalog, const char *path)
{
  struct stat st;

  if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
    return false;
  const struct file_id file = { st.st_dev, st.st_ino };
  return !generations_find(&catalog->live, &file);
}

struct asking {
  struct catalog *catalog;
  const struct base *base;
};

static int
found_child(void *opaque, const char *path)
{
  const struct asking *a = opaque;

  if (!is_bystander(a->catalog, path))
    return 0;
  log_warning("export '%s': it is the parent of '%s', which is damaged by any "
              "change to it; --readonly would protect it",
              a->base->name, path);
  return 1; /* one is enough */
}

/* Something names this id as its parent's: whether it means the base, and not a
 * copy of it, the library knows. */
static void
warn_of(struct catalog *catalog, struct base *base, size_t n,
        const unsigned char *parent_id)
{
  for (size_t i = 0; i < n; i++) {
    struct asking asking = { catalog, &base[i] };
    if (base[i].asked || memcmp(base[i].id, parent_id, 16) != 0)
      continue;
    base[i].asked = true;
    vhd_find_children(base[i].image, NULL, VHD_FIND_LIMIT, found_child,
                      &asking);
  }
}

static void
look_into(struct catalog *catalog, const char *folder, struct base *base,
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
        !is_bystander(catalog, path))
      continue;
    left--;
    if (read_parent_id(catalog, path, id))
      warn_of(catalog, base, n, id);
  }
  if (dir)
    closedir(dir);
}

void
warn_of_bases(struct catalog *catalog)
{
  struct bases bases = { .n = 0 };
  size_t end;

  find_bases(catalog, &bases);
  for (size_t at = 0; at < bases.n; at = end) {
    struct base *first = &bases.all[at];
    char folder[PATH_MAX];
    for (end = at; end < bases.n && by_folder(first, &bases.all[end]) == 0;
         end++)
      ;
    if (snprintf(folder, sizeof folder, "%.*s", (int)first->folder,
                 first->path) < (int)sizeof folder)
      look_into(catalog, folder, first, end - at);
  }
  free(bases.all);
}

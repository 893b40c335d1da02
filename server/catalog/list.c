/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c: see list.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "catalog/list.h"
#include "catalog/catalog.h"
#include "config/server_config.h"

static int
list_add(struct export_list *list, const char *name, size_t len,
         const char *description)
{
  if ((list->n & (list->n - 1)) == 0) { /* a power of two: full */
    const size_t cap = list->n ? 2 * list->n : 1;
    struct export_item *items =
      reallocarray(list->items, cap, sizeof *items);
    if (!items)
      return -ENOMEM;
    list->items = items;
  }
  char *copy = strndup(name, len);
  if (!copy)
    return -ENOMEM;
  list->items[list->n++] =
    (struct export_item){ .name = copy, .description = description };
  return 0;
}

static int
by_name(const void *a, const void *b)
{
  return strcmp(((const struct export_item *)a)->name,
                ((const struct export_item *)b)->name);
}

/* Sorts the names from `from` on and drops those that come again: NAME.vhd and
 * NAME.VHD have one name, which means NAME.vhd; see entry_find_path(). */
static void
sort_folder(struct export_list *list, size_t from)
{
  size_t kept = from;

  if (list->n > from)
    qsort(list->items + from, list->n - from, sizeof list->items[0], by_name);
  for (size_t i = from; i < list->n; i++)
    if (kept > from && by_name(&list->items[i], &list->items[kept - 1]) == 0)
      free(list->items[i].name);
    else
      list->items[kept++] = list->items[i];
  list->n = kept;
}

/* On a thread: the folder may lie on a disk that hangs.  What cannot be opened
 * is left out, since clients that list (qemu-nbd -L, nbdinfo --list) ask for
 * INFO on each name, and take one refusal for the failure of all. */
static void
run_list(struct io_work *work)
{
  struct export_list *list = (struct export_list *)work;
  const size_t named = list->n;
  DIR *dir = opendir(list->folder);
  struct dirent *d;

  if (!dir)
    list->error = -errno;
  while (dir && list->error == 0 && (d = readdir(dir)) != NULL) {
    const size_t len = strlen(d->d_name);
    if (len <= 4 || d->d_name[0] == '.' ||
        strcasecmp(d->d_name + len - 4, ".vhd") != 0)
      continue;
    d->d_name[len - 4] = '\0';
    if (exports_can_show(list->exports, d->d_name))
      list->error = list_add(list, d->d_name, len - 4, NULL);
  }
  if (dir)
    closedir(dir);
  sort_folder(list, named);
  loop_post(list->loop, &list->done);
}

void
export_list_begin(struct export_list *list, struct exports *exports,
                  const struct server_config *config, struct io_queue *queue,
                  bool tls)
{
  list->exports = exports;
  list->folder = config->directory;
  list->items = NULL;
  list->n = 0;
  list->error = 0;
  for (size_t i = 0; i < config->nexports && list->error == 0; i++)
    if (tls || !config->exports[i].tls_only)
      list->error = list_add(list, config->exports[i].name,
                             strlen(config->exports[i].name),
                             config->exports[i].description);
  if (config->directory && list->error == 0) {
    list->work.run = run_list;
    io_queue_run(queue, &list->work);
  } else {
    loop_post(list->loop, &list->done);
  }
}

void
export_list_clear(struct export_list *list)
{
  for (size_t i = 0; i < list->n; i++)
    free(list->items[i].name);
  free(list->items);
  list->items = NULL;
  list->n = 0;
}

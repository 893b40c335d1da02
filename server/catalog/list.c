/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c: see list.h.  Under the catalog's lock: who waits, and what is told at
 * present; the thread that makes the next one owns that until it is told. */
#include "config.h"

#include "catalog/list.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/log_cause.h"
#include "base/container.h"
#include "catalog/entry.h"
#include "catalog/looks.h"
#include "nbd/handshake/handshake.h"
#include "nbd/out.h"
#include "config/server_config.h"

/* A file, unchanged as long as this is. */
struct stamp {
  struct file_id file;
  off_t size;
  struct timespec mtime, ctime;
};

struct item {
  char *name;
  const struct source *source; /* NULL: who may see it does not differ */
  const char *description;
  bool tls_only;
  bool lone; /* its file alone says that it can be shown: as long as .stamp */
  struct stamp stamp;
};

/* What those with TLS are told, or those without. */
struct text {
  struct nbd_out bytes;
  size_t *item; /* the items that are told, by their place among all */
  size_t *end;  /* where each ends in .bytes */
  size_t n;
};

/* Constant once it is told. */
struct listing {
  uint64_t version;
  unsigned changes; /* it is of this configuration, or a later one */
  int error;
  struct item *items; /* by name */
  size_t n, room;
  bool hides;          /* some are told to those with TLS alone */
  struct text text[2]; /* for who has TLS, or where all see the same: [1] */
};

struct list_cache {
  struct catalog *catalog;
  struct looks looks;
  struct io_queue *queue;
  struct io_work work;
  bool busy;
  bool constant;    /* no source makes exports on demand */
  unsigned changes; /* of the configuration */
  STAILQ_HEAD(lists, export_list) waiters;
  struct listing *now; /* NULL: nobody has asked yet */
};

/* ------------------------------------------------------------------- making */

static void
listing_free(struct listing *listing)
{
  if (!listing)
    return;
  for (size_t i = 0; i < listing->n; i++)
    free(listing->items[i].name);
  for (int tls = 0; tls < 2; tls++) {
    nbd_out_free(&listing->text[tls].bytes);
    free(listing->text[tls].item);
    free(listing->text[tls].end);
  }
  free(listing->items);
  free(listing);
}

static int
compare_items(const void *a, const void *b)
{
  return strcmp(((const struct item *)a)->name,
                ((const struct item *)b)->name);
}

/* The first item whose name is not before this one. */
static size_t
find_place(const struct listing *listing, const char *name)
{
  size_t low = 0, high = listing->n;

  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (strcmp(listing->items[middle].name, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool
read_stamp(const char *path, struct stamp *stamp)
{
  struct stat st;

  if (stat(path, &st) < 0)
    return false;
  *stamp = (struct stamp){
    .file = { st.st_dev, st.st_ino },
    .size = st.st_size,
    .mtime = st.st_mtim,
    .ctime = st.st_ctim,
  };
  return true;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Is the file known to be sound by itself, since it was so the last time? */
static bool
is_known(const struct listing *before, const struct item *item)
{
  const size_t at = before ? find_place(before, item->name) : 0;

  if (!before || at == before->n)
    return false;
  const struct item *old = &before->items[at];
  const struct stamp *a = &old->stamp, *b = &item->stamp;
  return old->lone && strcmp(old->name, item->name) == 0 &&
         file_id_same(&a->file, &b->file) && a->size == b->size &&
         same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

static bool
is_open(struct catalog *catalog, const struct source *source, const char *name,
        const struct file_id *file)
{
  pthread_mutex_lock(&catalog->live.lock);
  const struct entry *entry = entry_find(catalog, source, name);
  const bool open = entry && entry->current &&
                    (entry->now.origin.stays ||
                     file_id_same(&entry->current->files.id[0], file));
  pthread_mutex_unlock(&catalog->live.lock);
  return open;
}

struct making {
  struct list_cache *cache;
  struct catalog *catalog;
  unsigned *patience; /* msec, for the next look */
  const struct source *source;
  const struct listing *before; /* or NULL */
  struct listing *listing;
};

/* Will a client find it, and learn its facts?  What cannot be opened is left
 * out, since clients that list (qemu-nbd -L, nbdinfo --list) ask for INFO on
 * each name, and take one refusal for the failure of all. */
static bool
can_show(const struct making *m, struct item *item,
         const struct origin *origin)
{
  struct export_facts facts = { .size = 0 };
  struct vhd_error err = { .code = 0 };
  struct found found;

  const struct opening how = {
    .options = catalog_open_options(m->catalog, m->source),
    .origin = origin,
    .path = found.path,
  };
  if (origin->stays)
    return true;
  if (m->source->find(&m->catalog->config, item->name, origin, SOURCE_LOOKS,
                      &found, &err) < 0 ||
      !read_stamp(found.path, &item->stamp))
    return false;
  item->lone = is_known(m->before, item);
  if (item->lone ||
      is_open(m->catalog, m->source, item->name, &item->stamp.file))
    return true;
  const int r =
    looks_try(&m->cache->looks, m->patience, item->name, &how, &facts, &err);
  if (r < 0 &&
      log_cause_pass("the export '%s', which is not listed", item->name))
    log_warning("export '%s' is not listed: %s", item->name, err.message);
  item->lone = r == 0 && facts.depth == 0;
  return r == 0;
}

static int
add_item(void *opaque, const char *name, const struct origin *origin)
{
  const struct making *m = opaque;
  struct listing *l = m->listing;

  if (l->n == l->room) {
    const size_t room = l->room ? 2 * l->room : 16;
    struct item *items = reallocarray(l->items, room, sizeof *items);
    if (!items)
      return -ENOMEM;
    l->items = items;
    l->room = room;
  }
  struct item *item = &l->items[l->n];
  *item = (struct item){
    .name = strdup(name),
    .source = m->source->differs ? m->source : NULL,
    .description = origin->description,
    .tls_only = origin->tls_only,
  };
  if (!item->name)
    return -ENOMEM;
  if (can_show(m, item, origin))
    l->n++;
  else
    free(item->name);
  return 0;
}

/* What is known without a look: the configuration may have changed since the
 * start. */
static int
add_known(struct making *m)
{
  pthread_mutex_lock(&m->catalog->live.lock);
  const int r = entry_each(m->catalog, add_item, m);
  pthread_mutex_unlock(&m->catalog->live.lock);
  return r;
}

/* In the order of names, each once: NAME.vhd and NAME.VHD have one, which means
 * what the source finds. */
static void
sort_items(struct listing *l)
{
  size_t kept = 0;

  if (l->n > 0)
    qsort(l->items, l->n, sizeof *l->items, compare_items);
  for (size_t i = 0; i < l->n; i++)
    if (kept > 0 && compare_items(&l->items[i], &l->items[kept - 1]) == 0)
      free(l->items[i].name);
    else
      l->items[kept++] = l->items[i];
  l->n = kept;
}

static int
make_text(const struct listing *l, bool tls, struct text *text)
{
  text->bytes.max = SIZE_MAX;
  text->item = calloc(l->n + 1, sizeof *text->item);
  text->end = calloc(l->n + 1, sizeof *text->end);
  if (!text->item || !text->end)
    return -ENOMEM;
  for (size_t i = 0; i < l->n; i++) {
    const struct item *item = &l->items[i];
    if (item->tls_only && !tls)
      continue;
    nbd_list_format(&text->bytes, item->name, item->description);
    text->item[text->n] = i;
    text->end[text->n++] = text->bytes.len;
  }
  return text->bytes.failed ? -ENOMEM : 0;
}

/* NULL: memory is short. */
static struct listing *
make_listing(struct list_cache *cache, unsigned changes)
{
  struct catalog *catalog = cache->catalog;
  const struct source *const *source = sources_of(&catalog->config);
  struct listing *l = calloc(1, sizeof *l);
  unsigned patience = LOOKS_PATIENCE_MSEC;
  int r = 0;

  if (!l)
    return NULL;
  l->version = cache->now ? cache->now->version + 1 : 1;
  l->changes = changes;
  for (; *source && r == 0; source++) {
    struct making m = { cache, catalog, &patience, *source, cache->now, l };
    r = (*source)->means ? (*source)->each(&catalog->config, add_item, &m)
                         : add_known(&m);
  }
  sort_items(l);
  for (size_t i = 0; i < l->n; i++)
    l->hides |= l->items[i].tls_only;
  for (int tls = l->hides ? 0 : 1; tls < 2 && r == 0; tls++)
    r = make_text(l, tls, &l->text[tls]);
  l->error = r;
  return l;
}

/* ------------------------------------------------------------------- asking */

/* The lock is held. */
static void
answer_all(struct lists *lists, int error)
{
  struct export_list *list;

  while ((list = STAILQ_FIRST(lists)) != NULL) {
    STAILQ_REMOVE_HEAD(lists, link);
    list->error = error;
    loop_post(list->loop, &list->done);
  }
}

/* All who wait now, and of how many changes they are to be told; false:
 * nobody. */
static bool
take_waiters(struct list_cache *cache, struct lists *lists, unsigned *changes)
{
  struct generations *live = &cache->catalog->live;

  STAILQ_INIT(lists);
  pthread_mutex_lock(&live->lock);
  STAILQ_CONCAT(lists, &cache->waiters);
  *changes = cache->changes;
  cache->busy = !STAILQ_EMPTY(lists);
  const bool busy = cache->busy;
  if (!busy)
    pthread_cond_broadcast(&live->changed);
  pthread_mutex_unlock(&live->lock);
  return busy;
}

/* On a thread: the folder may lie on a disk that hangs. */
static void
run_list(struct io_work *work)
{
  struct list_cache *cache = CONTAINER_OF(work, struct list_cache, work);
  struct generations *live = &cache->catalog->live;
  struct lists lists;
  unsigned changes;

  while (take_waiters(cache, &lists, &changes)) {
    struct listing *made = make_listing(cache, changes), *old = made;
    pthread_mutex_lock(&live->lock);
    if (made && made->error == 0) {
      old = cache->now;
      cache->now = made;
    }
    answer_all(&lists, made ? made->error : -ENOMEM);
    pthread_mutex_unlock(&live->lock);
    listing_free(old);
  }
}

void
export_list_begin(struct export_list *list, struct catalog *catalog)
{
  struct list_cache *cache = catalog->lists;
  bool begin = false;

  export_list_clear(list);
  list->version = 0;
  list->next = 0;
  pthread_mutex_lock(&catalog->live.lock);
  STAILQ_INSERT_TAIL(&cache->waiters, list, link);
  if (cache->constant && cache->now && cache->now->changes == cache->changes) {
    answer_all(&cache->waiters, 0);
  } else {
    begin = !cache->busy;
    cache->busy = true;
  }
  pthread_mutex_unlock(&catalog->live.lock);
  if (begin)
    io_queue_run(cache->queue, &cache->work);
}

/* ------------------------------------------------------------------ telling */

/* Where the client goes on. */
static size_t
find_next(const struct export_list *list, const struct listing *l,
          const struct text *text)
{
  if (list->version == l->version || !list->last)
    return list->next;
  size_t low = 0, high = text->n;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (strcmp(l->items[text->item[middle]].name, list->last) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The lock is held. */
static bool
may_see(const struct export_list *list, const struct catalog *catalog,
        const struct item *item)
{
  struct sense sense;

  return !item->source || item->source->means(&catalog->config, &list->asker,
                                              item->name, &sense);
}

/* The lock is held.  What fits of what he may see; the rest of what was passed
 * is not for him.  0: that was all. */
static ssize_t
take_some(struct export_list *list, const struct catalog *catalog,
          const struct listing *l, char *buf, size_t room)
{
  const struct text *text = &l->text[list->asker.tls || !l->hides];
  const size_t from = find_next(list, l, text);
  size_t at = from, n = 0;

  for (; at < text->n; at++) {
    const size_t begin = at > 0 ? text->end[at - 1] : 0;
    const size_t len = text->end[at] - begin;
    if (!may_see(list, catalog, &l->items[text->item[at]]))
      continue;
    if (len > room - n)
      break;
    memcpy(buf + n, text->bytes.data + begin, len);
    n += len;
  }
  char *last = at > from ? strdup(l->items[text->item[at - 1]].name) : NULL;
  if (at > from && !last)
    return -ENOMEM;
  free(list->last);
  list->last = last;
  list->version = l->version;
  list->next = at;
  return (ssize_t)n;
}

ssize_t
export_list_next(struct export_list *list, struct catalog *catalog, void *buf,
                 size_t room)
{
  pthread_mutex_lock(&catalog->live.lock);
  const ssize_t n = take_some(list, catalog, catalog->lists->now, buf, room);
  pthread_mutex_unlock(&catalog->live.lock);
  return n;
}

void
export_list_clear(struct export_list *list)
{
  free(list->last);
  list->last = NULL;
}

/* ------------------------------------------------------------- life, death */

struct list_cache *
list_cache_new(struct catalog *catalog)
{
  const struct source *const *source = sources_of(&catalog->config);
  struct list_cache *cache = calloc(1, sizeof *cache);

  if (!cache)
    return NULL;
  cache->catalog = catalog;
  cache->work.run = run_list;
  STAILQ_INIT(&cache->waiters);
  cache->constant = true;
  for (; *source; source++)
    cache->constant &= !(*source)->means;
  cache->queue = io_queue_new();
  if (cache->queue) {
    looks_init(&cache->looks, &catalog->live, cache->queue);
    return cache;
  }
  free(cache);
  return NULL;
}

void
list_cache_free(struct list_cache *cache)
{
  if (!cache)
    return;
  io_queue_free(cache->queue);
  listing_free(cache->now);
  free(cache);
}

void
list_cache_forget(struct list_cache *cache)
{
  cache->changes++;
}

bool
list_cache_is_idle(const struct list_cache *cache)
{
  return !cache->busy && cache->looks.n == 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* shared.c: see shared.h.  A hash under a lock of its own, which is held over
 * no I/O and no other lock. */
#include "config.h"

#include <string.h>

#include "image/shared.h"

#define BUCKETS 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct layer *table[BUCKETS]; /* lists through layer.next_shared */

static struct layer **
bucket(const struct vhd_file *file)
{
  return &table[((uint64_t)file->ino * 0x9e3779b97f4a7c15U >> 32) % BUCKETS];
}

static bool
same(const struct layer *l, const struct vhd_file *file,
     const struct file_stamp *stamp, const struct shared_key *key)
{
  return file_same(l->file, file) && l->stamp.size == stamp->size &&
         l->stamp.mtime == stamp->mtime && l->stamp.ctime == stamp->ctime &&
         l->key.flags == key->flags && strcmp(l->path, file->path) == 0 &&
         strcmp(l->key.journal_dir, key->journal_dir) == 0;
}

/* Under the lock. */
static struct layer *
find(const struct vhd_file *file, const struct file_stamp *stamp,
     const struct shared_key *key)
{
  struct layer *l = *bucket(file);

  while (l && !same(l, file, stamp, key))
    l = l->next_shared;
  if (l)
    atomic_fetch_add(&l->refs, 1);
  return l;
}

struct layer *
shared_find(const struct vhd_file *file, const struct file_stamp *stamp,
            const struct shared_key *key)
{
  pthread_mutex_lock(&lock);
  struct layer *l = find(file, stamp, key);
  pthread_mutex_unlock(&lock);
  return l;
}

struct layer *
shared_add(struct layer *layer)
{
  pthread_mutex_lock(&lock);
  struct layer *l = find(layer->file, &layer->stamp, &layer->key);
  if (!l) {
    l = layer;
    l->shared = true;
    l->next_shared = *bucket(l->file);
    *bucket(l->file) = l;
  }
  pthread_mutex_unlock(&lock);
  return l;
}

bool
shared_unref(struct layer *layer)
{
  pthread_mutex_lock(&lock);
  bool last = atomic_fetch_sub(&layer->refs, 1) == 1;
  if (last) {
    struct layer **link = bucket(layer->file);
    while (*link != layer)
      link = &(*link)->next_shared;
    *link = layer->next_shared;
  }
  pthread_mutex_unlock(&lock);
  return last;
}

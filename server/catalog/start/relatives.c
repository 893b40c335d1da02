/* SPDX-License-Identifier: BSD-2-Clause */
/* relatives.c: see relatives.h. */
#include "config.h"

#include "catalog/start/relatives.h"

#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct relative {
  UT_hash_handle hh;
  struct file_id file; /* the key */
  const char *child;
};

struct relatives {
  struct relative *all;
};

struct relatives *
relatives_new(void)
{
  return calloc(1, sizeof(struct relatives));
}

void
relatives_free(struct relatives *relatives)
{
  struct relative *r, *next;

  if (!relatives)
    return;
  HASH_ITER(hh, relatives->all, r, next) {
    HASH_DEL(relatives->all, r);
    free(r);
  }
  free(relatives);
}

const char *
relatives_find(struct relatives *relatives, const struct file_id *file)
{
  struct relative *found;

  HASH_FIND(hh, relatives->all, file, sizeof *file, found);
  return found ? found->child : NULL;
}

int
relatives_add(struct relatives *relatives, const struct file_id *file,
              const char *child)
{
  if (relatives_find(relatives, file))
    return 0;
  struct relative *r = calloc(1, sizeof *r);
  if (!r)
    return -ENOMEM;
  r->file = *file;
  r->child = child;
  HASH_ADD(hh, relatives->all, file, sizeof r->file, r);
  if (r->hh.tbl)
    return 0;
  free(r);
  return -ENOMEM;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* strings.c: see strings.h. */
#include "config.h"

#include "catalog/source/strings.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct kept {
  UT_hash_handle hh;
  char text[];
};

struct strings {
  struct kept *all;
};

struct strings *
strings_new(void)
{
  return calloc(1, sizeof(struct strings));
}

void
strings_free(struct strings *strings)
{
  struct kept *kept, *next;

  if (!strings)
    return;
  HASH_ITER(hh, strings->all, kept, next) {
    HASH_DEL(strings->all, kept);
    free(kept);
  }
  free(strings);
}

const char *
strings_keep(struct strings *strings, const char *text)
{
  const size_t n = strlen(text);
  struct kept *kept;

  HASH_FIND(hh, strings->all, text, n, kept);
  if (kept)
    return kept->text;
  kept = calloc(1, sizeof *kept + n + 1);
  if (!kept)
    return NULL;
  memcpy(kept->text, text, n + 1);
  HASH_ADD_KEYPTR(hh, strings->all, kept->text, n, kept);
  if (kept->hh.tbl)
    return kept->text;
  free(kept);
  return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* state.c: see state.h. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

int
names_find(const struct names *names, const char *name)
{
  for (int i = 0; i < names->n; i++)
    if (strcmp(names->at[i].name, name) == 0)
      return names->at[i].file;
  return -1;
}

void
names_set(struct names *names, const char *name, int file)
{
  int i = 0;

  while (i < names->n && strcmp(names->at[i].name, name) != 0)
    i++;
  if (i == names->n) {
    if (i == STATE_NAMES)
      abort();
    snprintf(names->at[i].name, NAME_ROOM, "%s", name);
    names->n++;
  }
  names->at[i].file = file;
}

void
state_free(struct state *s)
{
  for (int i = 0; i < s->nfile; i++)
    free(s->file[i].bytes);
  *s = (struct state){ 0 };
}

/* FNV-1a, eight bytes at a time. */
static uint64_t
hash_bytes(uint64_t hash, const void *bytes, uint64_t n)
{
  const uint8_t *p = bytes;
  uint64_t word;

  for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
    memcpy(&word, p, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 29;
  }
  for (; n > 0; p++, n--)
    hash = (hash ^ *p) * 0x100000001b3;
  return hash;
}

uint64_t
state_hash(const struct state *s)
{
  uint64_t sum = 0;

  for (int i = 0; i < s->names.n; i++) {
    const struct naming *n = &s->names.at[i];
    if (n->file < 0)
      continue;
    const struct state_file *f = &s->file[n->file];
    uint64_t hash = hash_bytes(0xcbf29ce484222325, n->name, strlen(n->name));
    hash = hash_bytes(hash, &f->size, sizeof f->size);
    hash = hash_bytes(hash, &f->mtime, sizeof f->mtime);
    sum += hash_bytes(hash, f->bytes, f->size);
  }
  return sum;
}

/* ------------------------------------------------------------ what was seen */

static uint64_t *seen;
static uint64_t nseen, seen_room;

static bool
insert(uint64_t value)
{
  uint64_t at = value & (seen_room - 1);

  while (seen[at] != 0 && seen[at] != value)
    at = (at + 1) & (seen_room - 1);
  const bool new = seen[at] == 0;
  seen[at] = value;
  return new;
}

static void
grow(void)
{
  uint64_t *old = seen;
  const uint64_t n = seen_room;

  seen_room = n ? 2 * n : 1024;
  seen = calloc(seen_room, sizeof *seen);
  if (!seen)
    abort();
  for (uint64_t i = 0; i < n; i++)
    if (old[i] != 0)
      insert(old[i]);
  free(old);
}

bool
seen_add(uint64_t value)
{
  value = value ? value : 1;
  if (2 * nseen >= seen_room)
    grow();
  const bool new = insert(value);
  nseen += new;
  return new;
}

void
seen_forget(void)
{
  free(seen);
  seen = NULL;
  nseen = seen_room = 0;
}

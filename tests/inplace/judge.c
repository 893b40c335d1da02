/* SPDX-License-Identifier: BSD-2-Clause */
/* judge.c: see judge.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arith.h"
#include "judge.h"
#include "store/newfile.h"

struct judged judged;

__attribute__((format(printf, 2, 3))) static bool
wrong(char *fault, const char *fmt, ...)
{
  va_list args;

  va_start(args, fmt);
  vsnprintf(fault, FAULT_ROOM, fmt, args);
  va_end(args);
  return false;
}

static bool
is_there(const char *name)
{
  struct stat st;

  return lstat(world_path(name), &st) == 0;
}

/* ------------------------------------------------------------------ looking */

/* What opening an image gave. */
struct seen {
  struct view view;
  struct vhd_error err;
};

static void
look(const char *name, struct seen *seen)
{
  struct vhd_open_options open = scene_open;
  struct vhd_image *image;
  struct vhd_info info;
  struct view *v = &seen->view;

  *seen = (struct seen){ .view.there = is_there(name) };
  open.flags = VHD_OPEN_READONLY;
  if (!v->there)
    return;
  if (vhd_open(world_path(name), &open, &image, &seen->err) < 0) {
    v->code = seen->err.code;
    return;
  }
  vhd_get_info(image, &info);
  v->size = vhd_size(image);
  memcpy(v->id, info.id_text, sizeof v->id);
  v->disk = malloc(v->size + 1);
  if (!v->disk)
    abort();
  const int r = vhd_pread(image, v->disk, v->size, 0);
  if (r < 0)
    v->code = VHD_SYSTEM;
  vhd_close(image, NULL);
}

static void
look_raw(const char *name, struct seen *seen)
{
  struct view *v = &seen->view;
  struct stat st;
  FILE *file = fopen(world_path(name), "rb");

  *seen = (struct seen){ .view.there = file != NULL };
  if (!file)
    return;
  if (fstat(fileno(file), &st) < 0)
    abort();
  v->size = (uint64_t)st.st_size;
  v->disk = malloc(v->size + 1);
  if (!v->disk || fread(v->disk, 1, v->size, file) != v->size)
    abort();
  fclose(file);
}

/* Where they differ first; UINT64_MAX: nowhere. */
static uint64_t
difference(const struct view *a, const struct view *b)
{
  const uint64_t n = MIN(a->size, b->size);

  if (a->size == b->size && memcmp(a->disk, b->disk, n) == 0)
    return UINT64_MAX;
  for (uint64_t at = 0; at < n; at += 512)
    if (memcmp(a->disk + at, b->disk + at, MIN(512, n - at)) != 0)
      return at;
  return n;
}

static bool
is_like(const struct view *v, const struct view *wanted)
{
  if (!v->there || !wanted->there)
    return v->there == wanted->there;
  if (v->code != wanted->code)
    return false;
  if (wanted->code != 0)
    return true;
  return (wanted->id[0] == '\0' || strcmp(v->id, wanted->id) == 0) &&
         difference(v, wanted) == UINT64_MAX;
}

/* Each sector is as before or as after. */
static bool
is_mixed(const struct view *v, const struct image *i)
{
  if (!v->there || v->code != 0 || v->size != i->before.size ||
      v->size != i->after.size)
    return false;
  for (uint64_t at = 0; at < v->size; at += 512)
    if (memcmp(v->disk + at, i->before.disk + at, 512) != 0 &&
        memcmp(v->disk + at, i->after.disk + at, 512) != 0)
      return false;
  return true;
}

/* ------------------------------------------------------------------ judging */

/* Some change is written down, and waits to be finished. */
static bool
is_interrupted(const struct scene *s)
{
  char name[NAME_ROOM + sizeof VHD_COMPANION_SUFFIX];

  for (int i = 0; i < s->n; i++) {
    snprintf(name, sizeof name, "%s" VHD_COMPANION_SUFFIX, s->image[i].name);
    if (is_there(name))
      return true;
  }
  return false;
}

static bool
explain(const struct image *i, const struct seen *seen, char *fault)
{
  const struct view *v = &seen->view;

  if (!v->there)
    return wrong(fault, "%s is not there", i->name);
  if (v->code != 0)
    return wrong(fault, "%s cannot be opened: %s", i->name,
                 seen->err.message);
  if (!i->after.there)
    return wrong(fault, "%s is there", i->name);
  return wrong(fault, "%s: a disk of %llu bytes, differs at %llu from before, "
               "at %llu from after; id %s", i->name,
               (unsigned long long)v->size,
               i->before.there && i->before.disk
                 ? (unsigned long long)difference(v, &i->before) : 0ULL,
               (unsigned long long)difference(v, &i->after), v->id);
}

static bool
judge_image(const struct scene *s, const struct image *i, char *fault)
{
  struct seen seen;
  bool good = true;

  look(i->name, &seen);
  if (seen.view.code == VHD_JOURNAL && is_interrupted(s))
    judged.interrupted++;
  else if (is_like(&seen.view, &i->before))
    judged.before++;
  else if (!i->after.raw && is_like(&seen.view, &i->after))
    judged.after++;
  else if (i->mixed && is_mixed(&seen.view, i))
    judged.mixed++;
  else
    good = explain(i, &seen, fault);
  free(seen.view.disk);
  return good;
}

bool
judge_between(const struct scene *s, char *fault)
{
  for (int i = 0; i < s->n; i++)
    if (!judge_image(s, &s->image[i], fault))
      return false;
  return true;
}

static void
hear(void *opaque, const struct vhd_finding *finding)
{
  char *fault = opaque;

  if (fault[0] == '\0' && (finding->severity == VHD_BROKEN ||
                           finding->severity == VHD_LEAKED))
    wrong(fault, "check: %.200s", finding->message);
}

static bool
judge_last(const struct image *i, char *fault)
{
  const struct vhd_check_options check = { .open = scene_open };
  struct vhd_check_result result;
  struct vhd_error err;
  struct seen seen;

  (i->after.raw ? look_raw : look)(i->name, &seen);
  bool good = is_like(&seen.view, &i->after);
  if (!good)
    explain(i, &seen, fault);
  free(seen.view.disk);
  if (!good || !i->after.there || i->after.raw)
    return good;
  fault[0] = '\0';
  if (vhd_check(world_path(i->name), &check, hear, fault, &result, &err) < 0)
    return wrong(fault, "check: %s", err.message);
  return fault[0] == '\0';
}

/* What a power cut brings back of a companion that was removed. */
static bool
is_empty_companion(const char *name)
{
  const size_t n = strlen(name), suffix = sizeof VHD_COMPANION_SUFFIX - 1;
  struct stat st;

  return n > suffix && strcmp(name + n - suffix, VHD_COMPANION_SUFFIX) == 0 &&
         stat(world_path(name), &st) == 0 && st.st_size == 0;
}

/* A temporary file that a power cut left is removed by who needs one next. */
static bool
is_expected(const struct scene *s, const char *name)
{
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
      is_empty_companion(name))
    return true;
  for (int i = 0; i < s->n; i++)
    if (strcmp(s->image[i].name, name) == 0)
      return true;
  return newfile_is_temporary(name) || (s->leaves && !strcmp(name, s->leaves));
}

static bool
judge_names(const struct scene *s, char *fault)
{
  DIR *dir = opendir(world_folder);
  const struct dirent *entry;
  bool good = true;

  if (s->leaves && !is_there(s->leaves))
    good = wrong(fault, "%s is not there", s->leaves);
  while (good && (entry = readdir(dir)) != NULL)
    if (!is_expected(s, entry->d_name))
      good = wrong(fault, "%s is there", entry->d_name);
  closedir(dir);
  return good;
}

bool
judge_end(const struct scene *s, char *fault)
{
  struct stat st;

  for (int i = 0; i < s->n; i++)
    if (!judge_last(&s->image[i], fault))
      return false;
  if (s->most != 0 && stat(world_path(s->image[0].name), &st) == 0 &&
      (uint64_t)st.st_size > s->most)
    return wrong(fault, "the file has %llu bytes, not %llu",
                 (unsigned long long)st.st_size,
                 (unsigned long long)s->most);
  return judge_names(s, fault);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.c: see exports.h.
 *
 * With child=, an export begins as its image, read-only; the first change makes
 * (or finds) the child and puts it in the image's place.  Requests hold the
 * export's lock as readers, that change holds it as the writer.
 *
 * nbdkit that has been told to quit no longer closes its clients' handles.  It
 * waits for their threads, though not for all (one that was just accepted) nor,
 * in some versions, for ever, and then says that it is over.  exports_finish()
 * closes every image, after the requests that are under way; those that still
 * come find none and are told so.  What they look at is therefore not freed.
 *
 * exports_lock is held over no opening and no closing but those of the very
 * end: a disk that hangs under one export keeps nobody from another.  An export
 * that is being opened or closed stands in the list as busy, and whoever wants
 * that one waits. */
#include "config.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "children.h"
#include "exports.h"
#include "folder.h"
#include "image.h"
#include "roots.h"

struct params params;

struct export {
  struct export *next;
  char *name;              /* canonical */
  char *path;              /* of the image that is named */
  char *child;             /* of its child, or NULL */
  bool readonly;
  unsigned refs;           /* this and the next two under exports_lock */
  bool busy;               /* it is being opened, or closed */
  bool over;               /* exports_finish() has closed it */
  pthread_rwlock_t lock;   /* guards the image's identity, not its use */
  struct vhd_image *image; /* NULL once exports_finish() has closed it */
  bool changeable;         /* .image may be written to */
  bool only_read;          /* it is of a format that is */
};

static pthread_mutex_t exports_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t exports_changed = PTHREAD_COND_INITIALIZER;
/* Under exports_lock. */
static struct export *exports;
static bool finished;

static void
tell_finished(void)
{
  nbdkit_error("nbdkit is about to end");
  nbdkit_set_error(ESHUTDOWN);
}

/* -------------------------------------------------------------------- names */

/* The name that an export goes by; NULL: there is none of that name. */
static char *
canonical_name(const char *name)
{
  return params.dir ? folder_name(params.dir, name) : strdup("");
}

/* The image that is named. */
static char *
image_path(const char *name)
{
  return params.dir ? folder_path(params.dir, name) : strdup(params.file);
}

/* strerror() would look for translations: in an nbdkit with ASan's runtime that
 * leaves the C library's lock of them taken, and nbdkit hangs at its exit. */
static void
tell_out_of_sight(int r)
{
  nbdkit_error("%s: cannot look for children there: %s; child= must be a "
               "folder that nbdkit may search", params.child,
               strerrordesc_np(-r));
  nbdkit_set_error(-r);
}

/* ------------------------------------------------------------------ opening */

/* Is this a child of the export's image?  Whatever else bears the child's name
 * is not written to, least of all the image itself. */
static bool
is_child(const struct export *e, struct vhd_image *image)
{
  struct vhd_image *parent = vhd_parent(image);
  struct stat st, of_parent;
  struct vhd_info info;

  if (parent) {
    vhd_get_info(parent, &info);
    if (stat(e->path, &st) == 0 && stat(info.path, &of_parent) == 0 &&
        st.st_dev == of_parent.st_dev && st.st_ino == of_parent.st_ino)
      return true;
  }
  nbdkit_error("%s: it is there already, and is no child of %s; name another "
               "folder with child=", e->child, e->path);
  return false;
}

static struct vhd_image *
open_child(struct export *e, bool readonly)
{
  struct vhd_image *image = image_open(e->child, e->path, readonly);

  if (image && !is_child(e, image)) {
    image_close(image);
    return NULL;
  }
  return image;
}

static bool
open_export(struct export *e)
{
  const int made = children_find(e->child);

  if (made < 0) {
    tell_out_of_sight(made);
    return false;
  }
  if (made) {
    e->image = open_child(e, e->readonly);
    e->changeable = !e->readonly;
  } else {
    e->changeable = !e->readonly && !e->child;
    e->image = image_open(e->path, NULL, !e->changeable);
    e->only_read =
      e->changeable && e->image && image_is_read_only(e->image);
    e->changeable = e->changeable && !e->only_read;
  }
  return e->image != NULL;
}

static void
free_export(struct export *e)
{
  pthread_rwlock_destroy(&e->lock);
  free(e->name);
  free(e->path);
  free(e->child);
  free(e);
}

/* Not open yet. */
static struct export *
new_export(const char *name, bool readonly)
{
  struct export *e = calloc(1, sizeof *e);

  if (!e) {
    nbdkit_error("%s", strerror(ENOMEM));
    return NULL;
  }
  pthread_rwlock_init(&e->lock, NULL);
  e->name = strdup(name);
  e->readonly = readonly;
  e->path = image_path(name);
  e->child = children_path(params.child, e->path);
  e->refs = 1;
  if (!e->name || !e->path || (params.child && !e->child)) {
    nbdkit_error("%s", strerror(ENOMEM));
    free_export(e);
    return NULL;
  }
  return e;
}

/* ------------------------------------------------------------------ sharing */

static struct export *
find(const char *name)
{
  struct export *e = exports;

  while (e && strcmp(e->name, name) != 0)
    e = e->next;
  return e;
}

static void
unlink_export(struct export *e)
{
  struct export **link = &exports;

  while (*link != e)
    link = &(*link)->next;
  *link = e->next;
}

/* What was done to it, with exports_lock let go, is over. */
static void
no_longer_busy(struct export *e)
{
  e->busy = false;
  pthread_cond_broadcast(&exports_changed);
}

/* A client that asks for a read-only view of an export that is open for writing
 * shares it; nbdkit refuses its writes. */
static struct export *
share(struct export *e, bool readonly)
{
  if (e->readonly && !readonly) {
    nbdkit_error("export '%s' is in use by clients that read only", e->name);
    nbdkit_set_error(EBUSY);
    return NULL;
  }
  e->refs++;
  return e;
}

/* Under exports_lock, which is let go meanwhile. */
static struct export *
open_new(const char *name, bool readonly)
{
  struct export *e = new_export(name, readonly);

  if (!e)
    return NULL;
  e->next = exports;
  exports = e;
  e->busy = true;
  pthread_mutex_unlock(&exports_lock);
  const bool opened = open_export(e);
  pthread_mutex_lock(&exports_lock);
  no_longer_busy(e);
  if (opened)
    return e;
  unlink_export(e);
  free_export(e);
  return NULL;
}

/* Under exports_lock, which may be let go meanwhile. */
static struct export *
find_or_open(const char *name, bool readonly)
{
  struct export *e;

  while (!finished && (e = find(name)) != NULL && e->busy)
    pthread_cond_wait(&exports_changed, &exports_lock);
  if (finished) {
    tell_finished();
    return NULL;
  }
  return e ? share(e, readonly) : open_new(name, readonly);
}

struct export *
export_get(const char *name, bool readonly)
{
  char *canonical = canonical_name(name);

  if (!canonical) {
    nbdkit_error("there is no export '%.100s'", name);
    nbdkit_set_error(ENOENT);
    return NULL;
  }
  pthread_mutex_lock(&exports_lock);
  struct export *e = find_or_open(canonical, readonly || params.readonly);
  pthread_mutex_unlock(&exports_lock);
  free(canonical);
  return e;
}

void
export_put(struct export *e)
{
  pthread_mutex_lock(&exports_lock);
  assert(e->refs > 0 && !e->busy);
  const bool last = --e->refs == 0;
  if (last) {
    e->busy = true;
    pthread_mutex_unlock(&exports_lock);
    image_close(e->image);
    pthread_mutex_lock(&exports_lock);
    unlink_export(e);
    no_longer_busy(e);
  }
  pthread_mutex_unlock(&exports_lock);
  if (last)
    free_export(e);
}

/* The first that is busy, or that is open; NULL: there is none. */
static struct export *
find_state(bool busy)
{
  struct export *e = exports;

  while (e && (busy ? !e->busy : e->busy || e->over))
    e = e->next;
  return e;
}

/* Under exports_lock. */
static void
close_at_end(struct export *e)
{
  e->over = true;
  pthread_rwlock_wrlock(&e->lock);
  image_close(e->image);
  e->image = NULL;
  pthread_rwlock_unlock(&e->lock);
}

/* What is busy is waited for last: it may take long. */
void
exports_finish(void)
{
  struct export *e;

  pthread_mutex_lock(&exports_lock);
  finished = true;
  pthread_cond_broadcast(&exports_changed);
  for (;;) {
    if ((e = find_state(false)) != NULL)
      close_at_end(e);
    else if (find_state(true))
      pthread_cond_wait(&exports_changed, &exports_lock);
    else
      break;
  }
  pthread_mutex_unlock(&exports_lock);
}

bool
export_writable(const struct export *e)
{
  return !e->readonly && !e->only_read;
}

/* ---------------------------------------------------------------- the child */

/* A child of the image that is named, which may be a child itself. */
static int
create_child(const struct export *e, struct vhd_error *err)
{
  struct roots roots;

  if (!image_find_roots(&roots, e->path, NULL)) {
    image_no_memory(err);
    return -ENOMEM;
  }
  const struct vhd_create_options opt = {
    .parent = e->path,
    .roots = roots.path,
    .nroots = roots.n,
  };
  const int r = vhd_create(e->child, &opt, err);
  roots_free(&roots);
  return r;
}

/* What a killed program left of the image in memory is written down first, for
 * which nobody may have it open: neither may we. */
static bool
begin_child(struct export *e)
{
  struct vhd_error err;
  int r = create_child(e, &err);

  if (r < 0 && err.code == VHD_BUSY) {
    image_close(e->image);
    r = create_child(e, &err);
    e->image = image_open(e->path, NULL, true);
  }
  if (r < 0)
    image_tell(&err);
  return r == 0;
}

/* Puts the child in the image's place; the lock is held for writing. */
static bool
make_child(struct export *e)
{
  const int made = children_find(e->child);

  if (made < 0) {
    tell_out_of_sight(made);
    return false;
  }
  if (!made && !begin_child(e))
    return false;
  struct vhd_image *child = open_child(e, false);
  if (!child)
    return false;
  image_close(e->image);
  e->image = child;
  e->changeable = true;
  return true;
}

/* Makes the image changeable, unless somebody has done so meanwhile. */
static bool
prepare_change(struct export *e)
{
  pthread_rwlock_wrlock(&e->lock);
  bool good = !e->image || e->changeable || make_child(e);
  pthread_rwlock_unlock(&e->lock);
  return good;
}

struct vhd_image *
export_begin(struct export *e, bool change)
{
  pthread_rwlock_rdlock(&e->lock);
  if (change && e->image && !e->changeable) {
    pthread_rwlock_unlock(&e->lock);
    if (!prepare_change(e))
      return NULL;
    pthread_rwlock_rdlock(&e->lock);
  }
  struct vhd_image *image = e->image;
  if (!image) {
    pthread_rwlock_unlock(&e->lock);
    tell_finished();
  }
  return image;
}

void
export_end(struct export *e)
{
  pthread_rwlock_unlock(&e->lock);
}

/* ------------------------------------------------------------------ listing */

/* Could the image be opened now, for all that others do with it? */
static bool
is_free(struct vhd_image *image, bool to_write)
{
  struct vhd_info info;

  vhd_get_info(image, &info);
  if (to_write && info.held != VHD_HELD_BY_NOBODY)
    return false;
  for (; image; image = vhd_parent(image)) {
    vhd_get_info(image, &info);
    if (info.held == VHD_HELD_WRITING)
      return false;
  }
  return true;
}

/* Looks at what opening the export would open, without locks: nobody is locked
 * out, and nothing is changed. */
static bool
looks_fine(const char *name, const char *path, const char *child,
           bool readonly)
{
  const int made = children_find(child);
  const bool to_write = !readonly && (made || !child);
  struct vhd_error err = { .message = "somebody has it in use" };

  if (made < 0) {
    nbdkit_debug("export '%s' is not listed: %s", name, strerror(-made));
    return false;
  }
  struct vhd_image *image =
    image_open_with(made ? child : path, made ? path : NULL,
              VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED, &err);
  const bool fine = image && is_free(image, to_write);

  if (!fine)
    nbdkit_debug("export '%s' is not listed: %s", name, err.message);
  image_close(image);
  return fine;
}

static bool
can_show(const char *name, bool readonly)
{
  pthread_mutex_lock(&exports_lock);
  const bool open = find(name) != NULL;
  pthread_mutex_unlock(&exports_lock);
  if (open)
    return true;
  char *path = image_path(name), *child = children_path(params.child, path);
  const bool fine = path && (child || !params.child) &&
                    looks_fine(name, path, child, readonly);
  free(path);
  free(child);
  return fine;
}

/* Clients that list ask for each name in turn, and take one refusal for the
 * failure of all: what cannot be opened is left out. */
int
export_list(bool readonly, int (*each)(void *opaque, const char *name),
            void *opaque)
{
  struct folder_list list;
  int result = 0;

  if (!params.dir)
    return each(opaque, "");
  if (folder_list(params.dir, &list) < 0) {
    nbdkit_error("%s: %m", params.dir);
    return -1;
  }
  for (size_t i = 0; i < list.n && result == 0; i++)
    if (can_show(list.name[i], readonly || params.readonly))
      result = each(opaque, list.name[i]);
  folder_list_free(&list);
  return result;
}

int
export_probe(void)
{
  const int there = children_search(params.child);

  if (there < 0) {
    tell_out_of_sight(there);
    return -1;
  }
  if (params.dir) {
    DIR *d = opendir(params.dir);
    if (!d) {
      nbdkit_error("%s: %m", params.dir);
      return -1;
    }
    closedir(d);
    return 0;
  }
  /* nbdkit does not say yet whether it was told -r, or has a filter that keeps
   * all changes to itself. */
  struct export *e = export_get("", true);
  if (!e)
    return -1;
  export_put(e);
  return 0;
}

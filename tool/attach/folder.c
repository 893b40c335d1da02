/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.c: see folder.h. */
#include "config.h"

#include "attach/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/record.h"
#include "message.h"

#define ENTRIES_MAX 10000
#define LINKS_MOST 8

/* --------------------------------------------------------------- the folder */

/* Not the journals' folder: at /run/vhdkit the service's user may own it. */
static char *
folder_path(void)
{
  const char *given = getenv("VHDKIT_ATTACH_DIR");
  const char *run = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
  char *path;

  if (given && *given != '\0')
    path = strdup(given);
  else if (!run || *run == '\0')
    return complain("XDG_RUNTIME_DIR is not set: no place to keep what is "
                    "attached; name a folder as $VHDKIT_ATTACH_DIR"), NULL;
  else if (asprintf(&path, "%s/vhdkit-attach", run) < 0)
    path = NULL;
  if (!path)
    abort();
  return path;
}

static int
refuse_folder(struct folder *folder, const char *why)
{
  complain("%s: %s", folder->path, why);
  folder_close(folder);
  return -1;
}

static bool
is_absolute(struct folder *folder)
{
  char *path = realpath(folder->path, NULL);

  if (!path)
    return false;
  free(folder->path);
  folder->path = path;
  return true;
}

int
folder_open(struct folder *folder, bool make)
{
  struct stat st;

  *folder = (struct folder){ .path = folder_path(), .fd = -1 };
  if (!folder->path)
    return -1;
  if (make && mkdir(folder->path, 0700) < 0 && errno != EEXIST)
    return refuse_folder(folder, strerror(errno));
  folder->fd = open(folder->path,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder->fd < 0 && errno == ENOENT)
    return 0;
  if (folder->fd < 0 || fstat(folder->fd, &st) < 0 || !is_absolute(folder))
    return refuse_folder(folder, strerror(errno));
  if (st.st_uid != geteuid())
    return refuse_folder(folder, "belongs to somebody else; nothing in it can "
                                 "be trusted");
  if ((st.st_mode & 077) != 0)
    return refuse_folder(folder, "is open to others; chmod 700 it if nobody "
                                 "else has written there");
  return 0;
}

void
folder_close(struct folder *folder)
{
  free(folder->path);
  if (folder->fd >= 0)
    close(folder->fd);
  *folder = (struct folder){ .fd = -1 };
}

/* -------------------------------------------------------------- its entries */

static int
entry_open(const struct folder *folder, const char *name, struct entry *entry)
{
  entry->fd = openat(folder->fd, name,
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (entry->fd < 0)
    return -errno;
  if (asprintf(&entry->path, "%s/%s", folder->path, name) < 0)
    abort();
  return 0;
}

void
entry_close(struct entry *entry)
{
  free(entry->path);
  if (entry->fd >= 0)
    close(entry->fd);
  *entry = (struct entry){ .fd = -1 };
}

char *
entry_path(const struct entry *entry, const char *name)
{
  char *path;

  if (asprintf(&path, "%s/%s", entry->path, name) < 0)
    abort();
  return path;
}

void
entry_remove(const struct entry *entry)
{
  static const char *const names[] = { "disk", "socket", "notify", "log",
                                       "client", "driver", "record.new",
                                       "record" };

  /* The record last: what is left of the rest can be found by it. */
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    unlinkat(entry->fd, names[i], 0);
  if (rmdir(entry->path) < 0 && errno != ENOENT)
    complain("%s: cannot be removed: %s", entry->path, strerror(errno));
}

int
entry_write(const struct entry *entry, const struct attachment *a)
{
  int r = record_write(entry->fd, "record", a);

  if (r < 0)
    complain("%s/record: cannot be written: %s", entry->path, strerror(-r));
  return r < 0 ? -1 : 0;
}

static int
is_entry(const struct dirent *d)
{
  return strspn(d->d_name, "0123456789") == strlen(d->d_name);
}

/* Takes the lock, or says that somebody has it. */
static bool
is_busy(const struct entry *entry)
{
  return flock(entry->fd, LOCK_EX | LOCK_NB) < 0;
}

/* Opens the entries one by one, until visit() returns true; the entry is its
 * visitor's then, and the record too. */
typedef bool visit_fn(void *opaque, struct entry *entry, int record,
                      struct attachment *a);

static bool
visit_entries(const struct folder *folder, visit_fn *visit, void *opaque)
{
  struct dirent **list;
  bool taken = false;
  int n = folder->fd >= 0
            ? scandirat(folder->fd, ".", &list, is_entry, versionsort) : -1;

  for (int i = 0; i < n; i++) {
    struct entry entry;
    struct attachment a;
    if (!taken && entry_open(folder, list[i]->d_name, &entry) == 0) {
      int r = record_read(entry.fd, "record", &a);
      taken = visit(opaque, &entry, r, &a);
      if (!taken) {
        attachment_free(&a);
        entry_close(&entry);
      }
    }
    free(list[i]);
  }
  if (n >= 0)
    free(list);
  return taken;
}

static int
lock_folder(const struct folder *folder)
{
  if (folder->fd < 0 || flock(folder->fd, LOCK_EX) == 0)
    return 0;
  complain("%s: cannot be locked: %s", folder->path, strerror(errno));
  return -1;
}

static void
unlock_folder(const struct folder *folder)
{
  if (folder->fd >= 0)
    flock(folder->fd, LOCK_UN);
}

/* ------------------------------------------------------------------- adding */

static bool
is_same_image(void *opaque, struct entry *entry, int record,
              struct attachment *a)
{
  const struct attachment *wanted = opaque;

  if (record == -ENOENT && !is_busy(entry)) {
    /* Whoever made it died before it began. */
    entry_remove(entry);
    return false;
  }
  if (record < 0 || a->dev != wanted->dev || a->ino != wanted->ino)
    return false;
  if (a->complete && process_is_alive(&a->server))
    complain_as(EXIT_IN_USE, "%s: is %s already, as %s", wanted->image,
                a->folder ? "mounted" : "attached",
                a->folder ? a->folder : a->device);
  else
    complain("%s: was attached as %s, whose server has gone or has not begun; "
             "vhdkit detach clears it", wanted->image, a->device);
  attachment_free(a);
  entry_close(entry);
  return true;
}

static int
make_entry(const struct folder *folder, struct entry *entry)
{
  char name[16];

  for (int i = 0; i < ENTRIES_MAX; i++) {
    snprintf(name, sizeof name, "%d", i);
    if (mkdirat(folder->fd, name, 0700) == 0) {
      int r = entry_open(folder, name, entry);
      return r == 0 && is_busy(entry) ? -EBUSY : r;
    }
    if (errno != EEXIST)
      return -errno;
  }
  return -EMFILE;
}

static int
add(const struct folder *folder, struct attachment *a, struct entry *entry)
{
  const size_t longest = sizeof((struct sockaddr_un *)0)->sun_path - 1;

  if (visit_entries(folder, is_same_image, a))
    return -1;
  int r = make_entry(folder, entry);
  if (r < 0) {
    complain_sys(-r, "%s: nothing can be made there", folder->path);
    return -1;
  }
  if (strlen(entry->path) + sizeof "/socket" - 1 > longest) {
    complain("%s: the path of a socket there would be longer than %zu bytes; "
             "name another folder as $VHDKIT_ATTACH_DIR", folder->path,
             longest);
    r = -1;
  }
  if (!a->device)
    a->device = entry_path(entry, a->with == WITH_FUSE ? "disk" : "socket");
  if (r < 0 || entry_write(entry, a) < 0) {
    entry_remove(entry);
    entry_close(entry);
    return -1;
  }
  return 0;
}

int
folder_add(const struct folder *folder, struct attachment *a,
           struct entry *entry)
{
  *entry = (struct entry){ .fd = -1 };
  if (lock_folder(folder) < 0)
    return -1;
  int r = add(folder, a, entry);
  unlock_folder(folder);
  return r;
}

/* ------------------------------------------------------------------- taking */

/* By what a name is that of an entry, the surest first. */
enum way {
  BY_DEVICE, /* the device or the folder: no two have the same */
  BY_FILE,   /* the image's file, whatever its name is by now */
  BY_IMAGE,  /* the image's path, where another file may be by now */
};

struct wanted {
  const char *name;
  char *path; /* the same, absolute; NULL where nothing is there */
  enum way way;
  struct stat st; /* BY_FILE */
  unsigned busy, n; /* those that are meant; some of them are another's */
  struct entry *entry;
  struct attachment *a;
};

static bool
is_name(const struct wanted *w, const char *path)
{
  return path && (strcmp(path, w->name) == 0 ||
                  (w->path && strcmp(path, w->path) == 0));
}

static bool
is_meant(const struct wanted *w, const struct attachment *a)
{
  switch (w->way) {
  case BY_DEVICE:
    return is_name(w, a->folder) || is_name(w, a->device);
  case BY_FILE:
    return w->st.st_dev == a->dev && w->st.st_ino == a->ino;
  default:
    return is_name(w, a->image);
  }
}

static bool
count(void *opaque, struct entry *entry, int record, struct attachment *a)
{
  struct wanted *w = opaque;

  (void)entry;
  w->n += record == 0 && is_meant(w, a);
  return false;
}

static bool
take(void *opaque, struct entry *entry, int record, struct attachment *a)
{
  struct wanted *w = opaque;

  if (record < 0 || !is_meant(w, a))
    return false;
  if (is_busy(entry)) {
    w->busy++;
    return false;
  }
  /* Whoever had the lock a moment ago may have changed or removed it, and its
   * place may be another's. */
  attachment_free(a);
  if (record_read(entry->fd, "record", a) < 0 || !is_meant(w, a))
    return false;
  *w->entry = *entry;
  *w->a = *a;
  return true;
}

/* 1: it has it; 0: this is no way to it; -1 after a complaint. */
static int
take_by(const struct folder *folder, struct wanted *w, enum way way)
{
  w->way = way;
  w->n = 0;
  if (lock_folder(folder) < 0)
    return -1;
  visit_entries(folder, count, w);
  const bool found = w->n == 1 && visit_entries(folder, take, w);
  unlock_folder(folder);
  if (found)
    return 1;
  if (w->busy > 0)
    complain_as(EXIT_IN_USE, "%s: another vhdkit is attaching or detaching it",
                w->name);
  else if (w->n > 1)
    complain_usage("%s: %u files are attached that had this name; say which by "
                   "the device, which vhdkit attach --list shows", w->name,
                   w->n);
  return w->busy > 0 || w->n > 1 ? -1 : 0;
}

/* The folder of a name, and its last part behind. */
static char *
absolute_once(const char *name)
{
  const char *slash = strrchr(name, '/');
  char *folder = slash ? strndup(name, (size_t)(slash - name) + 1)
                       : strdup(".");
  char *real = folder ? realpath(folder, NULL) : NULL;
  char *path = NULL;

  if (real && asprintf(&path, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
                       slash ? slash + 1 : name) < 0)
    path = NULL;
  free(folder);
  free(real);
  return path;
}

/* What a link says, as seen from where it lies; NULL where it is none. */
static char *
follow(const char *link)
{
  char target[PATH_MAX], *path = NULL;
  const ssize_t n = readlink(link, target, sizeof target - 1);

  if (n <= 0)
    return NULL;
  target[n] = '\0';
  if (target[0] == '/')
    return strdup(target);
  return asprintf(&path, "%.*s/%s", (int)(strrchr(link, '/') - link), link,
                  target) < 0
           ? NULL
           : path;
}

/* The absolute form of a name whose last part may be gone, or be a dead mount:
 * nothing is asked of that.  Slashes at its end, as a shell puts there, say
 * nothing; and of links the last one counts. */
static char *
absolute(const char *name)
{
  char *path = NULL, *next = strdup(name);

  for (int i = 0; next && i < LINKS_MOST; i++) {
    for (size_t n = strlen(next); n > 1 && next[n - 1] == '/'; n--)
      next[n - 1] = '\0';
    free(path);
    path = absolute_once(next);
    free(next);
    next = path ? follow(path) : NULL;
  }
  free(next);
  return path;
}

int
folder_take(const struct folder *folder, const char *name,
            struct entry *entry, struct attachment *a)
{
  struct wanted w = { .name = name, .path = absolute(name), .entry = entry,
                      .a = a };

  int r = take_by(folder, &w, BY_DEVICE);
  /* Not before: to ask for the file may be to ask a server that hangs. */
  if (r == 0 && stat(name, &w.st) == 0)
    r = take_by(folder, &w, BY_FILE);
  if (r == 0)
    r = take_by(folder, &w, BY_IMAGE);
  if (r == 0)
    complain_as(EXIT_NOT_FOUND, "%s: is not attached; vhdkit attach --list "
                "shows what is", name);
  free(w.path);
  return r == 1 ? 0 : -1;
}

/* ------------------------------------------------------------------ listing */

struct listing {
  const struct folder *folder;
  void (*seen)(void *opaque, const struct entry *entry,
               const struct attachment *a, bool busy);
  void *opaque;
};

/* Has somebody the lock?  To find out is to have it for a moment.  Nobody is to
 * take that for a holder's: they all have the folder's own while they look. */
static bool
is_held(const struct folder *folder, const struct entry *entry)
{
  const bool alone = lock_folder(folder) == 0;
  const bool held = is_busy(entry);

  if (!held)
    flock(entry->fd, LOCK_UN);
  if (alone)
    unlock_folder(folder);
  return held;
}

static bool
show(void *opaque, struct entry *entry, int record, struct attachment *a)
{
  struct listing *l = opaque;
  bool busy = is_held(l->folder, entry);

  if (record == 0)
    l->seen(l->opaque, entry, a, busy);
  else if (record != -ENOENT)
    complain("warning: %s/record is none of vhdkit's, and is passed over",
             entry->path);
  return false;
}

void
folder_list(const struct folder *folder,
            void (*seen)(void *opaque, const struct entry *entry,
                         const struct attachment *a, bool busy),
            void *opaque)
{
  struct listing l = { folder, seen, opaque };

  visit_entries(folder, show, &l);
}

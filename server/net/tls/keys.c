/* SPDX-License-Identifier: BSD-2-Clause */
/* keys.c: the files of certificates and keys; see keys.h. */
#include "config.h"

#include "net/tls/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

static const char *const names[KEY_PSK] = KEYS_NAMES;

int
keys_source_init(struct keys_source *source, const char *certificates,
                 const char *psk)
{
  for (int i = 0; certificates != NULL && i < KEY_PSK; i++) {
    if (asprintf(&source->paths[i], "%s/%s", certificates, names[i]) < 0) {
      source->paths[i] = NULL;
      return -ENOMEM;
    }
  }
  if (psk) {
    source->paths[KEY_PSK] = strdup(psk);
    return source->paths[KEY_PSK] ? 0 : -ENOMEM;
  }
  return 0;
}

void
keys_source_clear(struct keys_source *source)
{
  for (int i = 0; i < KEY_FILES; i++) {
    free(source->paths[i]);
    source->paths[i] = NULL;
  }
}

/* ------------------------------------------------------------------ changes */

static bool
is_same(const struct key_stamp *a, const struct key_stamp *b)
{
  return a->error == b->error && a->dev == b->dev && a->ino == b->ino &&
         a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
         a->mtime.tv_nsec == b->mtime.tv_nsec &&
         a->ctime.tv_sec == b->ctime.tv_sec &&
         a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static bool
is_missing(int error)
{
  return error == ENOENT || error == ENOTDIR;
}

/* What cannot be looked at is another thing than what could be: to read it
 * again then fails, and that is said. */
static struct key_stamp
look(const struct keys_source *source, const char *path)
{
  struct stat st;
  int error = stat(path, &st) == 0 ? 0 : errno;

  if (error != 0 && !is_missing(error) && source->look)
    error = -source->look(source->opaque, path, &st);
  if (error != 0)
    return (struct key_stamp){ .error = is_missing(error) ? ENOENT : error };
  return (struct key_stamp){ 0,          st.st_dev,  st.st_ino,
                             st.st_size, st.st_mtim, st.st_ctim };
}

bool
keys_have_changed(struct keys_source *source)
{
  bool changed = false;

  for (int i = 0; i < KEY_FILES; i++) {
    struct key_stamp now = source->stamps[i];
    if (source->paths[i])
      now = look(source, source->paths[i]);
    changed |= !is_same(&now, &source->stamps[i]);
    source->stamps[i] = now;
  }
  return changed;
}

void
keys_warn_of_readers(const struct keys_source *source)
{
  static const char *const what[KEY_FILES] = {
    [KEY_PRIVATE] = "this private key",
    [KEY_PSK] = "these keys",
  };
  struct stat st;

  for (int i = 0; i < KEY_FILES; i++) {
    const char *path = source->paths[i];
    if (what[i] && path && stat(path, &st) == 0 &&
        (st.st_mode & S_IRWXO) != 0) {
      log_warning("%s: everybody can read %s; chmod o= %s", path, what[i],
                  path);
    }
  }
}

/* ------------------------------------------------------------------ reading */

static bool
is_optional(const struct keys_source *source, int i)
{
  return i == KEY_CRL || (i == KEY_CA && !source->verify_peer);
}

static bool
is_used(const struct keys_source *source, int i)
{
  return source->paths[i] != NULL && (i != KEY_CRL || source->verify_peer);
}

static int
read_one(const struct keys_source *source, int i, struct key_bytes *bytes,
         struct vhd_error *err)
{
  bytes->path = source->paths[i];
  int r =
    source->read(source->opaque, bytes->path, &bytes->data, &bytes->len, err);
  if (r < 0) {
    bytes->data = NULL;
    return r == -ENOENT && is_optional(source, i) ? 0 : r;
  }
  if (!bytes->data) { /* an empty file is one all the same */
    bytes->data = calloc(1, 1);
    bytes->len = 0;
  }
  if (!bytes->data)
    return fail_system(err, ENOMEM, "TLS: cannot read %s", bytes->path);
  if (bytes->len > KEYS_MAX_BYTES)
    return fail_system(err, EFBIG, "TLS: cannot read %s", bytes->path);
  return 0;
}

int
keys_read(const struct keys_source *source, struct keys *keys,
          struct vhd_error *err)
{
  *keys = (struct keys){ .verify_peer = source->verify_peer };
  for (int i = 0; i < KEY_FILES; i++) {
    int r = is_used(source, i) ? read_one(source, i, &keys->files[i], err) : 0;
    if (r < 0) {
      keys_clear(keys);
      return r;
    }
  }
  return 0;
}

void
keys_clear(struct keys *keys)
{
  for (int i = 0; i < KEY_FILES; i++) {
    struct key_bytes *bytes = &keys->files[i];
    if (bytes->data) {
      explicit_bzero(bytes->data, bytes->len);
      free(bytes->data);
    }
    *bytes = (struct key_bytes){ .path = NULL };
  }
}

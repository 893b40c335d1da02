/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From options to the paths that stay accessible; see sandbox_paths.h.
 *
 * Rights go to folders rather than to files, for files are replaced under
 * their names: images, certificates, keys.
 */
#include "config.h"

#include "keeper/sandbox_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "keeper/sandbox.h"
#include "keeper/seccomp.h"
#include "net/tls/keys.h"

static int
allow_images(struct sandbox *sandbox, const struct options *opt)
{
  enum sandbox_access access = opt->readonly ? SANDBOX_READ : SANDBOX_WRITE;
  struct stat st;
  int r = 0;

  for (size_t i = 0; r == 0 && i < opt->nexports; i++) {
    const char *path = opt->exports[i].path;
    bool directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    r = directory ? sandbox_allow(sandbox, path, access)
                  : sandbox_allow_folder(sandbox, path, access);
  }
  for (size_t i = 0; r == 0 && i < opt->roots.n; i++) {
    r = sandbox_allow(sandbox, opt->roots.items[i], SANDBOX_READ);
  }
  return r;
}

/* The user after whom a folder for journals is called; -1: nobody. */
static long
named_user(const char *folder)
{
  unsigned uid;
  int n = 0;

  if (sscanf(folder, "/dev/shm/vhdkit-%u%n", &uid, &n) == 1 &&
      folder[n] == '\0') {
    return uid;
  }
  n = 0;
  return sscanf(folder, "/run/user/%u/vhdkit%n", &uid, &n) == 1 && n > 0 &&
             folder[n] == '\0'
           ? (long) uid
           : -1;
}

/* Everybody may make names in /dev/shm. */
static bool
is_journal_place(int fd, const char *folder)
{
  struct stat st;
  struct statfs fs;

  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && fstatfs(fd, &fs) == 0 &&
         (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
         (st.st_uid == 0 || st.st_uid == geteuid() ||
          (long) st.st_uid == named_user(folder));
}

/* Only the administrator's own setting may be a link. */
static int
allow_journal_place(void *opaque, const char *folder)
{
  const char *set = getenv("VHDKIT_JOURNAL_DIR");
  bool link = set != NULL && strcmp(set, folder) == 0;

  int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC |
                          (link ? 0 : O_NOFOLLOW));
  if (fd < 0) {
    return 0;
  }
  if (is_journal_place(fd, folder)) {
    return sandbox_allow_open(opaque, fd, folder, SANDBOX_OWN);
  }
  close(fd);
  return 0;
}

/* The library could not make a folder for its journals once confined. */
static int
allow_journals(struct sandbox *sandbox, const struct options *opt)
{
  return vhd_journal_places(!opt->readonly, allow_journal_place, sandbox);
}

/* A file of keys and its folder, and, where it is a link, the folder that it
 * leads to, which is where the next one will be (certbot's are such links);
 * but never, for a link's sake, the whole file system. */
static int
allow_key(struct sandbox *sandbox, const char *path)
{
  char *real = realpath(path, NULL);
  bool below_root = real != NULL && strrchr(real, '/') == real;

  int r = below_root ? sandbox_allow(sandbox, real, SANDBOX_READ)
                     : sandbox_allow_folder(sandbox, path, SANDBOX_READ);
  free(real);
  return r;
}

static int
allow_keys(struct sandbox *sandbox, const struct options *opt)
{
  static const char *const names[] = KEYS_NAMES;
  int r = 0;

  if (opt->tls_certificates != NULL) {
    r = sandbox_allow(sandbox, opt->tls_certificates, SANDBOX_READ);
  }
  for (size_t i = 0; r == 0 && opt->tls_certificates != NULL &&
                     i < sizeof names / sizeof *names;
       i++) {
    char *path;
    if (asprintf(&path, "%s/%s", opt->tls_certificates, names[i]) < 0) {
      return -ENOMEM;
    }
    r = allow_key(sandbox, path);
    free(path);
  }
  if (r == 0 && opt->tls_psk != NULL) {
    r = allow_key(sandbox, opt->tls_psk);
  }
  return r;
}

int
confine(const struct options *opt, struct vhd_error *err)
{
  const struct sandbox_options locks = {
    .landlock = !opt->no_landlock,
    .filter = !opt->no_seccomp,
  };

  if (opt->no_sandbox) {
    return 0;
  }
  struct sandbox *sandbox = sandbox_new();
  if (sandbox == NULL || allow_images(sandbox, opt) < 0 ||
      allow_journals(sandbox, opt) < 0 || allow_keys(sandbox, opt) < 0) {
    sandbox_free(sandbox);
    return fail_system(err, ENOMEM, "cannot set up the sandbox");
  }
  int r = sandbox_enter(sandbox, &locks, err);
  sandbox_free(sandbox);
  return r;
}

void
confine_threads(const struct options *opt)
{
  struct vhd_error why;

  /* Where there is no filter at all, confine() has said so. */
  if (!opt->no_sandbox && !opt->no_seccomp &&
      filter_forbid_rings(&why) < 0) {
    log_debug("new rings of io_uring are not forbidden: %s", why.message);
  }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sandbox.c: the sandbox: collects paths, then locks up in an order in which
 * each lock still permits setting the next: no new privileges (which the others
 * need), landlock, the filter. */
#include "config.h"

#include "keeper/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "keeper/landlock.h"
#include "keeper/sanitized.h"
#include "keeper/seccomp.h"

struct entry {
  char *path;
  unsigned access; /* enum landlock_access */
  int fd;          /* what path stands for, or -1 */
};

struct sandbox {
  struct entry *entries;
  size_t n;
};

/* What is needed whatever is served: nothing, but for what sanitizers read
 * late. */
static const struct {
  const char *path;
  enum sandbox_access access;
} builtin[] = {
#ifdef SANITIZED
  { "/proc", SANDBOX_READ },
  { "/sys/devices/system", SANDBOX_READ },
  { "/lib", SANDBOX_READ },
  { "/lib64", SANDBOX_READ },
  { "/usr/lib", SANDBOX_READ },
  { "/usr/lib64", SANDBOX_READ },
  { "/usr/local/lib", SANDBOX_READ },
  { "/etc/ld.so.cache", SANDBOX_READ },
  { "/dev/null", SANDBOX_WRITE },
#endif
  { NULL, SANDBOX_READ },
};

static const unsigned access_rights[] = {
  [SANDBOX_READ] = LANDLOCK_READ,
  [SANDBOX_WRITE] = LANDLOCK_READ | LANDLOCK_WRITE,
  [SANDBOX_OWN] = LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_CREATE,
  [SANDBOX_REMOVE] = LANDLOCK_REMOVE,
};

struct sandbox *
sandbox_new(void)
{
  struct sandbox *sandbox = calloc(1, sizeof *sandbox);

  for (size_t i = 0; sandbox != NULL && builtin[i].path != NULL; i++) {
    if (sandbox_allow(sandbox, builtin[i].path, builtin[i].access) < 0) {
      sandbox_free(sandbox);
      return NULL;
    }
  }
  return sandbox;
}

/* Takes path over. */
static int
add_entry(struct sandbox *sandbox, char *path, enum sandbox_access access)
{
  struct entry *entries =
    path != NULL
      ? reallocarray(sandbox->entries, sandbox->n + 1, sizeof *entries)
      : NULL;
  if (!entries) {
    free(path);
    return -ENOMEM;
  }
  sandbox->entries = entries;
  entries[sandbox->n++] = (struct entry){ path, access_rights[access], -1 };
  return 0;
}

int
sandbox_allow(struct sandbox *sandbox, const char *path,
              enum sandbox_access access)
{
  /* Landlock looks at files, not at names: opening the rule's path follows
   * links by itself. */
  return add_entry(sandbox, strdup(path), access);
}

int
sandbox_allow_open(struct sandbox *sandbox, int fd, const char *path,
                   enum sandbox_access access)
{
  int r = add_entry(sandbox, strdup(path), access);

  if (r < 0)
    close(fd);
  else
    sandbox->entries[sandbox->n - 1].fd = fd;
  return r;
}

static char *
folder_of(const char *path)
{
  const char *slash = strrchr(path, '/');
  return !slash          ? strdup(".")
         : slash == path ? strdup("/")
                         : strndup(path, (size_t)(slash - path));
}

int
sandbox_allow_folder(struct sandbox *sandbox, const char *path,
                     enum sandbox_access access)
{
  int r = add_entry(sandbox, folder_of(path), access);

  /* The file may be a link into another folder. */
  char *real = r == 0 ? realpath(path, NULL) : NULL;
  if (real) {
    r = add_entry(sandbox, folder_of(real), access);
    free(real);
  }
  return r;
}

/* A sanitizer that reports something reads the names of functions out of the
 * program and, in a build tree, out of the library beside it. */
static void
allow_sanitizer(int ruleset)
{
#ifdef SANITIZED
  char *program = realpath("/proc/self/exe", NULL);
  char *folder = program ? folder_of(program) : NULL;
  char *library = NULL;

  if (folder && asprintf(&library, "%s/../../lib", folder) >= 0) {
    landlock_allow(ruleset, folder, LANDLOCK_READ, NULL);
    landlock_allow(ruleset, library, LANDLOCK_READ, NULL);
    free(library);
  }
  free(folder);
  free(program);
#else
  (void)ruleset;
#endif
}

static int
enter_landlock(const struct sandbox *sandbox, struct vhd_error *err)
{
  int ruleset = landlock_new();
  if (ruleset < 0) {
    log_notice("going on without landlock: %s", ruleset == -EOPNOTSUPP
                                                  ? "this kernel has none"
                                                  : strerror(-ruleset));
    return 0;
  }
  for (size_t i = 0; i < sandbox->n; i++) {
    const struct entry *e = &sandbox->entries[i];
    int r = e->fd < 0
              ? landlock_allow(ruleset, e->path, e->access, err)
              : landlock_allow_open(ruleset, e->fd, e->path, e->access, err);
    if (r < 0) {
      landlock_close(ruleset);
      return r;
    }
  }
  allow_sanitizer(ruleset);
  return landlock_enter(ruleset, err);
}

int
sandbox_enter(struct sandbox *sandbox, const struct sandbox_options *opt,
              struct vhd_error *err)
{
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return fail_system(err, errno, "cannot give up new privileges");
  int r = opt->landlock ? enter_landlock(sandbox, err) : 0;
  if (r == 0 && opt->filter) {
    struct vhd_error why;
    if (filter_enter(&why) < 0)
      log_notice("going on without a system call filter: %s", why.message);
  }
  return r;
}

void
sandbox_free(struct sandbox *sandbox)
{
  if (sandbox) {
    for (size_t i = 0; i < sandbox->n; i++) {
      free(sandbox->entries[i].path);
      if (sandbox->entries[i].fd >= 0)
        close(sandbox->entries[i].fd);
    }
    free(sandbox->entries);
    free(sandbox);
  }
}

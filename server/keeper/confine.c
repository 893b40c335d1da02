/* SPDX-License-Identifier: BSD-2-Clause */
/* confine.c: see confine.h.  Locks are set in an order in which each still
 * permits the next: no new privileges, which the others need, comes first. */
#include "config.h"

#include "keeper/confine.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "keeper/capabilities.h"
#include "keeper/landlock.h"
#include "keeper/sanitized.h"
#include "keeper/seccomp.h"

#ifdef SANITIZED
/* A sanitizer reads late, and the names of functions that it reports out of
 * the program and, in a build tree, out of the library beside it. */
static int
allow_sanitizer(int ruleset, struct vhd_error *err)
{
  static const char *const system[] = {
    "/proc",     "/sys/devices/system", "/lib",           "/lib64",
    "/usr/lib",  "/usr/lib64",          "/usr/local/lib", "/etc/ld.so.cache",
    "/dev/null",
  };
  char *program = realpath("/proc/self/exe", NULL);
  char *slash = program ? strrchr(program, '/') : NULL;
  char *library = NULL;
  int r = 0;

  for (size_t i = 0; r == 0 && i < sizeof system / sizeof *system; i++)
    r = landlock_allow(ruleset, system[i], LANDLOCK_WRITE, err);
  if (r == 0 && slash) {
    *slash = '\0';
    r = landlock_allow(ruleset, program, LANDLOCK_WRITE, err);
    if (r == 0 && asprintf(&library, "%s/../../lib", program) >= 0)
      r = landlock_allow(ruleset, library, LANDLOCK_WRITE, err);
  }
  free(library);
  free(program);
  return r;
}
#endif

static int
allow_all(int ruleset, const struct confine_place *places, size_t n,
          struct vhd_error *err)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < n; i++)
    r = landlock_allow(ruleset, places[i].path, places[i].right, err);
  return r;
}

/* No file, folder or foreign process is accessible any more but for these. */
static int
enter_landlock(const struct confine_place *places, size_t n,
               struct vhd_error *err)
{
  int ruleset = landlock_new();
  if (ruleset < 0) {
    log_notice("going on without landlock: %s", ruleset == -EOPNOTSUPP
                                                  ? "this kernel has none"
                                                  : strerror(-ruleset));
    return 0;
  }
  int r = allow_all(ruleset, places, n, err);
#ifdef SANITIZED
  if (r == 0)
    r = allow_sanitizer(ruleset, err);
#endif
  if (r < 0) {
    landlock_close(ruleset);
    return r;
  }
  return landlock_enter(ruleset, err);
}

static int
forgo_privileges(enum capabilities which, struct vhd_error *err)
{
  struct vhd_error why;

  if (capabilities_keep(which, &why) < 0)
    log_notice("going on with capabilities: %s", why.message);
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
           ? fail_system(err, errno, "cannot give up new privileges")
           : 0;
}

int
confine_keeper(const struct options *opt, struct vhd_error *err)
{
  struct vhd_error why;

  if (opt->no_sandbox)
    return 0;
  int r = forgo_privileges(CAPABILITIES_KEEPER, err);
#ifndef SANITIZED
  if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    r = fail_system(err, errno, "cannot hide from other processes");
#endif
  if (r == 0 && !opt->no_seccomp && filter_enter_keeper(&why) < 0)
    log_debug("the keeper without a filter: %s", why.message);
  return r;
}

int
confine_worker(const struct options *opt, struct vhd_error *err)
{
  struct vhd_error why;

  if (opt->no_sandbox)
    return 0;
  int r = forgo_privileges(CAPABILITIES_WORKER, err);
  if (r == 0 && !opt->no_landlock)
    r = enter_landlock(NULL, 0, err);
  if (r < 0 || opt->no_seccomp)
    return r;
  if (filter_enter(&why) < 0)
    log_notice("going on without a system call filter: %s", why.message);
  else if (filter_forbid_opening(&why) < 0)
    log_notice("opening is not forbidden: %s", why.message);
  return 0;
}

int
confine_helper(const struct options *opt, struct vhd_error *err)
{
  struct vhd_error why;

  if (opt->no_sandbox)
    return 0;
  int r = forgo_privileges(CAPABILITIES_HELPER, err);
  if (r == 0 && !opt->no_seccomp &&
      (filter_enter(&why) < 0 || filter_forbid_rings(&why) < 0))
    log_debug("a helper without a filter: %s", why.message);
  return r;
}

/* ------------------------------------------------------- who changes disks */

/* What the library reads besides, to know whether a journal is of this boot and
 * mounting, and whether a loop device has the file. */
static const struct confine_place facts[] = {
  { "/proc", LANDLOCK_READ },
  { "/sys/devices/virtual/block", LANDLOCK_READ },
};

#define N(array) (sizeof(array) / sizeof *(array))
#define MAX_JOURNALS 64

struct places {
  struct confine_place *all;
  size_t n, room;
};

static int
add_journals(void *opaque, const char *folder)
{
  struct places *places = opaque;
  char *path = places->n < places->room ? strdup(folder) : NULL;

  if (path)
    places->all[places->n++] = (struct confine_place){ path, LANDLOCK_CHANGE };
  return 0;
}

static int
enter_landlock_for_disks(const struct confine_place *places, size_t n,
                         struct vhd_error *err)
{
  struct places all = { .room = n + N(facts) + MAX_JOURNALS };

  all.all = calloc(all.room, sizeof *all.all);
  if (!all.all)
    return fail_system(err, ENOMEM, "cannot confine a helper");
  for (size_t i = 0; i < n; i++)
    all.all[all.n++] = places[i];
  for (size_t i = 0; i < N(facts); i++)
    all.all[all.n++] = facts[i];
  const size_t own = all.n;
  vhd_journal_places(true, add_journals, &all);
  const int r = enter_landlock(all.all, all.n, err);
  while (all.n > own)
    free((void *)(uintptr_t)all.all[--all.n].path);
  free(all.all);
  return r;
}

int
confine_disks(const struct options *opt, const struct confine_place *places,
              size_t n, struct vhd_error *err)
{
  struct vhd_error why;

  if (opt->no_sandbox)
    return 0;
  int r = forgo_privileges(CAPABILITIES_HELPER, err);
  if (r == 0 && !opt->no_landlock)
    r = enter_landlock_for_disks(places, n, err);
  if (r == 0 && !opt->no_seccomp &&
      (filter_enter_disks(&why) < 0 || filter_forbid_rings(&why) < 0))
    log_debug("a helper without a filter: %s", why.message);
  return r;
}

/* The folder in which an image lies, or which has images; the caller's to
 * free.  NULL where there is none. */
static char *
folder_of(const char *path)
{
  char *real = realpath(path, NULL);
  struct stat st;

  if (!real || (stat(real, &st) == 0 && S_ISDIR(st.st_mode)))
    return real;
  char *slash = strrchr(real, '/');
  if (slash)
    slash[slash == real] = '\0';
  return real;
}

int
confine_changes(const struct options *opt, struct vhd_error *err)
{
  const size_t room = opt->nexports + opt->roots.n;
  struct confine_place *places = calloc(room + 1, sizeof *places);
  size_t n = 0;

  if (!places)
    return fail_system(err, ENOMEM, "cannot confine a helper");
  for (size_t i = 0; i < opt->nexports; i++) {
    places[n] = (struct confine_place){ folder_of(opt->exports[i].path),
                                        LANDLOCK_CHANGE };
    n += places[n].path != NULL;
  }
  const size_t own = n;
  for (size_t i = 0; i < opt->roots.n; i++)
    places[n++] = (struct confine_place){ opt->roots.items[i], LANDLOCK_READ };
  const int r = confine_disks(opt, places, n, err);
  for (size_t i = 0; i < own; i++)
    free((void *)(uintptr_t)places[i].path);
  free(places);
  return r;
}

int
confine_orders(const struct options *opt, struct vhd_error *err)
{
  struct confine_place *places = calloc(opt->roots.n + 2, sizeof *places);
  size_t n = 0;

  if (!places)
    return fail_system(err, ENOMEM, "cannot confine a helper");
  places[n++] =
    (struct confine_place){ opt->provision.disks, LANDLOCK_CHANGE };
  places[n++] =
    (struct confine_place){ opt->provision.children, LANDLOCK_CHANGE };
  for (size_t i = 0; i < opt->roots.n; i++)
    places[n++] = (struct confine_place){ opt->roots.items[i], LANDLOCK_READ };
  const int r = confine_disks(opt, places, n, err);
  free(places);
  return r;
}

void
confine_worker_threads(const struct options *opt)
{
  struct vhd_error why;

  /* Where there is no filter at all, confine_worker() has said so. */
  if (!opt->no_sandbox && !opt->no_seccomp && filter_forbid_rings(&why) < 0)
    log_debug("new rings of io_uring are not forbidden: %s", why.message);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sandbox_paths.c: from options to the sandbox; see sandbox_paths.h.  No path
 * stays accessible: helpers open images, folders, journals and keys
 * (broker/broker.h). */
#include "config.h"

#include "keeper/sandbox_paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "base/log.h"
#include "keeper/sandbox.h"
#include "keeper/seccomp.h"

int
confine(const struct options *opt, struct vhd_error *err)
{
  const struct sandbox_options locks = {
    .landlock = !opt->no_landlock,
    .filter = !opt->no_seccomp,
  };

  if (opt->no_sandbox)
    return 0;
  struct sandbox *sandbox = sandbox_new();
  if (!sandbox)
    return fail_system(err, ENOMEM, "cannot set up the sandbox");
  int r = sandbox_enter(sandbox, &locks, err);
  sandbox_free(sandbox);
  struct vhd_error why;
  if (r == 0 && locks.filter && filter_forbid_opening(&why) < 0)
    log_debug("opening is not forbidden: %s", why.message);
  return r;
}

int
confine_helper(const struct options *opt, struct vhd_error *err)
{
  struct vhd_error why;

  if (opt->no_sandbox)
    return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return fail_system(err, errno, "cannot give up new privileges");
  if (!opt->no_seccomp && filter_enter(&why) < 0)
    log_debug("a helper without a filter: %s", why.message);
  return 0;
}

void
confine_threads(const struct options *opt)
{
  struct vhd_error why;

  /* Where there is no filter at all, confine() has said so. */
  if (!opt->no_sandbox && !opt->no_seccomp && filter_forbid_rings(&why) < 0)
    log_debug("new rings of io_uring are not forbidden: %s", why.message);
}

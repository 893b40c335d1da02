/* SPDX-License-Identifier: BSD-2-Clause */
/* descriptors.c: see descriptors.h. */
#include "config.h"

#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "vhdkit.h"

/* Beside the files of an image's chain: the journal's, its folder, a folder
 * that is searched, and what others open meanwhile (keys, a list). */
#define SPARE 16
#define LONG_RUN 1024

static int limit = INT_MAX; /* constant after the start */
static atomic_int used; /* by images and clients; later by the server itself */

void
descriptors_raise(void)
{
  struct rlimit now;

  if (getrlimit(RLIMIT_NOFILE, &now) < 0)
    return;
  if (now.rlim_cur < now.rlim_max) {
    const struct rlimit raised = { now.rlim_max, now.rlim_max };
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
      now = raised;
  }
  limit = now.rlim_cur < INT_MAX ? (int)now.rlim_cur : INT_MAX;
}

/* The lowest that is free is given out first, so a long run of free ones is the
 * end. */
void
descriptors_settle(void)
{
  int n = 0;

  for (int fd = 0, unused = 0; fd < limit && unused < LONG_RUN; fd++) {
    const bool is_open = fcntl(fd, F_GETFD) >= 0;
    n += is_open;
    unused = is_open ? 0 : unused + 1;
  }
  atomic_store(&used, n);
}

/* Where there are few, images must do with a quarter of them. */
static int
reserve(void)
{
  const int image = VHD_MAX_DEPTH + 1 + SPARE;

  return limit / 4 < image ? limit / 4 : image;
}

unsigned
descriptors_limit(void)
{
  return (unsigned)limit;
}

unsigned
descriptors_used(void)
{
  const int n = atomic_load(&used);

  return n > 0 ? (unsigned)n : 0;
}

unsigned
descriptors_for_clients(void)
{
  const int n = limit - reserve() - atomic_load(&used);

  return n > 0 ? (unsigned)n : 0;
}

bool
descriptors_take_client(void)
{
  if (atomic_fetch_add(&used, 1) < limit - reserve())
    return true;
  atomic_fetch_sub(&used, 1);
  return false;
}

void
descriptors_drop_client(void)
{
  atomic_fetch_sub(&used, 1);
}

void
descriptors_take_image(unsigned files)
{
  atomic_fetch_add(&used, (int)files);
}

void
descriptors_drop_image(unsigned files)
{
  atomic_fetch_sub(&used, (int)files);
}

const char *
descriptors_explain(int error)
{
  switch (error) {
  case -EMFILE:
    return "all file descriptors that this process may have are in use; raise "
           "its limit (ulimit -n, LimitNOFILE=)";
  case -ENFILE:
    return "all file descriptors that this system has are in use; raise its "
           "limit (sysctl fs.file-max)";
  default:
    return NULL;
  }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* changes.c: see changes.h. */
#include "config.h"

#include "keeper/broker/changes.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "config/command_line.h"
#include "keeper/broker/policy.h"
#include "vhdkit.h"

#define SUFFIX ".vhd"
#define LOOK_MSEC 10000
#define CHANGE_MSEC 5000

/* One change. */
struct change {
  const struct broker_request *request;
  struct vhd_open_options open;
  char path[PATH_MAX];
  char beside[PATH_MAX]; /* the new file */
  uint64_t until;        /* when a compaction is to end */
  uint64_t worked;       /* since when a conversion works */
};

static bool
is_plain_name(const char *name)
{
  const size_t n = strlen(name), suffix = strlen(SUFFIX);

  return n > suffix && name[0] != '.' && !strchr(name, '/') &&
         strcasecmp(name + n - suffix, SUFFIX) == 0;
}

/* The name of the new file, in the image's own folder. */
static int
name_beside(struct change *c, struct vhd_error *err)
{
  const char *name = c->request->to;
  const char *slash = strrchr(c->path, '/');

  if (!is_plain_name(name))
    return fail_argument(err,
                         "'%s' is no name for an image here: one without "
                         "a folder that ends in " SUFFIX " is wanted",
                         name);
  const int n = snprintf(c->beside, sizeof c->beside, "%.*s/%s",
                         slash ? (int)(slash - c->path) : 0, c->path, name);
  return n < (int)sizeof c->beside
           ? 0
           : fail_system(err, ENAMETOOLONG, "%s", name);
}

/* ------------------------------------------------------------------ changes */

/* Nobody cares which there are. */
static int
pass_over(void *opaque, const char *path)
{
  (void)opaque;
  (void)path;
  return 0;
}

static int
look(struct change *c, struct vhd_error *err)
{
  struct vhd_open_options open = c->open;
  struct vhd_image *image;

  open.flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT;
  const int r = vhd_open(c->path, &open, &image, err);
  if (r < 0)
    return r;
  vhd_find_children(image, NULL, UINT_MAX, pass_over, NULL);
  vhd_close(image, NULL);
  return 0;
}

static struct vhd_chain_options
chain_options(const struct change *c)
{
  return (struct vhd_chain_options){ .open = c->open };
}

static int
snapshot(struct change *c, struct vhd_error *err)
{
  const struct vhd_chain_options opt = chain_options(c);
  const int r = name_beside(c, err);

  return r < 0 ? r : vhd_snapshot(c->path, c->beside, &opt, err);
}

static int
resize(struct change *c, struct vhd_error *err)
{
  const struct vhd_resize_options opt = { .open = c->open };

  return vhd_resize(c->path, c->request->size, &opt, err);
}

static int
is_late(void *opaque, uint64_t done, uint64_t total)
{
  const struct change *c = opaque;

  (void)done;
  (void)total;
  return clock_ns() >= c->until ? -ETIME : 0;
}

/* What there is no time for is left to another call. */
static int
compact(struct change *c, struct vhd_error *err)
{
  const struct vhd_compact_options opt = {
    .open = c->open,
    .progress = { .report = is_late, .opaque = c },
  };

  c->until = clock_ns() + c->request->msec * UINT64_C(1000000);
  const int r = vhd_compact(c->path, &opt, NULL, err);
  return r == -ETIME ? 0 : r;
}

/* Clients use the disk meanwhile: rests as long as it has worked. */
static int
rest(void *opaque, uint64_t done, uint64_t total)
{
  struct change *c = opaque;
  const uint64_t ns = clock_ns() - c->worked;
  const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
                              .tv_nsec = (long)(ns % 1000000000) };

  (void)done;
  (void)total;
  nanosleep(&t, NULL);
  c->worked = clock_ns();
  return 0;
}

/* Where the image's parent lies, and how large its blocks are. */
static int
find_parent(struct change *c, char *parent, uint32_t *block_size,
            struct vhd_error *err)
{
  struct vhd_open_options open = c->open;
  struct vhd_image *image;
  struct vhd_info info;

  open.flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED;
  int r = vhd_open(c->path, &open, &image, err);
  if (r < 0)
    return r;
  if (!vhd_parent(image)) {
    r = fail_argument(err, "%s: it stands on no other image", c->path);
  } else {
    vhd_get_info(vhd_parent(image), &info);
    *block_size = info.block_size;
    if (snprintf(parent, PATH_MAX, "%s", info.path) >= PATH_MAX)
      r = fail_system(err, ENAMETOOLONG, "%s", info.path);
  }
  vhd_close(image, NULL);
  return r;
}

static int
flatten(struct change *c, struct vhd_error *err)
{
  struct vhd_convert_options opt = {
    .open = c->open,
    .type = VHD_DYNAMIC,
    .progress = { .report = rest, .opaque = c },
  };
  char parent[PATH_MAX];
  int r = name_beside(c, err);

  if (r == 0)
    r = find_parent(c, parent, &opt.block_size, err);
  c->worked = clock_ns();
  return r < 0 ? r : vhd_convert(parent, c->beside, &opt, err);
}

static int
rebase(struct change *c, struct vhd_error *err)
{
  struct vhd_chain_options opt = chain_options(c);
  const int r = name_beside(c, err);

  opt.flags = VHD_REBASE_UNCHECKED;
  return r < 0 ? r : vhd_rebase(c->path, c->beside, &opt, err);
}

/* ------------------------------------------------------------------- public */

static int
carry_out(struct change *c, struct vhd_error *err)
{
  switch ((enum broker_op)c->request->op) {
  case BROKER_LOOK:
    return look(c, err);
  case BROKER_SNAPSHOT:
    return snapshot(c, err);
  case BROKER_RESIZE:
    return resize(c, err);
  case BROKER_COMPACT:
    return compact(c, err);
  case BROKER_FLATTEN:
    return flatten(c, err);
  case BROKER_REBASE:
    return rebase(c, err);
  default:
    return fail_system(err, EACCES, "%s", c->request->path);
  }
}

/* Clients wait while the image is closed, and the folder may have files of a
 * disk that hangs: who does not come to an end in time is killed by it. */
static void
limit_time(const struct broker_request *request)
{
  const unsigned msec = request->op == BROKER_FLATTEN ? 0
                        : request->op == BROKER_LOOK  ? LOOK_MSEC
                        : request->op == BROKER_COMPACT
                          ? CHANGE_MSEC + request->msec
                          : CHANGE_MSEC;
  const struct itimerval time = {
    .it_value = { .tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000 },
  };
  sigset_t set;

  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  signal(SIGALRM, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  setitimer(ITIMER_REAL, &time, NULL);
}

static void
end_limit(void)
{
  setitimer(ITIMER_REAL, &(const struct itimerval){ .it_value.tv_sec = 0 },
            NULL);
}

void
changes_carry_out(struct policy *policy, const struct options *options,
                  const struct broker_request *request,
                  struct broker_answer *answer)
{
  struct vhd_error err = { .code = 0 };
  struct change c = {
    .request = request,
    .open = { .roots = options->roots.items, .nroots = options->roots.n },
  };

  limit_time(request);
  int r = policy_place(policy, request->path, c.path);
  if (r < 0)
    r = fail_system(&err, -r, "%s", request->path);
  else
    r = carry_out(&c, &err);
  end_limit();
  answer->result = r;
  answer->code = err.code;
  snprintf(answer->text, sizeof answer->text, "%s", err.message);
}

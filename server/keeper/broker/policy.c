/* SPDX-License-Identifier: BSD-2-Clause */
/* policy.c: what may be opened; see policy.h.
 *
 * A file is first opened to be looked at (O_PATH), which does nothing to
 * devices or FIFOs; then asked where it lies; then opened through that
 * descriptor.  So there is no moment between the check and the opening in which
 * a name could change hands. */
#include "config.h"

#include "keeper/broker/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/command_line.h"
#include "keeper/broker/journals.h"
#include "keeper/broker/message.h"
#include "keeper/broker/place.h"
#include "keeper/broker/policy_disks.h"
#include "net/tls/keys.h"
#include "vhdkit.h"

#define COOKIE "conectix"
#define VHDX_COOKIE "vhdxfile"
#define COOKIE_LEN 8
#define FOOTER_LEN 512

/* What is read in any case, for it tells the library whether a journal is of
 * this boot, and of this file system. */
static const char *const system_facts[] = {
  "/proc/sys/kernel/random/boot_id",
  "/proc/self/mountinfo",
};

/* And which files loop devices have: such a file is in use. */
#define DEVICES "/sys/devices/virtual/block"

/* What the certificates' folder holds. */
static const char *const key_names[] = KEYS_NAMES;

enum right {
  NONE,
  NAMES,      /* of what is in the folder */
  READ_IMAGE, /* if it is a VHD or a VHDX */
  READ,
  WRITE,
};

struct policy {
  const struct options *options;
  char cwd[PATH_MAX]; /* "": not known */
  bool found;         /* the folders below are known */
  char **beside;      /* canonical folders of the named images */
  size_t nbeside;
};

struct policy *
policy_new(const struct options *options)
{
  struct policy *policy = calloc(1, sizeof *policy);

  if (policy) {
    policy->options = options;
    if (!getcwd(policy->cwd, sizeof policy->cwd))
      policy->cwd[0] = '\0';
  }
  return policy;
}

void
policy_free(struct policy *policy)
{
  if (policy) {
    for (size_t i = 0; i < policy->nbeside; i++)
      free(policy->beside[i]);
    free(policy->beside);
    free(policy);
  }
}

static bool
confines(const struct policy *policy)
{
  return !policy->options->no_sandbox && !policy->options->no_landlock;
}

/* ------------------------------------------------------------ where it lies */

/* Opened to be looked at, links followed but for those of /proc, which lead to
 * whatever this process has open. */
static int
open_to_look(const char *path, int flags)
{
  const struct open_how how = {
    .flags = (uint64_t)(flags | O_PATH | O_CLOEXEC),
    .resolve = RESOLVE_NO_MAGICLINKS,
  };
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);

  /* Where a container's filter does not know that call. */
  if (fd < 0 && (errno == ENOSYS || errno == EPERM))
    fd = open(path, flags | O_PATH | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* The canonical folder of an image. */
static char *
folder_of(const char *path)
{
  char *real = realpath(path, NULL);
  char *slash = real ? strrchr(real, '/') : NULL;

  if (slash)
    slash[slash == real] = '\0';
  return real;
}

static int
compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each once: many images lie in few folders. */
static void
find_beside(struct policy *policy)
{
  const struct options *opt = policy->options;
  char **folders = calloc(opt->nexports + 1, sizeof *folders);
  size_t n = 0, kept = 0;

  for (size_t i = 0; folders != NULL && i < opt->nexports; i++) {
    folders[n] = folder_of(opt->exports[i].path);
    n += folders[n] != NULL;
  }
  if (n > 0)
    qsort(folders, n, sizeof *folders, compare);
  for (size_t i = 0; i < n; i++)
    if (kept > 0 && strcmp(folders[i], folders[kept - 1]) == 0)
      free(folders[i]);
    else
      folders[kept++] = folders[i];
  policy->beside = folders;
  policy->nbeside = kept;
  policy->found = true;
}

/* By the names of images that are no links, which would mean the folder where
 * they lead to. */
static bool
is_plainly_beside(const struct policy *policy, const char *place)
{
  const struct options *opt = policy->options;
  struct stat st;

  for (size_t i = 0; i < opt->nexports; i++) {
    const char *image = opt->exports[i].path;
    const char *slash = strrchr(image, '/');
    if (place_is_plainly_within(policy->cwd, place, image,
                                slash ? (size_t)(slash - image) + 1 : 0) &&
        lstat(image, &st) == 0 && S_ISREG(st.st_mode))
      return true;
  }
  return false;
}

static bool
is_beside(struct policy *policy, const char *place)
{
  if (!policy->found)
    find_beside(policy);
  for (size_t i = 0; i < policy->nbeside; i++)
    if (place_is_within(place, policy->beside[i]))
      return true;
  return false;
}

/* The whole of a server of one folder: config/resolve.c. */
static const char *
served_folder(const struct options *opt)
{
  struct stat st;

  return opt->nexports == 1 && !opt->exports[0].name && !opt->exports[0].raw &&
             stat(opt->exports[0].path, &st) == 0 && S_ISDIR(st.st_mode)
           ? opt->exports[0].path
           : NULL;
}

/* -------------------------------------------------------------- what may be */

/* An image may have several names. */
static enum right
better(const struct policy *policy, enum right right,
       const struct options_export *export)
{
  return right == WRITE || !(policy->options->readonly || export->readonly)
           ? WRITE
           : READ;
}

static enum right
right_to_named(const struct policy *policy, const char *path)
{
  const struct options *opt = policy->options;
  enum right right = NONE;

  for (size_t i = 0; i < opt->nexports; i++)
    if (strcmp(path, opt->exports[i].path) == 0)
      right = better(policy, right, &opt->exports[i]);
  return right;
}

static bool
is_called_vhd(const char *path)
{
  size_t n = strlen(path);

  return n > 4 && strcasecmp(path + n - 4, ".vhd") == 0;
}

/* By its name alone. */
static bool
is_plainly_below_root(const struct policy *policy, const char *place)
{
  const struct options_list *roots = &policy->options->roots;

  for (size_t i = 0; i < roots->n; i++)
    if (roots->items[i][0] != '\0' &&
        place_is_plainly_within(policy->cwd, place, roots->items[i],
                                strlen(roots->items[i])))
      return true;
  return false;
}

static bool
is_below_root(const struct policy *policy, const char *place)
{
  const struct options_list *roots = &policy->options->roots;

  for (size_t i = 0; i < roots->n; i++)
    if (place_is_within_named(place, roots->items[i]))
      return true;
  return false;
}

static bool
right_to_disks(const struct policy *policy, const char *place, bool look_up,
               enum right *right)
{
  static const enum right rights[] = {
    [DISKS_NONE] = NONE,
    [DISKS_NAMES] = NAMES,
    [DISKS_READ] = READ,
    [DISKS_WRITE] = WRITE,
  };
  const struct options *opt = policy->options;
  enum disks_right which;

  if (!opt->provision.disks ||
      !policy_disks(&opt->provision, policy->cwd, place, look_up, &which))
    return false;
  *right = which == DISKS_WRITE && opt->readonly ? READ : rights[which];
  return true;
}

/* What names say comes first: to look up a folder whose disk hangs would hold
 * up what lies elsewhere. */
static enum right
right_below(struct policy *policy, const char *path, const char *place)
{
  const struct options *opt = policy->options;
  const char *folder = served_folder(opt);
  enum right right;

  if (right_to_disks(policy, place, false, &right))
    return right;
  if (folder && place_is_within_named(place, folder))
    return right_to_disks(policy, place, true, &right) ? right
           : !opt->readonly && is_called_vhd(path)     ? WRITE
                                                       : READ;
  if (is_plainly_below_root(policy, place))
    return READ;
  if (!folder && is_plainly_beside(policy, place))
    return READ_IMAGE;
  if (right_to_disks(policy, place, true, &right))
    return right;
  if (is_below_root(policy, place))
    return READ;
  return !folder && is_beside(policy, place) ? READ_IMAGE : NONE;
}

static bool
is_system_fact(const char *path)
{
  for (size_t i = 0; i < sizeof system_facts / sizeof *system_facts; i++)
    if (strcmp(path, system_facts[i]) == 0)
      return true;
  return false;
}

static bool
is_loop_fact(const char *place)
{
  unsigned number;
  int end = 0;

  return sscanf(place, DEVICES "/loop%u/%n", &number, &end) == 1 && end > 0 &&
         (strcmp(place + end, "loop/backing_file") == 0 ||
          strcmp(place + end, "ro") == 0);
}

/* A companion is asked for by its canonical name. */
static enum right
right_to_named_place(const struct policy *policy, const char *place)
{
  const struct options *opt = policy->options;
  enum right right = NONE;
  char real[PATH_MAX];

  for (size_t i = 0; i < opt->nexports; i++)
    if (realpath(opt->exports[i].path, real) && strcmp(real, place) == 0)
      right = better(policy, right, &opt->exports[i]);
  return right;
}

/* Cuts the suffix off. */
static bool
is_companion(char *place)
{
  const size_t n = strlen(place), suffix = strlen(VHD_COMPANION_SUFFIX);

  if (n <= suffix || strcmp(place + n - suffix, VHD_COMPANION_SUFFIX) != 0)
    return false;
  place[n - suffix] = '\0';
  return true;
}

/* As that to the image there. */
static enum right
right_to_companion(struct policy *policy, const char *image)
{
  const enum right named = right_to_named_place(policy, image);

  if (named != NONE)
    return named;
  const enum right right = right_below(policy, image, image);
  return right == READ_IMAGE ? READ : right;
}

static enum right
right_to(struct policy *policy, const char *path, int fd)
{
  char place[PATH_MAX];

  if (!confines(policy))
    return WRITE;
  const enum right named = right_to_named(policy, path);
  if (named != NONE)
    return named;
  if (is_system_fact(path))
    return READ;
  return place_of(fd, place) < 0 ? NONE
         : is_loop_fact(place)   ? READ
         : is_companion(place)   ? right_to_companion(policy, place)
                                 : right_below(policy, path, place);
}

static bool
has_cookie_at(int fd, const char *cookie, off_t off)
{
  char buf[COOKIE_LEN];

  return off >= 0 && pread(fd, buf, sizeof buf, off) == sizeof buf &&
         memcmp(buf, cookie, sizeof buf) == 0;
}

/* As the library looks for a footer: at the end, which old programs wrote a
 * byte short, or its copy at the beginning; where a VHDX has its signature. */
static bool
is_image(int fd)
{
  struct stat st;

  return fstat(fd, &st) == 0 &&
         (has_cookie_at(fd, COOKIE, 0) || has_cookie_at(fd, VHDX_COOKIE, 0) ||
          has_cookie_at(fd, COOKIE, st.st_size - FOOTER_LEN) ||
          has_cookie_at(fd, COOKIE, st.st_size - FOOTER_LEN + 1));
}

/* ------------------------------------------------------------------ opening */

static int
open_again(int look, int flags)
{
  char own[PLACE_OWN_NAME_SIZE];

  place_own_name(look, own);
  int fd = open(own, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int
open_regular(int look, int flags)
{
  struct stat st;

  if (fstat(look, &st) < 0)
    return -errno;
  return S_ISREG(st.st_mode) ? open_again(look, flags) : -EACCES;
}

int
policy_open(struct policy *policy, const char *path, bool write)
{
  char place[PATH_MAX];
  int look = open_to_look(path, 0);

  if (look < 0)
    return look;
  const enum right right = right_to(policy, path, look);
  int fd = right >= (write ? WRITE : READ_IMAGE)
             ? open_regular(look, write ? O_RDWR : O_RDONLY)
             : -EACCES;
  close(look);
  if (fd >= 0 && right == READ_IMAGE && !is_image(fd) &&
      (place_of(fd, place) < 0 || !is_below_root(policy, place))) {
    close(fd);
    fd = -EACCES;
  }
  return fd;
}

int
policy_place(struct policy *policy, const char *path, char *place)
{
  struct stat st;
  const int look = open_to_look(path, 0);

  if (look < 0)
    return look;
  int r = fstat(look, &st) < 0 ? -errno
          : !S_ISREG(st.st_mode) || right_to(policy, path, look) != WRITE
            ? -EACCES
            : place_of(look, place);
  close(look);
  return r;
}

/* In its folder, which is still there where the file was seen. */
static int
unlink_at(char *place)
{
  char there[PATH_MAX];
  char *slash = strrchr(place, '/');
  const char *name = slash + 1;

  *slash = '\0';
  const int folder = open_to_look(slash == place ? "/" : place, O_DIRECTORY);
  int r = folder < 0 ? folder : place_of(folder, there);
  if (r == 0 && strcmp(there, slash == place ? "/" : place) != 0)
    r = -ESTALE;
  if (r == 0 && unlinkat(folder, name, 0) < 0)
    r = -errno;
  if (folder >= 0)
    close(folder);
  return r;
}

int
policy_unlink(struct policy *policy, const char *path)
{
  char place[PATH_MAX], image[PATH_MAX];
  const int look = open_to_look(path, O_NOFOLLOW);

  if (look < 0)
    return look;
  int r = place_of(look, place);
  if (r == 0) {
    strcpy(image, place);
    if (!is_companion(image) || right_to(policy, path, look) != WRITE)
      r = -EACCES;
  }
  close(look);
  return r < 0 ? r : unlink_at(place);
}

static bool
may_list(struct policy *policy, const char *path, const char *place)
{
  return journals_lie_below(path) || strcmp(place, DEVICES) == 0 ||
         right_below(policy, "", place) != NONE;
}

int
policy_list(struct policy *policy, const char *path)
{
  char place[PATH_MAX];
  int look = open_to_look(path, O_DIRECTORY);

  if (look < 0)
    return look;
  int fd = !confines(policy) ||
               (place_of(look, place) == 0 && may_list(policy, path, place))
             ? open_again(look, O_RDONLY | O_DIRECTORY)
             : -EACCES;
  close(look);
  return fd;
}

/* --------------------------------------------------------------------- keys */

static bool
is_key(const struct options *opt, const char *path)
{
  const char *folder = opt->tls_certificates;
  size_t n = folder ? strlen(folder) : 0;

  if (opt->tls_psk && strcmp(path, opt->tls_psk) == 0)
    return true;
  for (size_t i = 0; i < sizeof key_names / sizeof *key_names; i++)
    if (n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/' &&
        strcmp(path + n + 1, key_names[i]) == 0)
      return true;
  return false;
}

/* Where its name leads is the administrator's affair: renewed certificates are
 * links. */
int
policy_key(const struct policy *policy, const char *path)
{
  struct stat st;

  if (!is_key(policy->options, path))
    return -EACCES;
  int look = open_to_look(path, 0);
  if (look < 0)
    return look == -ELOOP ? -EMEDIUMTYPE : look;
  int fd = fstat(look, &st) < 0          ? -errno
           : !S_ISREG(st.st_mode)        ? -EMEDIUMTYPE
           : st.st_size > BROKER_MAX_KEY ? -EFBIG
                                         : open_again(look, O_RDONLY);
  close(look);
  return fd;
}

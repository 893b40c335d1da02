/* SPDX-License-Identifier: BSD-2-Clause */
/* exits.c: see exits.h. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "exits.h"

static int noted = EXIT_FAILED;

static const char *const classes[] = {
  [EXIT_DONE] = "done",
  [EXIT_FAILED] = "failed",
  [EXIT_DAMAGED] = "damaged",
  [EXIT_LEAKED] = "leaked",
  [EXIT_DOUBTFUL] = "doubtful",
  [EXIT_USAGE] = "usage",
  [EXIT_NOT_FOUND] = "not-found",
  [EXIT_DENIED] = "denied",
  [EXIT_IN_USE] = "in-use",
  [EXIT_NO_SPACE] = "no-space",
  [EXIT_REFUSED] = "refused",
};

const char *
exits_class(int code)
{
  if (code == EXIT_SIGNAL + SIGINT || code == EXIT_SIGNAL + SIGTERM ||
      code == EXIT_SIGNAL + SIGHUP)
    return "interrupted";
  if (code < 0 || (size_t)code >= sizeof classes / sizeof classes[0])
    return "failed";
  return classes[code];
}

int
exits_of_errno(int sys)
{
  switch (sys) {
  case ENOENT:
  case ENOTDIR:
    return EXIT_NOT_FOUND;
  case EACCES:
  case EPERM:
  case EROFS:
    return EXIT_DENIED;
  case EBUSY:
  case ETXTBSY:
    return EXIT_IN_USE;
  case ENOSPC:
  case EDQUOT:
    return EXIT_NO_SPACE;
  case EEXIST:
    return EXIT_REFUSED;
  default:
    return EXIT_FAILED;
  }
}

int
exits_of_error(const struct vhd_error *err)
{
  switch (err->code) {
  case VHD_FORMAT_UNKNOWN:
  case VHD_FORMAT_VERSION:
  case VHD_CANCELED:
    return EXIT_FAILED;
  case VHD_PARENT_MISSING:
    return EXIT_NOT_FOUND;
  case VHD_PARENT_DENIED:
  case VHD_READ_ONLY:
    return EXIT_DENIED;
  case VHD_BUSY:
    return EXIT_IN_USE;
  case VHD_STATE:
  case VHD_JOURNAL:
    return EXIT_REFUSED;
  case VHD_PARENT_SIZE:
    return EXIT_USAGE;
  case VHD_ARGUMENT:
    return err->sys == EEXIST ? EXIT_REFUSED : EXIT_USAGE;
  case VHD_SYSTEM:
  case VHD_LIMIT:
  case VHD_ALLOCATION_FAILED:
  case VHD_METADATA_READ:
  case VHD_METADATA_WRITE:
    return exits_of_errno(err->sys);
  default:
    return EXIT_DAMAGED;
  }
}

void
exits_note(int code)
{
  if (noted == EXIT_FAILED)
    noted = code;
}

int
exits_resolve(int status)
{
  return status == EXIT_FAILED ? noted : status;
}

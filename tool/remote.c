/* SPDX-License-Identifier: BSD-2-Clause */
/* remote.c: see remote.h. */
#include "config.h"

#include <string.h>

#include "message.h"
#include "remote.h"

bool
remote_is_uri(const char *name)
{
  static const char *const schemes[] = {
    "nbd", "nbds", "nbd+unix", "nbds+unix", "nbd+vsock", "nbds+vsock",
  };
  const char *colon = strstr(name, "://");

  for (size_t i = 0; colon && i < sizeof schemes / sizeof schemes[0]; i++)
    if ((size_t)(colon - name) == strlen(schemes[i]) &&
        strncmp(name, schemes[i], strlen(schemes[i])) == 0)
      return true;
  return false;
}

int
remote_source(const char *name, bool format_given,
              struct vhd_open_options *open)
{
  if (!remote_is_uri(name))
    return 0;
  if (format_given && !(open->flags & VHD_OPEN_RAW)) {
    complain_usage("%s: what an NBD server gives is a raw disk, no VHD file",
                   name);
    return -1;
  }
  open->disk = remote_connect(name, false);
  open->flags |= VHD_OPEN_RAW;
  return open->disk ? 0 : -1;
}

const struct vhd_disk *
remote_target(const char *uri)
{
  return remote_connect(uri, true);
}

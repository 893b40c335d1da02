/* SPDX-License-Identifier: BSD-2-Clause */
/* remote_none.c: remote disks where there is no libnbd; see remote.h. */
#include "config.h"

#include <stddef.h>

#include "message.h"
#include "remote.h"

const struct vhd_disk *
remote_connect(const char *uri, bool write)
{
  (void)write;
  complain("%s: this vhdkit was built without libnbd, so it knows no NBD "
           "servers; build it with libnbd-dev installed", uri);
  return NULL;
}

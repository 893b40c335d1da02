/* SPDX-License-Identifier: BSD-2-Clause */
/* command.c: see command.h. */
#include "config.h"

#include "client/command/command.h"
#include "client/command/cache.h"
#include "client/command/read.h"
#include "client/command/status.h"
#include "client/command/write.h"
#include "nbd/transmission.h"

void
command_begin(struct client *c, const struct nbd_request *req)
{
  static void (*const begin[])(struct client *, const struct nbd_request *) = {
    [NBD_CMD_READ] = read_begin,
    [NBD_CMD_FLUSH] = write_begin_other,
    [NBD_CMD_TRIM] = write_begin_other,
    [NBD_CMD_CACHE] = cache_begin,
    [NBD_CMD_WRITE_ZEROES] = write_begin_other,
    [NBD_CMD_BLOCK_STATUS] = status_begin,
  };

  begin[req->type](c, req);
}

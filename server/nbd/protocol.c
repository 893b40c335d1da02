/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol.c: the names of the protocol's values.  Pure; any thread. */
#include "config.h"

#include "nbd/protocol.h"

#include <stddef.h>

struct name {
  uint32_t value;
  const char *name;
};

/* clang-format off */
#define NAME(value) { value, #value }
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct name opts[] = {
  NAME(NBD_OPT_EXPORT_NAME),
  NAME(NBD_OPT_ABORT),
  NAME(NBD_OPT_LIST),
  NAME(NBD_OPT_PEEK_EXPORT),
  NAME(NBD_OPT_STARTTLS),
  NAME(NBD_OPT_INFO),
  NAME(NBD_OPT_GO),
  NAME(NBD_OPT_STRUCTURED_REPLY),
  NAME(NBD_OPT_LIST_META_CONTEXT),
  NAME(NBD_OPT_SET_META_CONTEXT),
  NAME(NBD_OPT_EXTENDED_HEADERS),
};

/* Spelled out: these are macros, which NAME() would expand. */
static const struct name reps[] = {
  { NBD_REP_ACK, "NBD_REP_ACK" },
  { NBD_REP_SERVER, "NBD_REP_SERVER" },
  { NBD_REP_INFO, "NBD_REP_INFO" },
  { NBD_REP_META_CONTEXT, "NBD_REP_META_CONTEXT" },
  { NBD_REP_ERR_UNSUP, "NBD_REP_ERR_UNSUP" },
  { NBD_REP_ERR_POLICY, "NBD_REP_ERR_POLICY" },
  { NBD_REP_ERR_INVALID, "NBD_REP_ERR_INVALID" },
  { NBD_REP_ERR_PLATFORM, "NBD_REP_ERR_PLATFORM" },
  { NBD_REP_ERR_TLS_REQD, "NBD_REP_ERR_TLS_REQD" },
  { NBD_REP_ERR_UNKNOWN, "NBD_REP_ERR_UNKNOWN" },
  { NBD_REP_ERR_SHUTDOWN, "NBD_REP_ERR_SHUTDOWN" },
  { NBD_REP_ERR_BLOCK_SIZE_REQD, "NBD_REP_ERR_BLOCK_SIZE_REQD" },
  { NBD_REP_ERR_TOO_BIG, "NBD_REP_ERR_TOO_BIG" },
  { NBD_REP_ERR_EXT_HEADER_REQD, "NBD_REP_ERR_EXT_HEADER_REQD" },
};

static const struct name infos[] = {
  NAME(NBD_INFO_EXPORT),
  NAME(NBD_INFO_NAME),
  NAME(NBD_INFO_DESCRIPTION),
  NAME(NBD_INFO_BLOCK_SIZE),
};

static const struct name cmds[] = {
  NAME(NBD_CMD_READ),
  NAME(NBD_CMD_WRITE),
  NAME(NBD_CMD_DISC),
  NAME(NBD_CMD_FLUSH),
  NAME(NBD_CMD_TRIM),
  NAME(NBD_CMD_CACHE),
  NAME(NBD_CMD_WRITE_ZEROES),
  NAME(NBD_CMD_BLOCK_STATUS),
  NAME(NBD_CMD_RESIZE),
};

static const struct name reply_types[] = {
  NAME(NBD_REPLY_TYPE_NONE),
  NAME(NBD_REPLY_TYPE_OFFSET_DATA),
  NAME(NBD_REPLY_TYPE_OFFSET_HOLE),
  NAME(NBD_REPLY_TYPE_BLOCK_STATUS),
  NAME(NBD_REPLY_TYPE_BLOCK_STATUS_EXT),
  NAME(NBD_REPLY_TYPE_ERROR),
  NAME(NBD_REPLY_TYPE_ERROR_OFFSET),
};

static const struct name errors[] = {
  NAME(NBD_SUCCESS),
  NAME(NBD_EPERM),
  NAME(NBD_EIO),
  NAME(NBD_ENOMEM),
  NAME(NBD_EINVAL),
  NAME(NBD_ENOSPC),
  NAME(NBD_EOVERFLOW),
  NAME(NBD_ENOTSUP),
  NAME(NBD_ESHUTDOWN),
};
/* clang-format on */

static const char *
name_of(const struct name *table, size_t n, uint32_t value)
{
  for (size_t i = 0; i < n; i++)
    if (table[i].value == value)
      return table[i].name;
  return "unknown";
}

const char *
nbd_opt_name(uint32_t option)
{
  return name_of(opts, COUNT(opts), option);
}

const char *
nbd_rep_name(uint32_t reply)
{
  return name_of(reps, COUNT(reps), reply);
}

const char *
nbd_info_name(uint16_t info)
{
  return name_of(infos, COUNT(infos), info);
}

const char *
nbd_cmd_name(uint16_t type)
{
  return name_of(cmds, COUNT(cmds), type);
}

const char *
nbd_reply_type_name(uint16_t type)
{
  return name_of(reply_types, COUNT(reply_types), type);
}

const char *
nbd_error_name(uint32_t error)
{
  return name_of(errors, COUNT(errors), error);
}

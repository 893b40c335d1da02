/* SPDX-License-Identifier: BSD-2-Clause */
/* chain_options.h: the options of what is done to images of a chain.  Pure. */
#ifndef OPS_CHAIN_OPTIONS_H
#define OPS_CHAIN_OPTIONS_H

#include "base/error.h"

/* 0, or -EINVAL where they have what is not known; known: flags. */
static inline int
chain_check_options(const struct vhd_chain_options *opt, uint32_t known,
                    const char *path, struct vhd_error *err)
{
  int r = vhd_check_flags(opt->flags, known, path, err);

  if (r == 0)
    r = CHECK_ROOM(opt, path, err);
  return r < 0 ? r : vhd_check_open(&opt->open, 0, path, err);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* resolve.h: from options to the server's configuration: what is to be served,
 * how much of it, and for how many clients at a time.  Raises the limit of
 * descriptors as far as that goes.  The main thread, once. */
#ifndef SERVER_CONFIG_RESOLVE_H
#define SERVER_CONFIG_RESOLVE_H

#include "config/command_line.h"
#include "config/server_config.h"
#include "vhdkit.h"

/* Fills *config but for the callbacks; it refers to the options' strings.  For
 * resolve_config_free(), whatever is returned. */
int resolve_config(const struct options *opt, struct server_config *config,
                   struct vhd_error *err);
/* The exports alone, .nexports of them; the caller's to free; they refer to the
 * options' strings.  NULL where memory is short. */
struct server_export *resolve_exports(const struct options *opt);
void resolve_config_free(struct server_config *config);

#endif

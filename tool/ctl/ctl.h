/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.h: the verbs of vhdkitctl; main.c has the table of them.  Each asks the
 * server's verb of the same name, and shows what it answers. */
#ifndef TOOL_CTL_CTL_H
#define TOOL_CTL_CTL_H

#include "verbs.h"

extern const struct verb ctl_apply;
extern const struct verb ctl_ask;
extern const struct verb ctl_children;
extern const struct verb ctl_clients;
extern const struct verb ctl_compact;
extern const struct verb ctl_delete_version;
extern const struct verb ctl_describe;
extern const struct verb ctl_discard;
extern const struct verb ctl_disconnect;
extern const struct verb ctl_disks;
extern const struct verb ctl_drain;
extern const struct verb ctl_events;
extern const struct verb ctl_exports;
extern const struct verb ctl_merge;
extern const struct verb ctl_new_version;
extern const struct verb ctl_promote;
extern const struct verb ctl_reload;
extern const struct verb ctl_resize;
extern const struct verb ctl_rollback;
extern const struct verb ctl_snapshot;
extern const struct verb ctl_status;
extern const struct verb ctl_stop;
extern const struct verb ctl_test;
extern const struct verb ctl_top;
extern const struct verb ctl_undrain;
extern const struct verb ctl_versions;

#endif

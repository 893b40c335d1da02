/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c: vhdkitctl: looks after a running vhdkitd, by its control socket
 * alone.  To add a verb: a struct verb in a file here, a line in ctl.h, one in
 * the table below, one in local.mk; vhdkitctl.pod, and the completion. */
#include "config.h"

#include <stddef.h>

#include "ctl/ctl.h"
#include "program.h"

static const struct verb *const verbs[] = {
  &ctl_status, &ctl_clients, &ctl_exports, &ctl_top, &ctl_events,
  &ctl_reload, &ctl_drain, &ctl_undrain, &ctl_disconnect, &ctl_snapshot,
  &ctl_merge, &ctl_resize, &ctl_compact, &ctl_disks, &ctl_versions,
  &ctl_children, &ctl_new_version, &ctl_test, &ctl_promote, &ctl_rollback,
  &ctl_describe, &ctl_delete_version, &ctl_apply, &ctl_discard, &ctl_stop,
  &ctl_ask, NULL,
};

static const struct program vhdkitctl = {
  .name = "vhdkitctl",
  .about = "Looks after a running vhdkitd.",
  .pages = "vhdkitctl(1)\nand vhdkit-control(7)",
  .verbs = verbs,
};

int
main(int argc, char **argv)
{
  return program_main(&vhdkitctl, argc, argv);
}

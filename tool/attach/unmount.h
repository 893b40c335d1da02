/* SPDX-License-Identifier: BSD-2-Clause */
/* unmount.h: takes away what FUSE has mounted. */
#ifndef TOOL_ATTACH_UNMOUNT_H
#define TOOL_ATTACH_UNMOUNT_H

#include <stdbool.h>

/* That something stays attached, and why.  Returns -1. */
int unmount_refuse(const char *path, const char *what, const char *why);

/* lazily: though somebody uses it.  Complains and returns -1 where it stays. */
int unmount_fuse(const char *path, bool lazily);

#endif

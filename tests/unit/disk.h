/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: local files for the tests of the store. */
#ifndef UNIT_DISK_H
#define UNIT_DISK_H

#include <stdint.h>

#include "store/local.h"

#define PATH "disk"

/* A file of so many bytes, all of them `fill`. */
void make_file(const char *path, uint64_t size, int fill);
struct vhd_file *open_file(const char *path, enum local_mode mode);

/* Group fixtures: a scratch folder.  Under run-test.sh the working directory is
 * the test's own; by hand too. */
int enter_scratch(void **state);
int leave_scratch(void **state);

#endif

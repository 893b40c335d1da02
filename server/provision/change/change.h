/* SPDX-License-Identifier: BSD-2-Clause */
/* change.h: what is done to the versions of a disk.
 *
 * Each change is decided by one call: a rename of a link, a file that gets its
 * name or loses it.  What belongs to it is done before, where it means nothing
 * yet, or after, where it means nothing any more; and whoever changes the disk
 * next does first what a killed one left to do (disk_settle()).  So a disk is
 * at each moment, for all who look at it, as it was or as it is to be.
 *
 * What is said of a version (text) is one line, or "".
 *
 * All of it may be asked for again, and ends as if it had been done once.  For
 * one that would mean more the second time, who asks says what he saw.
 *
 * Blocks, for as long as others change the same disk, too.  Any thread. */
#ifndef SERVER_PROVISION_CHANGE_CHANGE_H
#define SERVER_PROVISION_CHANGE_CHANGE_H

#include <stdint.h>

#include "vhdkit.h"

struct provision_config;

/* A new version, a child of `from` (0: of what is in production), for one who
 * writes to it; `maintenance` leads to it.  -EEXIST where one is being made;
 * but the same one, to which nothing was written yet, is what was asked for. */
int disk_new_version(const struct provision_config *config, const char *disk,
                     unsigned from, const char *text, unsigned *number,
                     struct vhd_error *err);

/* What clients get who are to test; 0: the same as the others.  A version that
 * was in maintenance is golden then: nobody writes to it any more.  -EBUSY
 * while somebody does. */
int disk_test(const struct provision_config *config, const char *disk,
              unsigned number, struct vhd_error *err);

/* What all others get at their next boot.  As above; it is no longer tested
 * then, and what was in production before is remembered with it. */
int disk_promote(const struct provision_config *config, const char *disk,
                 unsigned number, struct vhd_error *err);

/* A version is to be promoted at that time, seconds since 1970; 0: none is.  It
 * takes the place of what was said before, and is over when the version is
 * promoted by hand, or what it was promoted to is rolled back. */
int disk_schedule(const struct provision_config *config, const char *disk,
                  unsigned number, int64_t when, struct vhd_error *err);

/* Promotes what is due.  *number: that version; 0: none is. */
int disk_promote_due(const struct provision_config *config, const char *disk,
                     int64_t now, unsigned *number, struct vhd_error *err);

/* Back to what was in production before the version that is now; again and
 * again it goes back to the first.  from: what is in production, as far as who
 * asks knows, or 0; -ESTALE where it is another one and not what this would
 * have led to.  *number: what is in production then. */
int disk_rollback(const struct provision_config *config, const char *disk,
                  unsigned from, unsigned *number, struct vhd_error *err);

/* A version that nothing depends on; -EBUSY and what does: a link, a later
 * version, clients' children, somebody who has it open. */
int disk_delete(const struct provision_config *config, const char *disk,
                unsigned number, struct vhd_error *err);

/* A client's child, which nobody has open, becomes the next version, and is no
 * child any more.  Nothing leads to it yet; it is golden.  *number: that
 * version; also where it was done before, and he has no child since. */
int disk_apply(const struct provision_config *config, const char *disk,
               const char *client, const char *text, unsigned *number,
               struct vhd_error *err);

/* What is said of a version. */
int disk_describe(const struct provision_config *config, const char *disk,
                  unsigned number, const char *text, struct vhd_error *err);

/* Finishes what a killed one left.  All the others do so by themselves. */
int disk_settle(const struct provision_config *config, const char *disk,
                struct vhd_error *err);

#endif

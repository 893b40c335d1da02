/* SPDX-License-Identifier: BSD-2-Clause */
/* policy.h: what a helper opens for the worker, by the command line:
 *
 *   a named image            itself, whatever its name leads to
 *   the folder of images     regular files below it; for writing those that
 *                            are asked for as *.vhd
 *   --root                   regular files below it, for reading
 *   beside a named image     regular files below its folder that are VHDs or
 *                            VHDXs, for reading: its parents, and the search
 *                            for children
 *   disks, children          see policy_disks.h
 *   the companion of one     NAME.vhdkit-redo beside it: as the image NAME, and
 *                            it may be removed where that may be written
 *   the folders of journals  journals
 *   keys                     the files that the command line names, for a
 *                            helper for keys alone
 *
 * and the names in those folders.  Where something lies is asked of the file
 * that is open, links resolved, not of its name: what was checked is what is
 * handed over.
 *
 * The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_POLICY_H
#define SERVER_KEEPER_BROKER_POLICY_H

#include <stdbool.h>

struct options;
struct policy;

/* options must outlive it.  NULL where memory is short. */
struct policy *policy_new(const struct options *options);
void policy_free(struct policy *policy);

/* Each a descriptor or -errno; -EACCES where the policy forbids it. */
int policy_open(struct policy *policy, const char *path, bool write);
int policy_list(struct policy *policy, const char *path);
/* Where the image lies, links resolved, if it may be written: into
 * place[PATH_MAX].  0 or -errno. */
int policy_place(struct policy *policy, const char *path, char *place);
/* Removes an image's companion. */
int policy_unlink(struct policy *policy, const char *path);
/* -EMEDIUMTYPE: it is no regular file, or a link of /proc leads there. */
int policy_key(const struct policy *policy, const char *path);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* child.h: a client's child of a disk: CHILDREN/DISK/CLIENT.vhd, a VHD whose
 * parent is the version that he boots.  It stays on that version whatever
 * becomes of the links, until it is made anew.
 *
 * Blocks.  Any thread; what changes a child keeps itself from meeting others
 * who do so, in this process or another. */
#ifndef SERVER_PROVISION_CHILD_H
#define SERVER_PROVISION_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdkit.h"

struct disk_folder;
struct disk_version;
struct provision_config;

/* client: as client_id_file() writes it, here and below.  0; -EINVAL: this is
 * no disk, or nobody's file; -ENAMETOOLONG. */
int child_path(const struct provision_config *config, const char *disk,
               const char *client, char *path, size_t size);

/* Makes the child of a version (disk_folder_version_for()) where there is none.
 * One that is there stays as it is, whatever version it is of.  -ENOSPC where
 * the reserve is reached; -ENOENT where there is no such version. */
int child_make(const struct provision_config *config, const char *disk,
               const char *client, const char *version, struct vhd_error *err);

/* The same, but one that is there is replaced, by one rename, and with it all
 * that was written to it.  -EBUSY, and by whom, while somebody has it open. */
int child_discard(const struct provision_config *config, const char *disk,
                  const char *client, const char *version,
                  struct vhd_error *err);

/* Removes it.  0, also where there is none; -EBUSY as above. */
int child_remove(const struct provision_config *config, const char *disk,
                 const char *client, struct vhd_error *err);

struct child {
  char client[129]; /* the file's name, without .vhd */
  char id[37], parent_id[37];
  unsigned version; /* that it is a child of; 0: none that there is */
  uint64_t file_size, actual_size;
  int64_t used; /* when it was last written to; seconds since 1970 */
  bool sound;   /* it can be read, as far as its own file goes */
};

/* Is the child what was copied to be that version, and nothing else? */
bool child_is_version(const struct child *child,
                      const struct disk_version *version);

/* What a child's file tells, also while it is in use.  folder: the disk's, by
 * which its version is known, and that it is a version itself and so no child
 * any more; or NULL.  -ENOENT: there is none. */
int child_look(const struct provision_config *config, const char *disk,
               const char *client, const struct disk_folder *folder,
               struct child *child);

/* Calls visit for each child of a disk until it returns not 0, which is then
 * returned; or -errno. */
int child_each(const struct provision_config *config, const char *disk,
               const struct disk_folder *folder,
               int (*visit)(void *opaque, const struct child *child),
               void *opaque);

#endif

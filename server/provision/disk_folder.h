/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_folder.h: a disk as its folder shows it.
 *
 *   DISKS/debian12/1.vhd 2.vhd 3.vhd  versions; 2.vhd may be a child of 1.vhd
 *   DISKS/debian12/2.txt              what was changed in it, in one line
 *   DISKS/debian12/2.replaced         a link: what was in production before it
 *   DISKS/debian12/production         a link: what clients get
 *   DISKS/debian12/test               a link: what those get who are to test
 *   DISKS/debian12/maintenance        a link: what is being made
 *   DISKS/debian12/schedule           when which version is to be promoted
 *
 * That is all there is to know of it; a link is read for its text, N.vhd, and
 * for nothing else.  A version is golden, nobody writes to it any more, unless
 * `maintenance` leads to it, and neither `production` nor `test` does.
 *
 * Blocks.  Any thread; for who changes nothing, beside those who do. */
#ifndef SERVER_PROVISION_DISK_FOLDER_H
#define SERVER_PROVISION_DISK_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provision/disk_schedule.h"
#include "vhdkit.h"

/* Of what is said of a version. */
#define DISK_TEXT_SIZE 256

struct disk_version {
  unsigned number;
  unsigned parent; /* the version that it is a child of; 0: none of them */
  bool sealed;     /* its file cannot be written to */
  bool sound;      /* it can be read, and its parent is there */
  enum vhd_holders held;
  uint64_t size;               /* of the disk; 0 where it cannot be read */
  uint64_t actual_size;        /* what its file takes */
  int64_t changed;             /* when its file was, seconds since 1970 */
  char id[37], parent_id[37];  /* "" where there is none, or none to be read */
  char text[DISK_TEXT_SIZE];   /* UTF-8 without control characters; "" */
  char client[DISK_TEXT_SIZE]; /* whose child it was; "" */
};

struct disk_folder {
  struct disk_version *versions; /* in the order of their numbers */
  size_t n;
  unsigned production, test, maintenance; /* 0: none */
  unsigned previous; /* what production goes back to; 0: nothing is known */
  struct disk_schedule schedule;
};

/* For disk_folder_free(), whatever it returns. */
int disk_folder_read(const char *disks, const char *disk,
                     struct disk_folder *folder, struct vhd_error *err);
void disk_folder_free(struct disk_folder *folder);

/* NULL: there is none. */
struct disk_version *disk_folder_find(const struct disk_folder *folder,
                                      unsigned number);
/* By the id of its image; the same. */
struct disk_version *disk_folder_find_id(const struct disk_folder *folder,
                                         const char *id);

/* The version of that number, or where a link leads (`test` where there is none
 * is nothing).  *number may be NULL.  0; -ENOENT: there is none of that name,
 * or no such disk; -EINVAL: this is no name, or the link leads elsewhere;
 * -ENAMETOOLONG. */
int disk_folder_version_path(const char *disks, const char *disk,
                             const char *version, char *path, size_t size,
                             unsigned *number);
/* The same for a child that is to be made: where nothing is tested, `test` is
 * production. */
int disk_folder_version_for(const char *disks, const char *disk,
                            const char *version, char *path, size_t size,
                            unsigned *number);

/* Is a version to be promoted by then, or can that not be told?  Looks at no
 * image. */
bool disk_folder_may_be_due(const char *disks, const char *disk, int64_t now);

/* No more than the number; -ENOENT and *number 0 as above. */
int disk_folder_number(const char *disks, const char *disk,
                       const char *version, unsigned *number);

/* ----------------------------------------- for who changes it, in this room */

/* Opens the folder and keeps others out who do so; shared: only those who take
 * it whole.  A descriptor, or -errno. */
int disk_folder_lock(const char *disks, const char *disk, bool shared,
                     struct vhd_error *err);

/* Where a link in the folder leads; 0: there is none.  -EINVAL: to no
 * version. */
int disk_folder_link(int folder, const char *link);

/* DISKS/DISK/N.vhd into path. */
int disk_folder_file(const char *disks, const char *disk, unsigned number,
                     char *path, size_t size);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* work.h: what the changes of a disk (change.h) are made of.  Nobody
 * outside of this room includes it.  Blocks; one thread a disk_work. */
#ifndef SERVER_PROVISION_CHANGE_WORK_H
#define SERVER_PROVISION_CHANGE_WORK_H

#include <limits.h>

#include "provision/change/change.h"
#include "provision/disk_folder.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

struct disk_schedule;

/* A disk that is kept from others who change it, and its folder as it is. */
struct disk_work {
  const struct provision_config *config;
  const char *disk;
  int fd; /* of the folder */
  struct disk_folder folder;
  struct vhd_error *err;
};

/* Waits for the others, finishes what was left, and reads what there is.  For
 * disk_work_end(), whatever it returns. */
int disk_work_begin(struct disk_work *work,
                    const struct provision_config *config, const char *disk,
                    struct vhd_error *err);
/* The same once more, after something was changed. */
int disk_work_again(struct disk_work *work);
/* Returns r. */
int disk_work_end(struct disk_work *work, int r);

/* -ENOENT with a word where there is no such version. */
int disk_work_need(struct disk_work *work, unsigned number,
                   struct disk_version **version);

/* The number of a version that is to come. */
unsigned disk_work_next(const struct disk_work *work);

/* A file of the disk's folder; the names of these there are. */
int disk_work_path(struct disk_work *work, unsigned number, char *path);
int disk_work_text_path(struct disk_work *work, unsigned number, char *path);

/* A link of that name leads to a version from then on, durably; 0: it is not
 * there. */
int disk_work_link(struct disk_work *work, const char *link, unsigned number);

/* Removes a name; nothing, where it is not there.  Not yet durable. */
int disk_work_unlink(struct disk_work *work, const char *name);
int disk_work_sync(struct disk_work *work);

/* A sound image that nobody writes to, nor will while this is open.  All that a
 * killed writer left in memory is in its file then. */
int disk_work_hold(struct disk_work *work, const char *path,
                   struct vhd_image **image);

/* What is to be promoted, and when. */
int disk_work_scheduled(struct disk_work *work,
                        struct disk_schedule *schedule);
/* That version is not to be promoted any more. */
int disk_work_unschedule(struct disk_work *work, unsigned number);

/* disk_promote(), of a disk that is kept from others. */
int disk_work_promote(struct disk_work *work, unsigned number);

/* Nobody can write to a file any more. */
int disk_work_forbid(struct disk_work *work, const char *path);

/* The same of a version's, which says then where its parent lies. */
int disk_work_seal(struct disk_work *work, unsigned number);

#endif

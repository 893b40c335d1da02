/* SPDX-License-Identifier: BSD-2-Clause */
/* job.h: a question about disks that is answered by what a thread finds or
 * does: orders block for as long as a disk does.
 *
 * Begun, and answered, on the main thread; .run is on a thread of its own. */
#ifndef SERVER_CONTROL_DISKS_JOB_H
#define SERVER_CONTROL_DISKS_JOB_H

#include <jansson.h>

#include "base/loop.h"
#include "control/question.h"
#include "provision/disk_order.h"

struct server_config;

struct disk_job {
  struct question *q; /* whose strings .order may refer to */
  const struct disk_hands *hands;
  const struct server_config *config;
  struct disk_order order;
  json_t *result; /* .run makes it */
  struct vhd_error err;
  int r;
  int (*run)(struct disk_job *job); /* 0, or -errno and .err */
  struct loop *loop;
  struct task done;
};

/* The order's disk, client and so on are those of the question's arguments. */
void disk_job_begin(struct question *q, enum disk_wish wish,
                    int (*run)(struct disk_job *job));

#endif

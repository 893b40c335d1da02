/* SPDX-License-Identifier: BSD-2-Clause */
/* job.c: see job.h. */
#include "config.h"

#include "control/disks/job.h"

#include <stdlib.h>

#include "base/container.h"
#include "base/thread.h"
#include "client/host.h"
#include "config/server_config.h"
#include "control/world.h"
#include "provision/disk_name.h"

/* On the main thread. */
static void
on_done(struct task *task)
{
  struct disk_job *job = CONTAINER_OF(task, struct disk_job, done);

  if (job->r < 0) {
    json_decref(job->result);
    question_fail_as(job->q, &job->err);
  } else {
    question_answer(job->q, job->result);
  }
  free(job);
}

static void
run_job(void *opaque)
{
  struct disk_job *job = opaque;

  job->r = job->run(job);
  job->done.run = on_done;
  loop_post(job->loop, &job->done);
}

static struct disk_job *
new_job(struct question *q, enum disk_wish wish,
        int (*run)(struct disk_job *job))
{
  struct disk_job *job = calloc(1, sizeof *job);
  const uint64_t version = question_number(q, "version", 0);

  if (!job)
    return NULL;
  *job = (struct disk_job){
    .q = q,
    .hands = q->world->disks,
    .config = q->world->host->config,
    .loop = q->world->loop,
    .run = run,
    .order = {
      .wish = wish,
      .disk = question_string(q, "disk"),
      .client = question_string(q, "client"),
      .text = question_string(q, "text"),
      .number = version <= DISK_VERSION_MAX ? (unsigned)version
                                            : DISK_VERSION_MAX,
      .when = (int64_t)question_number(q, "when", 0),
    },
  };
  return job;
}

void
disk_job_begin(struct question *q, enum disk_wish wish,
               int (*run)(struct disk_job *job))
{
  if (!q->world->host->config->provision.disks) {
    question_fail(q, QUESTION_REFUSED,
                  "no disks are served: the server was started without "
                  "--disks");
    return;
  }
  struct disk_job *job = new_job(q, wish, run);
  if (!job) {
    question_answer(q, NULL);
  } else if (thread_start("disks", run_job, job) < 0) {
    free(job);
    question_fail(q, QUESTION_FAILED, "no thread can be had for it");
  }
}

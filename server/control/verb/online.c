/* SPDX-License-Identifier: BSD-2-Clause */
/* online.c: the verbs that change the image of an export while clients use it:
 * snapshot, resize, compact, merge.  A thread carries each out (online.h), and
 * its answer comes back as a task. */
#include "config.h"

#include "control/verb/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/loop.h"
#include "base/thread.h"
#include "client/host.h"
#include "control/say.h"
#include "control/world.h"
#include "online/online.h"

/* Clients wait for a compaction no longer than this, unless it is said. */
#define COMPACT_MSEC 200
#define COMPACT_MAX_MSEC 60000

struct job {
  struct question *q;
  struct loop *loop; /* the main thread's */
  struct online *online;
  struct online_order order;
  struct online_result result;
  struct vhd_error err;
  int r;
  struct task done;
};

/* On the main thread. */
static void
on_done(struct task *task)
{
  struct job *job = CONTAINER_OF(task, struct job, done);
  json_t *result = json_object();

  if (job->r < 0) {
    json_decref(result);
    question_fail_as(job->q, &job->err);
  } else {
    say_string(result, "export", job->order.export);
    say_number(result, "size", job->result.size);
    say_seconds(result, "held", job->result.held_ns);
    question_answer(job->q, result);
  }
  free(job);
}

static void
told(void *opaque, int r)
{
  struct job *job = opaque;

  job->r = r;
  job->done.run = on_done;
  loop_post(job->loop, &job->done);
}

static void
run(void *opaque)
{
  struct job *job = opaque;

  online_run(job->online, &job->result, &job->err, told, job);
}

/* The strings are the question's, which lives as long as the job. */
static void
begin(struct question *q, enum online_what what)
{
  struct job *job = calloc(1, sizeof *job);
  const uint64_t msec = question_number(q, "milliseconds", COMPACT_MSEC);

  if (!job) {
    question_answer(q, NULL);
    return;
  }
  job->q = q;
  job->loop = q->world->loop;
  job->order = (struct online_order){
    .what = what,
    .export = question_string(q, "export"),
    .name = question_string(q, "name"),
    .size = question_number(q, "size", 0),
    .msec = msec < COMPACT_MAX_MSEC ? (unsigned)msec : COMPACT_MAX_MSEC,
  };
  job->online = online_new(q->world->host->catalog, q->world->hands,
                           &job->order, &job->err);
  if (!job->online) {
    question_fail_as(q, &job->err);
    free(job);
    return;
  }
  if (thread_start("online", run, job) < 0) {
    online_cancel(job->online);
    free(job);
    question_fail(q, QUESTION_FAILED, "no thread can be had for it");
  }
}

static void
begin_snapshot(struct question *q)
{
  begin(q, ONLINE_SNAPSHOT);
}

static void
begin_resize(struct question *q)
{
  begin(q, ONLINE_RESIZE);
}

static void
begin_compact(struct question *q)
{
  begin(q, ONLINE_COMPACT);
}

static void
begin_merge(struct question *q)
{
  begin(q, ONLINE_MERGE);
}

static const struct request_arg named_args[] = {
  { "export", REQUEST_STRING, true },
  { "name", REQUEST_STRING, true },
  { .name = NULL },
};

const struct control_verb snapshot_verb = {
  .name = "snapshot",
  .changes = true,
  .args = named_args,
  .begin = begin_snapshot,
};

const struct control_verb merge_verb = {
  .name = "merge",
  .changes = true,
  .args = named_args,
  .begin = begin_merge,
};

static const struct request_arg resize_args[] = {
  { "export", REQUEST_STRING, true },
  { "size", REQUEST_NUMBER, true },
  { .name = NULL },
};

const struct control_verb resize_verb = {
  .name = "resize",
  .changes = true,
  .args = resize_args,
  .begin = begin_resize,
};

static const struct request_arg compact_args[] = {
  { "export", REQUEST_STRING, true },
  { "milliseconds", REQUEST_NUMBER, false },
  { .name = NULL },
};

const struct control_verb compact_verb = {
  .name = "compact",
  .changes = true,
  .args = compact_args,
  .begin = begin_compact,
};

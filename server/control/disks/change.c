/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: the verbs that change disks: new-version, test, promote, schedule,
 * rollback, delete-version, describe, apply, discard.  Each can be asked for
 * once more, and ends as if it had been asked for once. */
#include "config.h"

#include "control/disks/job.h"
#include "control/disks/verbs.h"
#include "control/say.h"

static int
run(struct disk_job *job)
{
  struct disk_outcome outcome;
  const int r = disk_order_give(job->hands, &job->order, &outcome, &job->err);

  if (r == 0) {
    job->result = json_object();
    say_string(job->result, "disk", job->order.disk);
    if (job->order.client)
      say_string(job->result, "client", job->order.client);
    json_object_set_new(job->result, "version",
                        outcome.number
                          ? json_integer((json_int_t)outcome.number)
                          : json_null());
  }
  disk_outcome_clear(&outcome);
  return r;
}

#define BEGIN(name, wish) \
  static void begin_##name(struct question *q) \
  { \
    disk_job_begin(q, wish, run); \
  }

BEGIN(new_version, DISK_WISH_NEW_VERSION)
BEGIN(test, DISK_WISH_TEST)
BEGIN(promote, DISK_WISH_PROMOTE)
BEGIN(schedule, DISK_WISH_SCHEDULE)
BEGIN(rollback, DISK_WISH_ROLLBACK)
BEGIN(delete, DISK_WISH_DELETE)
BEGIN(describe, DISK_WISH_DESCRIBE)
BEGIN(apply, DISK_WISH_APPLY)
BEGIN(discard, DISK_WISH_DISCARD)

/* clang-format off */
static const struct request_arg new_version_args[] = {
  { "disk", REQUEST_STRING, true },
  { "version", REQUEST_NUMBER, false },
  { "text", REQUEST_STRING, false },
  { .name = NULL },
};

static const struct request_arg maybe_version[] = {
  { "disk", REQUEST_STRING, true },
  { "version", REQUEST_NUMBER, false },
  { .name = NULL },
};

static const struct request_arg a_version[] = {
  { "disk", REQUEST_STRING, true },
  { "version", REQUEST_NUMBER, true },
  { .name = NULL },
};

static const struct request_arg schedule_args[] = {
  { "disk", REQUEST_STRING, true },
  { "version", REQUEST_NUMBER, false },
  { "when", REQUEST_NUMBER, false },
  { .name = NULL },
};

static const struct request_arg describe_args[] = {
  { "disk", REQUEST_STRING, true },
  { "version", REQUEST_NUMBER, true },
  { "text", REQUEST_STRING, true },
  { .name = NULL },
};

static const struct request_arg apply_args[] = {
  { "disk", REQUEST_STRING, true },
  { "client", REQUEST_STRING, true },
  { "text", REQUEST_STRING, false },
  { .name = NULL },
};

static const struct request_arg a_client[] = {
  { "disk", REQUEST_STRING, true },
  { "client", REQUEST_STRING, true },
  { .name = NULL },
};

const struct control_verb
  new_version_verb = { "new-version", true, new_version_args,
                       begin_new_version },
  test_verb = { "test", true, maybe_version, begin_test },
  promote_verb = { "promote", true, a_version, begin_promote },
  schedule_verb = { "schedule", true, schedule_args, begin_schedule },
  rollback_verb = { "rollback", true, maybe_version, begin_rollback },
  delete_version_verb = { "delete-version", true, a_version, begin_delete },
  describe_verb = { "describe", true, describe_args, begin_describe },
  apply_verb = { "apply", true, apply_args, begin_apply },
  discard_verb = { "discard", true, a_client, begin_discard };
/* clang-format on */

/* SPDX-License-Identifier: BSD-2-Clause */
/* cancel.c: the verb cancel: of another request of the same client, what can be
 * cancelled is. */
#include "config.h"

#include "control/verb/verbs.h"

static void
begin(struct question *q)
{
  struct question *other =
    q->sink ? q->sink->find(q->sink, json_object_get(q->args, "request"))
            : NULL;

  if (!other || other == q) {
    question_fail(q, QUESTION_NOT_FOUND,
                  "no request of that id is under way here");
  } else if (!other->cancel) {
    question_fail(q, QUESTION_REFUSED, "%s cannot be cancelled",
                  other->verb->name);
  } else {
    question_cancel(other);
    question_answer(q, json_object());
  }
}

static const struct request_arg args[] = {
  { "request", REQUEST_ID, true },
  { NULL, 0, false },
};

const struct control_verb cancel_verb = {
  .name = "cancel",
  .args = args,
  .begin = begin,
};

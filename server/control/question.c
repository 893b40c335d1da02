/* SPDX-License-Identifier: BSD-2-Clause */
/* question.c: see question.h.  Whoever changes something leaves a line in the
 * log: who, what, and what came of it. */
#include "config.h"

#include "control/question.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "control/say.h"

#define TEXT_SIZE 1024
#define ARGS_SHOWN 512 /* of the arguments, in the log */

const char *question_error_word(enum question_error class)
{
  static const char *const word[] = {
    [QUESTION_FAILED] = "failed",       [QUESTION_USAGE] = "usage",
    [QUESTION_NOT_FOUND] = "not-found", [QUESTION_DENIED] = "denied",
    [QUESTION_IN_USE] = "in-use",       [QUESTION_NO_SPACE] = "no-space",
    [QUESTION_REFUSED] = "refused",     [QUESTION_DAMAGED] = "damaged",
  };

  return word[class];
}

static json_t *
new_line(json_t *id)
{
  json_t *line = json_object();

  if (line && id)
    json_object_set(line, "id", id);
  return line;
}

json_t *
question_error_line(json_t *id, enum question_error class, const char *text)
{
  json_t *line = new_line(id), *error = json_object();

  json_object_set_new(error, "class", json_string(question_error_word(class)));
  json_object_set_new(error, "text", say_text(text));
  json_object_set_new(line, "error", error);
  return line;
}

struct question *
question_new(struct sink *sink, struct world *world,
             const struct caller *caller, const struct control_verb *verb,
             struct request *request)
{
  struct question *q = calloc(1, sizeof *q);

  if (!q)
    return NULL;
  *q = (struct question){
    .sink = sink,
    .world = world,
    .verb = verb,
    .caller = *caller,
    .id = request->id,
    .args = request->args,
  };
  request->id = request->args = NULL;
  return q;
}

const char *
question_string(const struct question *q, const char *key)
{
  return json_string_value(json_object_get(q->args, key));
}

uint64_t
question_number(const struct question *q, const char *key, uint64_t otherwise)
{
  const json_t *value = json_object_get(q->args, key);

  return value ? (uint64_t)json_integer_value(value) : otherwise;
}

void
question_cancel(struct question *q)
{
  void (*cancel)(struct question * q) = q->cancel;

  q->cancel = NULL;
  if (cancel)
    cancel(q);
}

/* -------------------------------------------------------------------- ends */

static void
audit(const struct question *q, const char *class, const char *text)
{
  char who[CALLER_NAME_SIZE];
  char *args = q->args ? json_dumps(q->args, JSON_COMPACT) : NULL;

  if (q->verb->changes)
    log_notice("control: %s: %s%s%.*s: %s%s%s", caller_name(&q->caller, who),
               q->verb->name, args ? " " : "", ARGS_SHOWN, args ? args : "",
               class, text[0] != '\0' ? ": " : "", text);
  free(args);
}

/* With its last line. */
static void
finish(struct question *q, json_t *line)
{
  if (q->sink) {
    q->sink->put(q->sink, line);
    q->sink->done(q->sink, q);
  }
  json_decref(line);
  json_decref(q->id);
  json_decref(q->args);
  free(q);
}

static void
fail(struct question *q, enum question_error class, const char *text)
{
  audit(q, question_error_word(class), text);
  finish(q, question_error_line(q->id, class, text));
}

void
question_fail(struct question *q, enum question_error class, const char *fmt,
              ...)
{
  char text[TEXT_SIZE];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fail(q, class, text);
}

static enum question_error
class_of_errno(int sys)
{
  switch (sys) {
  case ENOENT:
  case ENOTDIR:
    return QUESTION_NOT_FOUND;
  case EACCES:
  case EPERM:
  case EROFS:
    return QUESTION_DENIED;
  case EBUSY:
  case ETXTBSY:
    return QUESTION_IN_USE;
  case ENOSPC:
  case EDQUOT:
    return QUESTION_NO_SPACE;
  case EEXIST:
    return QUESTION_REFUSED;
  case EINVAL:
    return QUESTION_USAGE;
  default:
    return QUESTION_FAILED;
  }
}

static enum question_error
class_of(const struct vhd_error *err)
{
  const enum question_error class = class_of_errno(err->sys);

  if (err->code == VHD_BUSY)
    return QUESTION_IN_USE;
  if (class != QUESTION_NOT_FOUND &&
      (err->code == VHD_STATE || err->code == VHD_JOURNAL))
    return QUESTION_REFUSED;
  return class == QUESTION_FAILED && err->code == VHD_ARGUMENT ? QUESTION_USAGE
                                                               : class;
}

void
question_fail_as(struct question *q, const struct vhd_error *err)
{
  fail(q, class_of(err), err->message);
}

void
question_answer(struct question *q, json_t *result)
{
  json_t *line = result ? new_line(q->id) : NULL;

  if (!line) {
    json_decref(result);
    question_fail(q, QUESTION_FAILED, "there is no memory for the answer");
    return;
  }
  json_object_set_new(line, "result", result);
  audit(q, "done", "");
  finish(q, line);
}

/* -------------------------------------------------------------- in between */

void
question_say(struct question *q, const char *key, json_t *value)
{
  json_t *line = q->sink ? new_line(q->id) : NULL;

  if (line) {
    json_object_set(line, key, value);
    q->sink->put(q->sink, line);
  }
  json_decref(line);
  json_decref(value);
}

void
question_progress(struct question *q, uint64_t done, uint64_t total)
{
  json_t *progress = json_object();

  say_number(progress, "done", done);
  say_number(progress, "total", total);
  question_say(q, "progress", progress);
}

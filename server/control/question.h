/* SPDX-License-Identifier: BSD-2-Clause */
/* question.h: a request of the control socket that is being answered, as a verb
 * sees it.
 *
 *   the socket --> verb->begin(question) --> ... question_progress() ...
 *              --> question_answer() or question_fail(), once, which frees it
 *
 * A verb that cannot answer at once keeps the question and answers from a task
 * of the main thread's loop; nothing waits.  Who asked may have gone meanwhile:
 * then .cancel is called, if the verb has set it, and it answers as soon as it
 * can, to nobody.
 *
 * On the main thread alone. */
#ifndef SERVER_CONTROL_QUESTION_H
#define SERVER_CONTROL_QUESTION_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "control/caller.h"
#include "control/request.h"
#include "vhdkit.h"

struct question;
struct world;

/* Classes of errors: the words are those of the tool's exit codes. */
enum question_error {
  QUESTION_FAILED,
  QUESTION_USAGE,
  QUESTION_NOT_FOUND,
  QUESTION_DENIED,
  QUESTION_IN_USE,
  QUESTION_NO_SPACE,
  QUESTION_REFUSED,
  QUESTION_DAMAGED,
};

struct control_verb {
  const char *name;
  bool changes;                   /* who may only look is refused */
  const struct request_arg *args; /* NULL: it takes none */
  void (*begin)(struct question *q);
};

/* Where answers go. */
struct sink {
  /* Takes a reply; a line of the socket. */
  void (*put)(struct sink *sink, json_t *reply);
  /* How many more bytes it would take without stopping to read. */
  size_t (*room)(struct sink *sink);
  /* The question of that id that is under way, or NULL. */
  struct question *(*find)(struct sink *sink, const json_t *id);
  /* The question has been answered, and is about to be freed. */
  void (*done)(struct sink *sink, struct question *q);
};

struct question {
  TAILQ_ENTRY(question) link;  /* the sink's */
  TAILQ_ENTRY(question) later; /* of who answers some in their order */
  struct sink *sink;           /* NULL: who asked has gone */
  struct world *world;
  const struct control_verb *verb;
  struct caller caller;
  json_t *id, *args; /* NULL: none */
  /* It is not wanted any more: he has gone, or says so. */
  void (*cancel)(struct question *q);
  void *of_verb; /* the verb's own */
};

TAILQ_HEAD(questions, question);

/* An argument; NULL, or otherwise, where it was not given. */
const char *question_string(const struct question *q, const char *key);
uint64_t question_number(const struct question *q, const char *key,
                         uint64_t otherwise);

/* Takes over what is in *request.  NULL where memory is short. */
struct question *question_new(struct sink *sink, struct world *world,
                              const struct caller *caller,
                              const struct control_verb *verb,
                              struct request *request);
/* Who asked has gone, or does not want an answer: calls .cancel once. */
void question_cancel(struct question *q);

/* Both free the question.  result: becomes the answer's; NULL: memory is
 * short. */
void question_answer(struct question *q, json_t *result);
void question_fail(struct question *q, enum question_error class,
                   const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The class of the library's error, and its text. */
void question_fail_as(struct question *q, const struct vhd_error *err);

/* In between: {"id": ..., KEY: value}, the value becomes the line's. */
void question_say(struct question *q, const char *key, json_t *value);
/* So many of so many bytes, or whatever is counted, are done. */
void question_progress(struct question *q, uint64_t done, uint64_t total);

/* ------------------------------------------------------ for what is no verb */

const char *question_error_word(enum question_error class);
/* {"id": ..., "error": {"class": ..., "text": ...}} */
json_t *question_error_line(json_t *id, enum question_error class,
                            const char *text);

#endif

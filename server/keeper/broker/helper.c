/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.c: a helper's life; see helper.h. */
#include "config.h"

#include "keeper/broker/helper.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "config/command_line.h"
#include "keeper/broker/changes.h"
#include "keeper/broker/journals.h"
#include "keeper/broker/policy.h"
#include "vhdkit.h"

struct helper {
  enum broker_helper kind;
  const struct options *options;
  struct policy *policy;
  struct journals journals;
};

static int
find_holder(const struct broker_request *r, int fd, struct broker_answer *a)
{
  const struct vhd_host *host = vhd_host();

  return fd < 0 ? -EBADF
                : host->holder(host->opaque, fd, r->pid, r->number, a->text,
                               sizeof a->text);
}

/* What a request for a file is answered with: a descriptor, 0 or -errno. */
static int
carry_out(struct helper *h, const struct broker_request *r, int fd)
{
  switch ((enum broker_op)r->op) {
  case BROKER_READ:
    return policy_open(h->policy, r->path, false);
  case BROKER_WRITE:
    return policy_open(h->policy, r->path, true);
  case BROKER_LIST:
    return policy_list(h->policy, r->path);
  case BROKER_UNLINK_COMPANION:
    return policy_unlink(h->policy, r->path);
  case BROKER_READ_JOURNAL:
    return journals_read(&h->journals, fd, r->path);
  case BROKER_MAKE_JOURNAL:
    return journals_make(&h->journals, fd, r->path);
  case BROKER_UNLINK_JOURNAL:
    return journals_unlink(&h->journals, fd, r->path);
  case BROKER_RENAME_JOURNAL:
    return journals_rename(&h->journals, fd, r->path, r->to);
  case BROKER_MAKE_PLACE:
    return journals_make_place(r->path);
  default:
    break;
  }
  return -EINVAL;
}

static int
answer(struct helper *h, int channel, const struct broker_request *r, int fd)
{
  struct broker_answer a = { .result = -EINVAL };
  int opened = -1;

  if (!message_is_terminated(r->path, sizeof r->path) ||
      !message_is_terminated(r->to, sizeof r->to)) {
    a.result = -EINVAL;
  } else if (h->kind == BROKER_KEYS) {
    opened = r->op == BROKER_KEY ? policy_key(h->policy, r->path) : -EACCES;
    a.result = opened;
  } else if (h->kind == BROKER_CHANGES) {
    changes_carry_out(h->policy, h->options, r, &a);
  } else if (r->op == BROKER_HOLDER) {
    a.result = find_holder(r, fd, &a);
  } else {
    opened = carry_out(h, r, fd);
    a.result = opened;
  }
  if (opened > 0)
    a.result = 0;
  int sent = message_send(channel, &a, sizeof a, opened > 0 ? opened : -1);
  if (opened > 0)
    close(opened);
  return sent;
}

void
helper_run(int channel, enum broker_helper kind, const struct options *options)
{
  struct helper h = {
    .kind = kind,
    .options = options,
    .policy = policy_new(options),
  };
  struct broker_request r;
  int fd, sent = 0;

  h.journals.any = options->no_sandbox || options->no_landlock;
  while (h.policy && sent == 0) {
    ssize_t n = message_receive(channel, &r, sizeof r, &fd);
    if (n == (ssize_t)sizeof r)
      sent = answer(&h, channel, &r, fd);
    if (fd >= 0)
      close(fd);
    if (n != (ssize_t)sizeof r)
      break; /* the end, or nobody who knows how to speak */
  }
  policy_free(h.policy);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* waiters.c: see waiters.h. */
#include "config.h"

#include "image/waiters.h"
#include "vhdkit.h"

static struct waiter *
waiter_of(struct vhd_request *req)
{
  return (struct waiter *)req->machine;
}

void
waiters_add(struct waiters *w, struct vhd_request *req, const void *key)
{
  *waiter_of(req) = (struct waiter){ w->last, key };
  w->last = req;
}

struct vhd_request *
waiters_take(struct waiters *w, const void *key, struct vhd_request *more)
{
  struct vhd_request **link = &w->last;

  while (*link) {
    struct vhd_request *req = *link;
    struct waiter *waiter = waiter_of(req);
    if (waiter->key != key) {
      link = &waiter->next;
      continue;
    }
    *link = waiter->next;
    waiter->next = more;
    more = req;
  }
  return more;
}

void
waiters_wake(struct vhd_request *list)
{
  while (list) {
    struct vhd_request *req = list;
    list = waiter_of(req)->next;
    req->wake(req);
  }
}

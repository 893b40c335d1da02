/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.c: see budget.h. */
#include "config.h"

#include "disk/budget.h"

struct buf *
budget_get(struct account *account, size_t size)
{
  struct buf *buf = buf_get(account->bufs, size);

  if (buf)
    budget_charge(account, buf_footprint(buf));
  return buf;
}

void
budget_put(struct account *account, struct buf *buf)
{
  budget_discharge(account, buf_footprint(buf));
  buf_unref(account->bufs, buf);
}

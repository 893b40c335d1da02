/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_order.h: what somebody who looks after disks wants of one, and what came
 * of it.  Who asks knows no more than this: the files are another process's. */
#ifndef SERVER_PROVISION_DISK_ORDER_H
#define SERVER_PROVISION_DISK_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "provision/child.h"
#include "provision/disk_folder.h"
#include "vhdkit.h"

enum disk_wish {
  DISK_WISH_STATE,       /* .folder */
  DISK_WISH_CHILDREN,    /* .children */
  DISK_WISH_NEW_VERSION, /* of .number, with .text */
  DISK_WISH_TEST,        /* .number; 0: as the others */
  DISK_WISH_PROMOTE,     /* .number */
  DISK_WISH_SCHEDULE,    /* the same at .when; 0: not any more */
  DISK_WISH_PROMOTE_DUE, /* what is due at .when */
  DISK_WISH_ROLLBACK,    /* of .number; 0: of whatever it is */
  DISK_WISH_DELETE,      /* .number */
  DISK_WISH_APPLY,       /* .client's child becomes a version, with .text */
  DISK_WISH_DESCRIBE,    /* .number, with .text */
  DISK_WISH_DISCARD,     /* .client's child */
};

struct disk_order {
  enum disk_wish wish;
  const char *disk, *client, *text; /* NULL: none */
  unsigned number;
  int64_t when; /* seconds since 1970 */
};

struct disk_outcome {
  unsigned number;           /* the version that it is about; 0: none */
  struct disk_folder folder; /* STATE */
  struct child *children;    /* CHILDREN */
  size_t nchildren;
};

void disk_outcome_clear(struct disk_outcome *outcome);

/* Who has it done: 0, or -errno and *err.  Blocks.  outcome: for
 * disk_outcome_clear(), whatever is returned. */
struct disk_hands {
  int (*give)(void *opaque, const struct disk_order *order,
              struct disk_outcome *outcome, struct vhd_error *err);
  void *opaque;
};

static inline int
disk_order_give(const struct disk_hands *hands, const struct disk_order *order,
                struct disk_outcome *outcome, struct vhd_error *err)
{
  return hands->give(hands->opaque, order, outcome, err);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* orders.h: the worker's side of what is done to whole disks: it gives orders
 * to helpers that do nothing else (message.h, disks.h).
 *
 * After broker_begin(); any thread.  Each order blocks its thread until it has
 * been carried out.  Some are carried out at a time; where a disk hangs, orders
 * wait, and nothing else. */
#ifndef SERVER_KEEPER_BROKER_ORDERS_H
#define SERVER_KEEPER_BROKER_ORDERS_H

#include "keeper/broker/message.h"
#include "vhdkit.h"

struct orders_answer {
  struct broker_report report;
  void *items; /* .report.nitems, one behind the other; free() */
};

/* 0, or -errno with the helper's own words.  item_size: of the items that are
 * expected; 0: none are. */
int orders_give(const struct broker_order *order, size_t item_size,
                struct orders_answer *answer, struct vhd_error *err);

/* The keeper has another configuration: helpers that have the former one are
 * sent home as soon as they have done what they are at. */
void orders_renew(void);
/* No order is under way. */
void orders_end(void);

#endif

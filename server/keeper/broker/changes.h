/* SPDX-License-Identifier: BSD-2-Clause */
/* changes.h: what a helper does to whole images for the worker, which has them
 * closed: the library's own operations on files, each of which leaves an image
 * that is before or after, wherever it is killed.
 *
 * An image is changed only where the worker might write to it; a new file comes
 * beside it, under a name that nothing has.
 *
 * The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_CHANGES_H
#define SERVER_KEEPER_BROKER_CHANGES_H

#include "keeper/broker/message.h"

struct options;
struct policy;

/* The request's strings are terminated. */
void changes_carry_out(struct policy *policy, const struct options *options,
                       const struct broker_request *request,
                       struct broker_answer *answer);

#endif

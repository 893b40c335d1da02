/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.h: a helper: a process of the keeper's that opens files for the
 * worker, one request after the other, as the policy permits.  There are as
 * many as are needed at a time: one that waits for a disk holds up nobody but
 * who asked. */
#ifndef SERVER_KEEPER_BROKER_HELPER_H
#define SERVER_KEEPER_BROKER_HELPER_H

#include "keeper/broker/message.h"

struct options;

/* Serves until the worker closes its end.  For BROKER_FILES the process has
 * become the user that --user names. */
void helper_run(int channel, enum broker_helper kind,
                const struct options *options);

#endif

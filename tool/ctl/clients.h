/* SPDX-License-Identifier: BSD-2-Clause */
/* clients.h: a table of clients, as `clients` and `top` print it. */
#ifndef TOOL_CTL_CLIENTS_H
#define TOOL_CTL_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "json.h"

/* What has changed since it was looked at before. */
struct client_rates {
  double read, written, answered; /* a second */
};

/* rates: of each of them, in their order, instead of sums; or NULL. */
void clients_print(const struct json *const *clients, size_t n,
                   const struct client_rates *rates);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* clients.h: rules of who gets what of the disks (provision/rules.h), as they
 * stand in the configuration file and in a parcel.  Nobody outside this room
 * includes it.  The main thread. */
#ifndef SERVER_CONFIG_CLIENTS_H
#define SERVER_CONFIG_CLIENTS_H

#include "config/reading.h"

struct provision_rule;

/* clients = ( { disk = "..."; who = [ ... ]; policy = "..."; }, ... ) */
int clients_add(struct reading *reading, const config_setting_t *setting);

/* Appends a rule, and takes over its .who, which is freed with the options, or
 * at once where this fails; its strings must live as long.  0 or -ENOMEM. */
int clients_append(struct options *options, const struct provision_rule *rule);

/* Frees the rules, of which strings are not a part. */
void clients_free(struct options *options);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* rules.h: what a client gets who asks for a name.
 *
 * A client has one identity.  What he has proved counts alone: the name in his
 * certificate, or else that of his pre-shared key; who has proved nothing is
 * who he says he is, in the export's name; who says nothing is his address.  So
 * no spelling of an export makes anyone somebody whom a certificate vouches
 * for: a name that is said beside a proved identity must be the same.
 *
 * Pure. */
#ifndef SERVER_PROVISION_RULES_H
#define SERVER_PROVISION_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "provision/client_id.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

/* Each NULL where it is unknown. */
struct provision_asker {
  const char *certificate, *issuer; /* both, or neither */
  const char *psk;
  const char *address; /* text, without a port */
};

struct ruling {
  enum {
    RULING_NOTHING,
    RULING_CHILD,       /* .client's child of .version */
    RULING_VERSION,     /* .version, for reading */
    RULING_MAINTENANCE, /* the version in maintenance, for writing */
  } what;
  enum provision_policy policy; /* of a child: DISCARD, KEEP, PRIVATE or
                                 * THROWAWAY */
  uint64_t quota;               /* of a child; 0: no limit */
  char disk[sizeof((struct disk_name *)0)->disk];
  char client[CLIENT_FILE_MAX + 1]; /* his file, without .vhd; "" */
  char version[sizeof((struct disk_name *)0)->version];
  const char *why; /* of NOTHING: words for the log, which live for ever */
};

/* 0, or -EACCES: NOTHING.  *ruling is filled in always. */
int rules_decide(const struct provision_config *config,
                 const struct provision_asker *asker,
                 const struct disk_name *name, struct ruling *ruling);

/* Can a rule say this of whom it speaks?  "cn:lab-*", "psk:room7",
 * "address:192.0.2.*" or "address:192.0.2.0/24", "name:52-54-00-*" or the same
 * without "name:".  NULL: yes; else why not, which lives for ever. */
const char *rules_check_who(const char *who);

/* Does a pattern stand for all of the text? */
bool rules_match(const char *pattern, const char *text);

#endif

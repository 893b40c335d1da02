/* SPDX-License-Identifier: BSD-2-Clause */
/* provision_config.h: where disks lie, and who gets what of them.  Plain facts,
 * filled in from the configuration file (config/). */
#ifndef SERVER_PROVISION_PROVISION_CONFIG_H
#define SERVER_PROVISION_PROVISION_CONFIG_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of a client's child, or what he gets in its place. */
enum provision_policy {
  PROVISION_DISCARD,   /* a fresh child at each boot */
  PROVISION_KEEP,      /* his child, until it is thrown away by a command */
  PROVISION_PRIVATE,   /* the same, and it does not expire either */
  PROVISION_READONLY,  /* no child: the version, for reading */
  PROVISION_REFUSE,    /* nothing */
  PROVISION_THROWAWAY, /* a child that goes when he has gone */
};

/* What whoever no rule speaks of gets. */
enum provision_unknown {
  PROVISION_UNKNOWN_REFUSE,
  PROVISION_UNKNOWN_READONLY,
  PROVISION_UNKNOWN_THROWAWAY,
};

/* It speaks of a client if all that it says of him holds.  Patterns: a star
 * stands for any text, also an empty one, a question mark for one character. */
struct provision_rule {
  const char *disk;       /* a pattern; NULL: any */
  const char *const *who; /* patterns of identities, see rules.h */
  size_t nwho;            /* 0: whoever has an identity */
  enum provision_policy policy;
  const char *version; /* a link or a number; NULL: production */
  uint64_t quota;      /* bytes of his child's file; 0: the config's */
};

#define PROVISION_LINGER_SEC 300

struct provision_config {
  const char *disks; /* the folder of disks' folders; NULL: there are none */
  const char *children; /* of children's folders */
  const struct provision_rule
    *rules; /* the first that speaks of him decides */
  size_t nrules;
  int unknown;         /* enum provision_unknown */
  unsigned linger_sec; /* without connections for so long: a boot is over */
  uint64_t quota;      /* bytes of a child's file; 0: no limit */
  uint64_t reserve;    /* bytes that stay free where children lie: with less,
                        * nobody boots anew */
};

#endif

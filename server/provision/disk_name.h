/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_name.h: what a client asks for where disks are served: "debian12", his
 * own child of that disk; "debian12/52-54-00-12-34-56", the child of the client
 * that is named; "debian12@3", "debian12@test", a version.
 *
 * A name is hostile until it is parsed, and nothing of it becomes part of a
 * path before.  Pure. */
#ifndef SERVER_PROVISION_DISK_NAME_H
#define SERVER_PROVISION_DISK_NAME_H

#include <stdbool.h>

/* Versions are numbered from 1 to this. */
#define DISK_VERSION_MAX 999999999U

enum disk_name_kind {
  DISK_NAME_OWN,     /* DISK */
  DISK_NAME_CLIENT,  /* DISK/CLIENT */
  DISK_NAME_VERSION, /* DISK@VERSION */
};

struct disk_name {
  char disk[65];
  enum disk_name_kind kind;
  char client[129]; /* as it was said; "" */
  char version[33]; /* digits, or the name of a link; "" */
};

/* The links that a disk's folder may have, which name a version. */
#define DISK_PRODUCTION "production"
#define DISK_TEST "test"
#define DISK_MAINTENANCE "maintenance"

/* 0; -EINVAL: this can be no name of any disk. */
int disk_name_parse(const char *name, struct disk_name *out);

/* A letter or a digit, and then those, dots, low lines and dashes: 64 bytes at
 * most. */
bool disk_name_is_disk(const char *disk);
/* 0: it is no number from 1 to DISK_VERSION_MAX without leading zeros. */
unsigned disk_name_number(const char *version);
/* Is it such a number, or the name of a link? */
bool disk_name_is_version(const char *version);

#endif

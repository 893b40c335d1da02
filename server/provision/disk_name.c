/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_name.c: see disk_name.h. */
#include "config.h"

#include "provision/disk_name.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define OF_DISKS LETTERS DIGITS "._-"
/* A MAC address may be said with colons. */
#define OF_CLIENTS OF_DISKS ":"

/* Does it begin with a letter or a digit, and have these characters alone? */
static bool
is_of(const char *text, const char *alphabet)
{
  return strspn(text, LETTERS DIGITS) > 0 &&
         text[strspn(text, alphabet)] == '\0';
}

/* False: it does not fit. */
static bool
take(char *to, size_t size, const char *from, size_t len)
{
  if (len >= size)
    return false;
  memcpy(to, from, len);
  to[len] = '\0';
  return true;
}

bool
disk_name_is_disk(const char *disk)
{
  return strlen(disk) < sizeof((struct disk_name *)0)->disk &&
         is_of(disk, OF_DISKS);
}

unsigned
disk_name_number(const char *version)
{
  const size_t len = strlen(version);

  return len > 0 && len < 10 && *version != '0' &&
             strspn(version, DIGITS) == len
           ? (unsigned)strtoul(version, NULL, 10)
           : 0;
}

bool
disk_name_is_version(const char *version)
{
  return disk_name_number(version) > 0 ||
         strcmp(version, DISK_PRODUCTION) == 0 ||
         strcmp(version, DISK_TEST) == 0 ||
         strcmp(version, DISK_MAINTENANCE) == 0;
}

int
disk_name_parse(const char *name, struct disk_name *out)
{
  const size_t len = strcspn(name, "/@");
  const char *rest = name[len] ? name + len + 1 : "";

  *out = (struct disk_name){
    .kind = name[len] == '/'   ? DISK_NAME_CLIENT
            : name[len] == '@' ? DISK_NAME_VERSION
                               : DISK_NAME_OWN,
  };
  if (!take(out->disk, sizeof out->disk, name, len) ||
      !disk_name_is_disk(out->disk))
    return -EINVAL;
  switch (out->kind) {
  case DISK_NAME_CLIENT:
    return take(out->client, sizeof out->client, rest, strlen(rest)) &&
               is_of(rest, OF_CLIENTS)
             ? 0
             : -EINVAL;
  case DISK_NAME_VERSION:
    return take(out->version, sizeof out->version, rest, strlen(rest)) &&
               disk_name_is_version(rest)
             ? 0
             : -EINVAL;
  default:
    return 0;
  }
}

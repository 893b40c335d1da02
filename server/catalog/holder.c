/* SPDX-License-Identifier: BSD-2-Clause */
/* holder.c: who has what is for one client at a time; see entry_admit() in
 * entry.h. */
#include "config.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "catalog/entry.h"

/* Who it is and where, but for the port; NULL: memory is short. */
static char *
holder_of(const struct asker *asker)
{
  const struct sockaddr *address = asker->address;
  char where[INET6_ADDRSTRLEN + 32] = "this machine", *text;

  if (address && address->sa_family == AF_INET)
    inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, where,
              sizeof where);
  else if (address && address->sa_family == AF_INET6)
    inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr,
              where, sizeof where);
  else if (address && address->sa_family == AF_VSOCK)
    snprintf(where, sizeof where, "vsock:%u",
             ((const struct sockaddr_vm *)address)->svm_cid);
  return asprintf(&text, "%s%s%s", asker->identity ? asker->identity : "",
                  asker->identity ? " at " : "", where) < 0
           ? NULL
           : text;
}

/* Does somebody have it open, or is about to?  Who only tidies up behind a
 * client that has gone does not count. */
static bool
is_held(const struct entry *entry)
{
  const struct generation *gen = entry->current;

  return entry->opens.busy || (gen && gen->refs > gen->reclaims);
}

bool
entry_admit(struct entry *entry, const struct asker *asker,
            struct remark *remark)
{
  if (!entry->now.origin.lone)
    return true;
  char *who = holder_of(asker);
  if (!who || (is_held(entry) && !text_same(entry->holder, who))) {
    remark->name = strdup(entry->name);
    remark->holder = entry->holder ? strdup(entry->holder) : NULL;
    remark->asker = who;
    return false;
  }
  free(entry->holder);
  entry->holder = who;
  return true;
}

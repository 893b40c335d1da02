/* SPDX-License-Identifier: BSD-2-Clause */
/* holder.c: whose an image is: who has it, where it is for one client at a
 * time, and whether he boots, into another image than before; see entry.h. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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

  return entry->opens.serves || !STAILQ_EMPTY(&entry->opens.waiters) ||
         (gen && gen->refs > gen->reclaims);
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

/* -------------------------------------------------------------------- boots */

static int
find(struct entry *entry, const struct meaning *meaning,
     enum source_purpose purpose, struct found *found, struct vhd_error *err)
{
  return meaning->gone
           ? -ENOENT
           : entry->source->find(&entry->catalog->config, entry->name,
                                 &meaning->origin, purpose, found, err);
}

/* Does who opens it now begin a boot, for which there is to be another image?
 */
static bool
begins_boot(struct entry *entry, const struct meaning *meaning)
{
  struct catalog *catalog = entry->catalog;

  if (!meaning->origin.fresh)
    return false;
  pthread_mutex_lock(&catalog->live.lock);
  const bool begins = !entry->current &&
                      sessions_is_over(catalog->sessions, entry->name,
                                       clock_ns(), entry_linger(entry));
  pthread_mutex_unlock(&catalog->live.lock);
  return begins;
}

/* The former image is thrown away, as soon as we have closed it. */
static int
find_anew(struct entry *entry, const struct meaning *meaning,
          struct found *found, struct vhd_error *err)
{
  struct catalog *catalog = entry->catalog;
  struct file_id file;

  if (find(entry, meaning, SOURCE_LOOKS, found, err) == 0 && !found->will_be &&
      file_id_of(found->path, &file) == 0) {
    pthread_mutex_lock(&catalog->live.lock);
    generations_wait_closing(&catalog->live, &file);
    pthread_mutex_unlock(&catalog->live.lock);
  }
  const int r = find(entry, meaning, SOURCE_OPENS_ANEW, found, err);
  if (r == 0) {
    pthread_mutex_lock(&catalog->live.lock);
    sessions_note(catalog->sessions, entry->name, false, clock_ns(),
                  entry_linger(entry));
    pthread_mutex_unlock(&catalog->live.lock);
  }
  return r;
}

int
entry_find_to_open(struct entry *entry, const struct meaning *meaning,
                   struct found *found, struct vhd_error *err)
{
  return begins_boot(entry, meaning)
           ? find_anew(entry, meaning, found, err)
           : find(entry, meaning, SOURCE_OPENS, found, err);
}

int
entry_find_to_look(struct entry *entry, const struct meaning *meaning,
                   struct found *found, struct vhd_error *err)
{
  return find(entry, meaning,
              begins_boot(entry, meaning) ? SOURCE_LOOKS_ANEW : SOURCE_LOOKS,
              found, err);
}

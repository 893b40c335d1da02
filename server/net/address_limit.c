/* SPDX-License-Identifier: BSD-2-Clause */
/* address_limit.c: see address_limit.h.  Owns the counts, under a lock. */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_LINUX_VM_SOCKETS_H
#include <linux/vm_sockets.h>
#endif

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "net/address_limit.h"
#include "net/visitor.h"

/* Of one kind of address; the rest is zeros. */
struct key {
  int family;
  union {
    struct in6_addr ip;
    uint32_t number; /* a user, a virtual machine */
  } of;
};

struct peer {
  UT_hash_handle hh;
  struct key key;
  unsigned count;
};

struct address_limit {
  pthread_mutex_t lock;
  struct peer *table;
  unsigned max;
};

struct address_limit *
address_limit_new(unsigned max)
{
  struct address_limit *limit = calloc(1, sizeof *limit);
  if (!limit)
    return NULL;
  limit->max = max;
  pthread_mutex_init(&limit->lock, NULL);
  return limit;
}

void
address_limit_free(struct address_limit *limit)
{
  struct peer *peer, *next;

  if (!limit)
    return;
  HASH_ITER(hh, limit->table, peer, next) {
    HASH_DEL(limit->table, peer);
    free(peer);
  }
  pthread_mutex_destroy(&limit->lock);
  free(limit);
}

static void
key_of_ip(const struct visitor *visitor, struct key *key)
{
  struct in6_addr *ip = &key->of.ip;

  key->family = AF_INET6;
  if (visitor_family(visitor) == AF_INET) {
    memset(ip->s6_addr + 10, 0xff, 2);
    memcpy(ip->s6_addr + 12, &visitor->address.in.sin_addr, 4);
    return;
  }
  *ip = visitor->address.in6.sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(ip) && !IN6_IS_ADDR_LOOPBACK(ip))
    memset(ip->s6_addr + 8, 0, 8);
}

/* False: it is not known who that is. */
static bool
make_key(const struct visitor *visitor, struct key *key)
{
  memset(key, 0, sizeof *key);
  key->family = visitor_family(visitor);
  switch (key->family) {
  case AF_INET:
  case AF_INET6:
    key_of_ip(visitor, key);
    return true;
  case AF_UNIX:
    key->of.number = visitor->uid;
    return visitor->uid != (uid_t)-1;
#ifdef HAVE_LINUX_VM_SOCKETS_H
  case AF_VSOCK: {
    struct sockaddr_vm vm = { .svm_cid = 0 };
    memcpy(&vm, &visitor->address, sizeof vm);
    key->of.number = vm.svm_cid;
    return true;
  }
#endif
  default:
    return false;
  }
}

int
address_limit_enter(struct address_limit *limit, const struct visitor *visitor,
                    struct peer **out)
{
  struct key key;
  struct peer *peer;
  int r = 0;

  *out = NULL;
  if (limit->max == 0 || !make_key(visitor, &key))
    return 0;
  pthread_mutex_lock(&limit->lock);
  HASH_FIND(hh, limit->table, &key, sizeof key, peer);
  if (!peer) {
    peer = calloc(1, sizeof *peer);
    if (peer) {
      peer->key = key;
      HASH_ADD(hh, limit->table, key, sizeof peer->key, peer);
      if (!peer->hh.tbl) {
        free(peer);
        peer = NULL;
      }
    }
  }
  if (!peer)
    r = -ENOMEM;
  else if (peer->count >= limit->max)
    r = -EDQUOT;
  else
    peer->count++;
  pthread_mutex_unlock(&limit->lock);
  if (r == 0)
    *out = peer;
  return r;
}

void
address_limit_leave(struct address_limit *limit, struct peer *peer)
{
  if (!peer)
    return;
  pthread_mutex_lock(&limit->lock);
  if (--peer->count == 0) {
    HASH_DEL(limit->table, peer);
    free(peer);
  }
  pthread_mutex_unlock(&limit->lock);
}

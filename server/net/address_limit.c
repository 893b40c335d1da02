/* SPDX-License-Identifier: BSD-2-Clause */
/* address_limit.c: see address_limit.h.  Owns the counts, under a lock. */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "net/address_limit.h"

struct peer {
  UT_hash_handle hh;
  struct in6_addr key;
  unsigned count;
};

struct peers {
  pthread_mutex_t lock;
  struct peer *table;
  unsigned max;
};

struct peers *
peers_new(unsigned max)
{
  struct peers *peers = calloc(1, sizeof *peers);
  if (!peers)
    return NULL;
  peers->max = max;
  pthread_mutex_init(&peers->lock, NULL);
  return peers;
}

void
peers_free(struct peers *peers)
{
  struct peer *peer, *next;

  if (!peers)
    return;
  HASH_ITER(hh, peers->table, peer, next) {
    HASH_DEL(peers->table, peer);
    free(peer);
  }
  pthread_mutex_destroy(&peers->lock);
  free(peers);
}

static int
make_key(const struct sockaddr *addr, socklen_t len, struct in6_addr *key)
{
  struct sockaddr_in in;
  struct sockaddr_in6 in6;

  memset(key, 0, sizeof *key);
  if (addr && addr->sa_family == AF_INET && len >= sizeof in) {
    memcpy(&in, addr, sizeof in);
    memset(key->s6_addr + 10, 0xff, 2);
    memcpy(key->s6_addr + 12, &in.sin_addr, 4);
    return 0;
  }
  if (addr && addr->sa_family == AF_INET6 && len >= sizeof in6) {
    memcpy(&in6, addr, sizeof in6);
    *key = in6.sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(key) && !IN6_IS_ADDR_LOOPBACK(key))
      memset(key->s6_addr + 8, 0, 8);
    return 0;
  }
  return -EAFNOSUPPORT;
}

int
peers_enter(struct peers *peers, const struct sockaddr *addr, socklen_t len,
            struct peer **out)
{
  struct in6_addr key;
  struct peer *peer;
  int r = 0;

  *out = NULL;
  if (peers->max == 0 || make_key(addr, len, &key) < 0)
    return 0;
  pthread_mutex_lock(&peers->lock);
  HASH_FIND(hh, peers->table, &key, sizeof key, peer);
  if (!peer) {
    peer = calloc(1, sizeof *peer);
    if (peer) {
      peer->key = key;
      HASH_ADD(hh, peers->table, key, sizeof peer->key, peer);
      if (!peer->hh.tbl) {
        free(peer);
        peer = NULL;
      }
    }
  }
  if (!peer)
    r = -ENOMEM;
  else if (peer->count >= peers->max)
    r = -EDQUOT;
  else
    peer->count++;
  pthread_mutex_unlock(&peers->lock);
  if (r == 0)
    *out = peer;
  return r;
}

void
peers_leave(struct peers *peers, struct peer *peer)
{
  if (!peer)
    return;
  pthread_mutex_lock(&peers->lock);
  if (--peer->count == 0) {
    HASH_DEL(peers->table, peer);
    free(peer);
  }
  pthread_mutex_unlock(&peers->lock);
}

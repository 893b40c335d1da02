/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "disk.h"

struct request {
  uint64_t id, issued;
  uint64_t off, len;
  uint16_t op;
  bool fua;
};

static void *
must(void *p)
{
  if (!p)
    abort();
  return p;
}

static uint64_t
hash_of(const uint8_t *bytes)
{
  uint64_t h = 0x9e3779b97f4a7c15ULL;

  for (int i = 0; i < 64; i++) {
    uint64_t w;
    memcpy(&w, bytes + i * 8, 8);
    h = (h ^ w) * 0xff51afd7ed558ccdULL;
    h ^= h >> 32;
  }
  return h;
}

static struct version *
add_version(struct disk *d, uint64_t sec)
{
  struct sector *s = &d->sector[sec];

  if (s->n == s->room) {
    s->room = s->room ? 2 * s->room : 1;
    s->version = must(realloc(s->version, s->room * sizeof *s->version));
  }
  struct version *v = &s->version[s->n++];
  *v = (struct version){ .acked = NEVER, .durable = NEVER };
  return v;
}

void
disk_init(struct disk *d, const uint8_t *first, uint64_t nsec,
          const uint8_t *content)
{
  memset(d, 0, sizeof *d);
  d->nsec = nsec;
  d->content = content;
  d->sector = must(calloc(nsec, sizeof *d->sector));
  for (uint64_t sec = 0; sec < nsec; sec++) {
    struct version *v = add_version(d, sec);
    v->acked = v->durable = 0;
    v->hash = hash_of(first + sec * 512);
  }
}

void
disk_free(struct disk *d)
{
  for (uint64_t sec = 0; sec < d->nsec; sec++)
    free(d->sector[sec].version);
  free(d->sector);
  free(d->request);
  free(d->waiting);
}

/* -------------------------------------------------------------- the client */

static void
add_versions(struct disk *d, const struct record *rec, uint64_t at)
{
  static const uint8_t zeros[512];

  for (uint64_t i = 0; i < rec->len / 512; i++) {
    struct version *v = add_version(d, rec->off / 512 + i);
    bool clears = rec->kind == RECORD_ISSUE &&
                  (rec->op == REQUEST_ZERO || rec->op == REQUEST_TRIM);
    v->request = rec->id;
    v->issued = at;
    v->acked = rec->kind == RECORD_SEEN ? at : NEVER;
    v->hash = hash_of(clears ? zeros : d->content + rec->data + i * 512);
    v->may = rec->kind == RECORD_ISSUE && rec->op == REQUEST_TRIM;
    if (d->nwaiting == d->waiting_room) {
      d->waiting_room = d->waiting_room ? 2 * d->waiting_room : 1024;
      d->waiting = must(realloc(d->waiting, d->waiting_room * 8));
    }
    d->waiting[d->nwaiting++] = rec->off / 512 + i;
  }
}

static struct request *
find_request(struct disk *d, uint64_t id)
{
  for (uint64_t i = d->nrequest; i-- > 0;)
    if (d->request[i].id == id)
      return &d->request[i];
  abort();
}

/* What was acknowledged before `issued` is durable from now on. */
static void
flushed(struct disk *d, uint64_t issued, uint64_t at)
{
  uint64_t kept = 0;

  for (uint64_t i = 0; i < d->nwaiting; i++) {
    struct sector *s = &d->sector[d->waiting[i]];
    bool waits = false;
    for (uint32_t j = s->n; j-- > 0 && s->version[j].durable == NEVER;) {
      if (s->version[j].acked < issued)
        s->version[j].durable = at;
      else
        waits = true;
    }
    if (waits)
      d->waiting[kept++] = d->waiting[i];
  }
  d->nwaiting = kept;
}

static void
acknowledged(struct disk *d, const struct record *rec, uint64_t at)
{
  struct request *r = find_request(d, rec->id);

  if (rec->result < 0)
    return;
  if (r->op == REQUEST_FLUSH) {
    flushed(d, r->issued, at);
    return;
  }
  for (uint64_t i = 0; i < r->len / 512; i++) {
    struct sector *s = &d->sector[r->off / 512 + i];
    for (uint32_t j = s->n; j-- > 0;)
      if (s->version[j].request == r->id) {
        s->version[j].acked = at;
        if (r->fua)
          s->version[j].durable = at;
        break;
      }
  }
}

void
disk_take(struct disk *d, const struct record *rec, uint64_t at)
{
  switch (rec->kind) {
  case RECORD_ISSUE:
    if (d->nrequest == d->request_room) {
      d->request_room = d->request_room ? 2 * d->request_room : 1024;
      d->request =
        must(realloc(d->request, d->request_room * sizeof *d->request));
    }
    d->request[d->nrequest++] = (struct request){
      rec->id, at, rec->off, rec->len, rec->op, rec->result & REQUEST_FUA,
    };
    if (rec->op != REQUEST_FLUSH)
      add_versions(d, rec, at);
    break;
  case RECORD_ACK:
    acknowledged(d, rec, at);
    break;
  case RECORD_SEEN:
    add_versions(d, rec, at);
    break;
  case RECORD_CLOSED:
    flushed(d, at, at);
    break;
  default:
    break;
  }
}

/* ----------------------------------------------------------------- judging */

/* The first version that the sector may still have. */
static uint32_t
oldest(const struct sector *s, uint64_t at)
{
  for (uint32_t i = s->n; i-- > 0;)
    if (s->version[i].durable < at && !s->version[i].may)
      return i;
  return 0;
}

enum verdict
disk_judge(const struct disk *d, uint64_t sec, const uint8_t *bytes,
           uint64_t at)
{
  static const uint8_t zeros[512];
  const struct sector *s = &d->sector[sec];
  uint64_t hash = hash_of(bytes);
  uint32_t floor = oldest(s, at);

  for (uint32_t i = floor; i < s->n && s->version[i].issued < at; i++)
    if (s->version[i].hash == hash)
      return RIGHT;
  for (uint32_t i = 0; i < floor; i++)
    if (s->version[i].hash == hash)
      return LOST;
  return memcmp(bytes, zeros, 512) == 0 ? ZEROED : FOREIGN;
}

bool
disk_unsettled(const struct disk *d, uint64_t sec, uint64_t at)
{
  uint64_t first = sec / 8 * 8;

  for (uint64_t i = first; i < first + 8 && i < d->nsec; i++) {
    const struct sector *s = &d->sector[i];
    uint32_t floor = oldest(s, at);
    if (floor + 1 < s->n && s->version[floor + 1].issued < at)
      return true;
  }
  return false;
}

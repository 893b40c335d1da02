/* SPDX-License-Identifier: BSD-2-Clause */
/* model.c: see model.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "model.h"

/* The hash h, and the word at these bytes in it. */
static uint64_t
mix(uint64_t h, const uint8_t *bytes)
{
  uint64_t w;

  memcpy(&w, bytes, sizeof w);
  h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
  return h ^ h >> 29;
}

/* Each look at a disk hashes all of it.  Each quarter by itself, for no step of
 * one waits for another's; and in variables of their own, or compilers take
 * them for vectors, which cannot multiply. */
static uint64_t
hash_sector(const uint8_t *bytes)
{
  uint64_t a = 0xcbf29ce484222325ULL, b = 1, c = 2, d = 3;

  for (unsigned i = 0; i < 128; i += 8) {
    a = mix(a, bytes + i);
    b = mix(b, bytes + 128 + i);
    c = mix(c, bytes + 256 + i);
    d = mix(d, bytes + 384 + i);
  }
  a = mix(a, (const uint8_t *)&b);
  a = mix(a, (const uint8_t *)&c);
  return mix(a, (const uint8_t *)&d);
}

struct model *
model_new(uint32_t nsec)
{
  struct model *m = calloc(1, sizeof *m);

  m->nsec = nsec;
  m->sector = calloc(nsec, sizeof *m->sector);
  m->bytes = calloc(nsec, 512);
  m->now = 1;
  return m;
}

void
model_free(struct model *m)
{
  free(m->sector);
  free(m->bytes);
  free(m);
}

void
model_reset(struct model *m, const uint8_t *disk)
{
  memmove(m->bytes, disk, (size_t)m->nsec * 512);
  for (uint32_t i = 0; i < m->nsec; i++) {
    struct sector *s = &m->sector[i];
    s->n = 1;
    s->writing = false;
    s->value[0] = (struct value){ hash_sector(m->bytes + i * 512), NEVER,
                                   false };
  }
}

static void
add_value(struct sector *s, uint64_t hash)
{
  for (unsigned i = 0; i < s->n; i++)
    if (s->value[i].hash == hash) {
      s->value[i].replaced = NEVER;
      s->value[i].struck = false;
      return;
    }
  if (s->n == MODEL_VALUES)
    abort();
  s->value[s->n++] = (struct value){ hash, NEVER, false };
}

/* Calls for each sector that the range touches, with the sector's bytes as the
 * change leaves them. */
static void
each_sector(struct model *m, uint64_t off, uint64_t len, const uint8_t *buf,
            void (*each)(struct model *, uint32_t sec, const uint8_t *bytes))
{
  uint8_t bytes[512];

  for (uint64_t pos = off; pos < off + len;) {
    uint32_t sec = (uint32_t)(pos / 512);
    uint64_t n = MIN(off + len - pos, 512 - pos % 512);
    memcpy(bytes, m->bytes + (uint64_t)sec * 512, 512);
    if (buf)
      memcpy(bytes + pos % 512, buf + (pos - off), n);
    else
      memset(bytes + pos % 512, 0, n);
    each(m, sec, bytes);
    pos += n;
  }
}

static void
begin_sector(struct model *m, uint32_t sec, const uint8_t *bytes)
{
  m->sector[sec].writing = true;
  add_value(&m->sector[sec], hash_sector(bytes));
}

void
model_begin(struct model *m, uint64_t off, uint64_t len, const uint8_t *buf)
{
  m->now++;
  each_sector(m, off, len, buf, begin_sector);
}

static void
done_sector(struct model *m, uint32_t sec, const uint8_t *bytes)
{
  struct sector *s = &m->sector[sec];
  uint64_t hash = hash_sector(bytes);

  for (unsigned i = 0; i < s->n; i++)
    if (s->value[i].hash != hash && s->value[i].replaced == NEVER)
      s->value[i].replaced = m->now;
  s->writing = false;
  memcpy(m->bytes + (uint64_t)sec * 512, bytes, 512);
}

/* Values replaced by then are gone for good, but for reads that began
 * before. */
static void
strike(const struct model *m, struct sector *s, uint64_t since)
{
  unsigned kept = 0;

  for (unsigned i = 0; i < s->n; i++) {
    struct value *v = &s->value[i];
    v->struck |= v->replaced <= since;
    if (!v->struck || v->replaced > m->oldest)
      s->value[kept++] = *v;
  }
  s->n = kept;
}

void
model_done(struct model *m, uint64_t off, uint64_t len, const uint8_t *buf,
           bool durable)
{
  m->now++;
  each_sector(m, off, len, buf, done_sector);
  for (uint32_t sec = (uint32_t)(off / 512);
       durable && len > 0 && sec <= (off + len - 1) / 512; sec++)
    strike(m, &m->sector[sec], m->now);
}

void
model_unsure(struct model *m, uint64_t off, uint64_t len)
{
  m->now++;
  for (uint32_t sec = (uint32_t)(off / 512);
       len > 0 && sec <= (off + len - 1) / 512; sec++)
    m->sector[sec].writing = false;
}

void
model_flushed(struct model *m, uint64_t since)
{
  m->now++;
  for (uint32_t i = 0; i < m->nsec; i++)
    strike(m, &m->sector[i], since);
}

bool
model_allows(const struct model *m, uint32_t sec, const uint8_t *bytes,
             uint64_t since)
{
  const struct sector *s = &m->sector[sec];
  uint64_t hash = hash_sector(bytes);

  for (unsigned i = 0; i < s->n; i++)
    if (s->value[i].hash == hash && s->value[i].replaced > since)
      return since > 0 || !s->value[i].struck;
  return false;
}

bool
model_room(const struct model *m)
{
  for (uint32_t i = 0; i < m->nsec; i++)
    if (m->sector[i].n > MODEL_VALUES - 4)
      return false;
  return true;
}

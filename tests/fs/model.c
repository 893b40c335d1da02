/* SPDX-License-Identifier: BSD-2-Clause */
/* model.c: see model.h. */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

#define WORDS (SECTOR / 8)

static size_t
model_bytes(uint64_t nsec)
{
  return sizeof(struct model) + nsec * sizeof(struct known);
}

struct model *
model_map(const char *path, uint64_t nsec, uint64_t seed)
{
  struct stat st;
  int fd = open(path, O_RDWR | O_CLOEXEC | (nsec ? O_CREAT | O_TRUNC : 0),
                0600);
  if (fd < 0 || (nsec && ftruncate(fd, (off_t)model_bytes(nsec)) < 0) ||
      fstat(fd, &st) < 0)
    err(99, "%s", path);
  struct model *m = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
                         MAP_SHARED, fd, 0);
  if (m == MAP_FAILED)
    err(99, "%s", path);
  close(fd);
  if (nsec) {
    m->nsec = nsec;
    m->seed = seed;
    model_fill(m, 0);
  }
  return m;
}

void
model_unmap(struct model *m)
{
  munmap(m, model_bytes(m->nsec));
}

static uint64_t
mix(uint64_t x)
{
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 29;
  x *= 0xbf58476d1ce4e5b9;
  return x ^ x >> 32;
}

uint64_t
model_random(struct model *m, uint64_t n)
{
  return mix(m->seed += 0x9e3779b97f4a7c15) % n;
}

void
sector_fill(uint8_t *buf, uint64_t sec, uint8_t value)
{
  uint64_t word[WORDS] = { 0 };
  uint64_t first = mix(sec + 1) << 8 | value;

  for (unsigned i = 0; value != 0 && i < WORDS; i++)
    word[i] = first + i * 0x100000000000001;
  memcpy(buf, word, SECTOR);
}

int
sector_value(const uint8_t *buf, uint64_t sec)
{
  uint64_t first;
  uint8_t want[SECTOR];

  memcpy(&first, buf, sizeof first);
  sector_fill(want, sec, (uint8_t)(first & 255));
  return memcmp(buf, want, SECTOR) == 0 ? (int)(first & 255) : -1;
}

static void
add(struct values *v, uint8_t value)
{
  v->bit[value / 64] |= 1ULL << value % 64;
}

static void
only(struct values *v, uint8_t value)
{
  memset(v, 0, sizeof *v);
  add(v, value);
}

void
model_fill(struct model *m, uint8_t value)
{
  model_set(m, 0, m->nsec, value, DURABLE);
}

uint8_t
model_next(struct model *m)
{
  m->value = m->value < 2 || m->value == 255 ? 2 : m->value + 1;
  return (uint8_t)m->value;
}

void
model_set(struct model *m, uint64_t sec, uint64_t nsec, uint8_t value,
          enum outcome outcome)
{
  for (struct known *k = m->sector + sec; k < m->sector + sec + nsec; k++) {
    if (outcome == FAILED)
      add(&k->now, value);
    else
      only(&k->now, value);
    if (outcome == DURABLE)
      only(&k->cut, value);
    else
      add(&k->cut, value);
  }
}

void
model_may(struct model *m, uint64_t sec, uint64_t nsec, uint8_t value)
{
  model_set(m, sec, nsec, value, FAILED);
}

void
model_flushed(struct model *m)
{
  for (uint64_t i = 0; i < m->nsec; i++)
    m->sector[i].cut = m->sector[i].now;
}

void
model_cut(struct model *m)
{
  for (uint64_t i = 0; i < m->nsec; i++)
    m->sector[i].now = m->sector[i].cut;
}

bool
model_seen(const struct model *m, uint64_t sec, int value)
{
  return value >= 0 &&
         (m->sector[sec].now.bit[value / 64] >> value % 64 & 1) != 0;
}

void
model_settle(struct model *m, uint64_t sec, int value)
{
  only(&m->sector[sec].now, (uint8_t)value);
  only(&m->sector[sec].cut, (uint8_t)value);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * content: what reads ought to return. See content.h.
 */

#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content.h"
#include "fail.h"
#include "wire.h"

/* The N bytes read at OFFSET must be EXPECTED. */
static void
compare(uint64_t offset, const uint8_t *data, const uint8_t *expected, size_t n)
{
  if (data && memcmp(data, expected, n) == 0)
    return;
  for (size_t i = 0; i < n; i++) {
    uint8_t byte = data ? data[i] : 0;
    if (byte != expected[i])
      fail(FAIL_CONTENT, "wrong content at offset %llu: 0x%02x for 0x%02x%s",
           (unsigned long long)(offset + i), byte, expected[i],
           data ? "" : " (the server sent a hole)");
  }
}

/* --- The same bytes in a file ------------------------------------------ */

struct reference {
  const uint8_t *bytes;
  uint64_t size;
};

struct reference *
reference_open(const char *path)
{
  struct reference *reference = xcalloc(1, sizeof *reference);
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, &st) < 0)
    fail(FAIL_USAGE, "%s: %s", path, strerror(errno));
  reference->size = st.st_size;
  if (st.st_size) {
    void *p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
      fail(FAIL_USAGE, "%s: %s", path, strerror(errno));
    reference->bytes = p;
  }
  close(fd);
  return reference;
}

void
reference_close(struct reference *reference)
{
  if (!reference)
    return;
  if (reference->bytes)
    munmap((void *)reference->bytes, reference->size);
  free(reference);
}

void
reference_compare(const struct reference *reference, uint64_t offset,
                  const uint8_t *data, size_t n)
{
  static const uint8_t zeros[4096];

  if (offset < reference->size) {
    uint64_t inside = reference->size - offset;
    size_t len = n < inside ? n : (size_t)inside;
    compare(offset, data, reference->bytes + offset, len);
    offset += len;
    n -= len;
    if (data)
      data += len;
  }
  while (data && n) {
    size_t len = n < sizeof zeros ? n : sizeof zeros;
    compare(offset, data, zeros, len);
    offset += len;
    data += len;
    n -= len;
  }
}

/* --- What we wrote ----------------------------------------------------- */

#define TURN_UNKNOWN 0

struct ledger {
  uint64_t offset;
  uint64_t count;
  uint32_t block;
  uint32_t seed;
  uint32_t last_turn;
  uint32_t *turns;  /* of each block: when it was last written */
  bool *busy;
  uint8_t filler[LEDGER_SECTOR];
};

struct ledger *
ledger_new(uint64_t offset, uint64_t count, uint32_t block, uint32_t seed)
{
  struct ledger *ledger = xcalloc(1, sizeof *ledger);

  assert(block % LEDGER_SECTOR == 0 && offset % LEDGER_SECTOR == 0);
  ledger->offset = offset;
  ledger->count = count;
  ledger->block = block;
  ledger->seed = seed;
  ledger->turns = xcalloc(count, sizeof *ledger->turns);
  ledger->busy = xcalloc(count, sizeof *ledger->busy);
  for (unsigned i = 0; i < LEDGER_SECTOR; i++)
    ledger->filler[i] = (uint8_t)(i * 167 + 13) | 1;
  return ledger;
}

void
ledger_free(struct ledger *ledger)
{
  if (!ledger)
    return;
  free(ledger->turns);
  free(ledger->busy);
  free(ledger);
}

bool
ledger_is_busy(const struct ledger *ledger, uint64_t index)
{
  return ledger->busy[index];
}

/* What the sector at OFFSET holds after the given turn. */
static void
make_sector(const struct ledger *ledger, uint64_t offset, uint32_t turn,
            uint8_t *sector)
{
  memcpy(sector, ledger->filler, LEDGER_SECTOR);
  put_be64(sector, offset);
  put_be32(sector + 8, ledger->seed);
  put_be32(sector + 12, turn);
}

void
ledger_begin(struct ledger *ledger, uint64_t index, uint8_t *payload)
{
  uint64_t offset = ledger->offset + index * ledger->block;

  assert(index < ledger->count && !ledger->busy[index]);
  ledger->busy[index] = true;
  ledger->turns[index] = ++ledger->last_turn;
  for (uint32_t i = 0; i < ledger->block; i += LEDGER_SECTOR)
    make_sector(ledger, offset + i, ledger->last_turn, payload + i);
}

void
ledger_end(struct ledger *ledger, uint64_t index, bool good)
{
  assert(ledger->busy[index]);
  ledger->busy[index] = false;
  if (!good)
    ledger->turns[index] = TURN_UNKNOWN;
}

uint64_t
ledger_next(const struct ledger *ledger, uint64_t index)
{
  while (index < ledger->count && ledger->turns[index] == TURN_UNKNOWN)
    index++;
  return index;
}

void
ledger_compare(const struct ledger *ledger, uint64_t offset,
               const uint8_t *data, size_t n)
{
  uint8_t sector[LEDGER_SECTOR];
  uint64_t index = (offset - ledger->offset) / ledger->block;

  while (n) {
    size_t skip = offset % LEDGER_SECTOR;
    size_t len = LEDGER_SECTOR - skip < n ? LEDGER_SECTOR - skip : n;
    make_sector(ledger, offset - skip, ledger->turns[index], sector);
    compare(offset, data, sector + skip, len);
    offset += len;
    n -= len;
    if (data)
      data += len;
  }
}

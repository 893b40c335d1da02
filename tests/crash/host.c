/* SPDX-License-Identifier: BSD-2-Clause */
/* host.c: see host.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host.h"

#define SECTOR 512
#define PAGE 4096

static void *
must(void *p)
{
  if (!p)
    abort();
  return p;
}

static void *
grow(void *array, unsigned n, unsigned *room, size_t each)
{
  if (n < *room)
    return array;
  *room = *room ? 2 * *room : 64;
  return must(realloc(array, *room * each));
}

void
content_init(struct content *c, uint64_t room)
{
  c->size = 0;
  c->bytes = mmap(NULL, room, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (c->bytes == MAP_FAILED)
    abort();
}

void
content_free(struct content *c, uint64_t room)
{
  munmap(c->bytes, room);
}

static void
content_resize(struct content *c, uint64_t size)
{
  if (size < c->size)
    memset(c->bytes + size, 0, c->size - size);
  c->size = size;
}

/* A sector that the file is too short for is lost. */
static void
apply_sector(struct content *c, const struct change *ch, uint32_t i)
{
  uint64_t off = ch->off + (uint64_t)i * SECTOR;

  if (off >= c->size || (ch->dead && ch->dead[i]))
    return;
  uint64_t n = c->size - off < SECTOR ? c->size - off : SECTOR;
  if (ch->bytes)
    memcpy(c->bytes + off, ch->bytes + (uint64_t)i * SECTOR, n);
  else
    memset(c->bytes + off, 0, n);
}

static void
apply(struct content *c, const struct change *ch)
{
  for (uint32_t i = 0; i < ch->nsec; i++)
    apply_sector(c, ch, i);
}

void
host_init(struct host *h, const uint8_t *bytes, uint64_t size, uint64_t room)
{
  memset(h, 0, sizeof *h);
  h->room = room;
  h->aside = must(calloc(room / PAGE + 1, 1));
  content_init(&h->live, room);
  content_init(&h->durable, room);
  memcpy(h->live.bytes, bytes, size);
  memcpy(h->durable.bytes, bytes, size);
  h->live.size = h->durable.size = size;
}

static void
change_free(struct change *ch)
{
  free(ch->bytes);
  free(ch->dead);
}

void
host_free(struct host *h)
{
  for (unsigned i = 0; i < h->nchange; i++)
    change_free(&h->change[i]);
  free(h->change);
  free(h->aside);
  free(h->open);
  free(h->open_at);
  content_free(&h->live, h->room);
  content_free(&h->durable, h->room);
}

/* ----------------------------------------------------------------- changes */

static struct change *
add_change(struct host *h, uint64_t at)
{
  h->change = grow(h->change, h->nchange, &h->change_room, sizeof *h->change);
  struct change *ch = &h->change[h->nchange++];
  *ch = (struct change){ .end = at };
  return ch;
}

static struct change *
add_resize(struct host *h, struct content *c, uint64_t size, uint64_t at)
{
  struct change *ch = add_change(h, at);

  ch->resize = true;
  ch->off = size;
  content_resize(c, size);
  return ch;
}

/* The bytes [off, off + len) of c have just changed. */
static void
add_bytes(struct host *h, const struct content *c, uint64_t off, uint64_t len,
          bool zeros, uint64_t at)
{
  uint64_t from = off / SECTOR * SECTOR;
  struct change *ch = add_change(h, at);

  ch->off = from;
  ch->nsec = (uint32_t)((off + len - from + SECTOR - 1) / SECTOR);
  if (zeros && off % SECTOR == 0 && len % SECTOR == 0)
    return;
  ch->bytes = must(malloc((size_t)ch->nsec * SECTOR));
  memcpy(ch->bytes, c->bytes + from, (size_t)ch->nsec * SECTOR);
}

/* A page that was set aside shows nothing of what its place held before. */
static void
set_aside(struct host *h, uint64_t off, uint64_t end, uint8_t value)
{
  off = (off + PAGE - 1) / PAGE;
  end = end / PAGE;
  if (off < end)
    memset(h->aside + off, value, end - off);
}

/* A file system gives space by whole pages, also where less is asked for. */
static void
reserve(struct host *h, uint64_t off, uint64_t end)
{
  set_aside(h, off / PAGE * PAGE, (end + PAGE - 1) / PAGE * PAGE, 1);
}

/* What `done` bytes of a call do to c. */
static void
carry_out(struct host *h, struct content *c, const struct record *call,
          uint64_t done, uint64_t at)
{
  uint64_t end = call->off + done;

  if (done == 0)
    return;
  switch ((enum call_op)call->op) {
  case CALL_WRITE:
  case CALL_DURABLE_WRITE:
    if (end > c->size)
      add_resize(h, c, end, at)->of_write = true;
    memcpy(c->bytes + call->off, h->data[call->life] + call->data, done);
    add_bytes(h, c, call->off, done, false, at);
    break;
  case CALL_CLEAR:
  case CALL_PUNCH:
    end = end < c->size ? end : c->size;
    if (call->off >= end)
      break;
    set_aside(h, call->off, end, call->op == CALL_CLEAR);
    memset(c->bytes + call->off, 0, end - call->off);
    add_bytes(h, c, call->off, end - call->off, true, at);
    break;
  case CALL_RESERVE:
    reserve(h, call->off, end);
    break;
  case CALL_EXTEND:
    reserve(h, call->off, end);
    if (end > c->size)
      add_resize(h, c, end, at);
    break;
  case CALL_TRUNCATE:
    set_aside(h, call->off, h->room, 0);
    add_resize(h, c, call->off, at);
    break;
  default:
    break;
  }
}

/* -------------------------------------------------------------- durability */

/* What the first n changes have in these sectors does not come back. */
static void
bury(struct host *h, unsigned n, uint64_t off, uint64_t end)
{
  for (unsigned i = 0; i < n; i++) {
    struct change *ch = &h->change[i];
    if (ch->resize || ch->off >= end || off >= ch->off + ch->nsec * 512ULL)
      continue;
    if (!ch->dead)
      ch->dead = must(calloc(ch->nsec, 1));
    for (uint32_t s = 0; s < ch->nsec; s++) {
      uint64_t at = ch->off + s * 512ULL;
      if (at >= off && at < end)
        ch->dead[s] = 1;
    }
  }
}

/* A durable write needs the file's end where its bytes are: so many of the
 * changes, oldest first, up to the last that brings it there. */
static unsigned
needed(const struct host *h, const struct record *call)
{
  uint64_t size = h->durable.size, end = call->off + call->len;
  unsigned n = 0;

  for (unsigned i = 0; i < h->nchange; i++) {
    const struct change *ch = &h->change[i];
    if (!ch->resize || ch->doomed)
      continue;
    if (size < end && ch->off >= end)
      n = i + 1;
    size = ch->off;
  }
  return n;
}

/* Whether a sync that began then, or a durable write that ended at this moment,
 * has to do with the change; need: before it is what the latter needs. */
static bool
covers(const struct record *sync, const struct change *ch, bool need,
       uint64_t began, uint64_t at)
{
  if (sync->op == CALL_SYNC)
    return ch->end < began;
  return ch->end == at || (ch->resize && need);
}

static void
settle_size(struct host *h, unsigned n, uint64_t size)
{
  bury(h, n, size, UINT64_MAX);
  content_resize(&h->durable, size);
}

/* Size ch is durable, and so are all of the n changes before it: each was the
 * file's for a while, and what it cut off is gone, a failed sync or not.
 * Returns how many of the n are left. */
static unsigned
settle_sizes(struct host *h, unsigned n, const struct change *ch)
{
  unsigned left = 0;

  for (unsigned i = 0; i < n; i++) {
    struct change older = h->change[i];
    if (older.resize)
      settle_size(h, left, older.off);
    else
      h->change[left++] = older;
  }
  settle_size(h, left, ch->off);
  return left;
}

static unsigned
settle_change(struct host *h, unsigned n, struct change *ch)
{
  if (ch->resize)
    return settle_sizes(h, n, ch);
  bury(h, n, ch->off, ch->off + ch->nsec * 512ULL);
  apply(&h->durable, ch);
  change_free(ch);
  return n;
}

/* The call, which began then, has made durable what it covers; or, failed, has
 * seen to it that nothing ever will. */
static void
settle(struct host *h, const struct record *sync, uint64_t began, uint64_t at,
       bool good)
{
  unsigned kept = 0, need = sync->op == CALL_SYNC ? 0 : needed(h, sync);

  for (unsigned i = 0; i < h->nchange; i++) {
    struct change *ch = &h->change[i];
    if (covers(sync, ch, i < need, began, at) && !ch->doomed) {
      if (good) {
        kept = settle_change(h, kept, ch);
        continue;
      }
      ch->doomed = true;
    }
    struct change copy = *ch;
    h->change[kept++] = copy;
  }
  h->nchange = kept;
}

const char *
host_take(struct host *h, const struct record *rec, uint64_t at)
{
  if (rec->kind == RECORD_BEGIN) {
    unsigned room = h->open_room;
    h->open = grow(h->open, h->nopen, &h->open_room, sizeof *h->open);
    h->open_at = grow(h->open_at, h->nopen, &room, sizeof *h->open_at);
    h->open[h->nopen] = *rec;
    h->open_at[h->nopen++] = at;
    if (rec->op == CALL_STRANGE)
      return "a call that the replayer does not know";
    if (rec->op != CALL_SYNC && rec->off + rec->len > h->room)
      return "the file is larger than expected";
    return NULL;
  }
  unsigned i = 0;
  while (i < h->nopen && h->open[i].id != rec->id)
    i++;
  if (i == h->nopen)
    return "the end of a call that never began";
  struct record call = h->open[i];
  uint64_t began = h->open_at[i];
  h->open[i] = h->open[--h->nopen];
  h->open_at[i] = h->open_at[h->nopen];
  carry_out(h, &h->live, &call, rec->done, at);
  if (call.op == CALL_SYNC ||
      (call.op == CALL_DURABLE_WRITE && rec->result >= 0))
    settle(h, &call, began, at, rec->result >= 0);
  return NULL;
}

/* --------------------------------------------------------- calls under way */

/* They may have happened to the end: on a copy of what they touch. */
void
host_add_open(struct host *h)
{
  unsigned before = h->nchange;

  for (unsigned i = 0; i < h->nopen; i++) {
    const struct record *call = &h->open[i];
    uint64_t from = call->off / SECTOR * SECTOR;
    uint64_t size = h->live.size, len = call->len + 2 * SECTOR;
    if (call->op == CALL_SYNC || call->op == CALL_RESERVE)
      continue;
    if (call->op == CALL_EXTEND || call->op == CALL_TRUNCATE) {
      uint64_t end = call->off + call->len;
      if (call->op == CALL_TRUNCATE || end > size) {
        struct change *ch = add_change(h, UINT64_MAX);
        ch->resize = true;
        ch->off = end;
      }
      continue;
    }
    uint8_t *saved = must(malloc(len));
    memcpy(saved, h->live.bytes + from, len);
    carry_out(h, &h->live, call, call->len, UINT64_MAX);
    memcpy(h->live.bytes + from, saved, len);
    h->live.size = size;
    free(saved);
  }
  for (unsigned i = before; i < h->nchange; i++)
    h->change[i].unsure = true;
  h->ntemporary = h->nchange - before;
}

void
host_drop_open(struct host *h)
{
  for (; h->ntemporary > 0; h->ntemporary--)
    change_free(&h->change[--h->nchange]);
}

/* Of what was under way at the kill, so much happened as the file shows. */
static void
take_open(struct host *h, const struct record *call, const uint8_t *bytes,
          uint64_t size, uint64_t at)
{
  uint64_t end = call->off + call->len;

  if (call->op == CALL_RESERVE || (call->op == CALL_EXTEND && size >= end))
    reserve(h, call->off, end);
  if (call->op != CALL_WRITE && call->op != CALL_DURABLE_WRITE &&
      call->op != CALL_CLEAR && call->op != CALL_PUNCH)
    return;
  end = end < size ? end : size;
  if (call->off >= end)
    return;
  if (end > h->live.size)
    add_resize(h, &h->live, end, at)->of_write = true;
  memcpy(h->live.bytes + call->off, bytes + call->off, end - call->off);
  add_bytes(h, &h->live, call->off, end - call->off, false, at);
}

/* The call under way that made the file longer by writing: first, since the
 * bytes of others may lie within. */
static void
take_longest(struct host *h, const uint8_t *bytes, uint64_t size, uint64_t at)
{
  for (unsigned i = 0; i < h->nopen && size > h->live.size; i++) {
    struct record call = h->open[i];
    if ((call.op != CALL_WRITE && call.op != CALL_DURABLE_WRITE) ||
        call.off >= size || call.off + call.len < size)
      continue;
    h->open[i] = h->open[--h->nopen];
    take_open(h, &call, bytes, size, at);
  }
}

const char *
host_end_life(struct host *h, const uint8_t *bytes, uint64_t size, uint64_t at)
{
  take_longest(h, bytes, size, at);
  if (h->nopen > 0 && size != h->live.size)
    add_resize(h, &h->live, size, at);
  for (unsigned i = 0; i < h->nopen; i++)
    take_open(h, &h->open[i], bytes, size, at);
  h->nopen = 0;
  if (size != h->live.size)
    return "the file has another size than was recorded";
  if (memcmp(bytes, h->live.bytes, size) != 0)
    return "the file has other bytes than were recorded";
  return NULL;
}

static bool
moves_end(const struct host *h, host_keep *keep, void *opaque, bool ordered,
          unsigned i)
{
  const struct change *ch = &h->change[i];

  if (!keep(opaque, ch, i, 0))
    return false;
  return !ordered || !ch->of_write ||
         keep(opaque, ch + 1, i + 1, (ch + 1)->nsec - 1);
}

/* The number of changes, oldest first, up to the last size that is kept. */
static unsigned
sized(const struct host *h, host_keep *keep, void *opaque, bool ordered)
{
  unsigned n = h->nchange;

  while (n > 0 && !(h->change[n - 1].resize &&
                    moves_end(h, keep, opaque, ordered, n - 1)))
    n--;
  return n;
}

/* The size is in one place: one that is kept is what came of all before it, so
 * what a shorter one had cut off does not come back. */
void
host_cut(const struct host *h, host_keep *keep, void *opaque, bool ordered,
         struct content *left)
{
  unsigned nsized = sized(h, keep, opaque, ordered);

  content_resize(left, 0);
  memcpy(left->bytes, h->durable.bytes, h->durable.size);
  left->size = h->durable.size;
  for (unsigned i = 0; i < h->nchange; i++) {
    const struct change *ch = &h->change[i];
    if (ch->resize) {
      if (i < nsized)
        content_resize(left, ch->off);
      continue;
    }
    for (uint32_t s = 0; s < ch->nsec; s++)
      if (keep(opaque, ch, i, s))
        apply_sector(left, ch, s);
  }
}

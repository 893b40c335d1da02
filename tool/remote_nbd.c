/* SPDX-License-Identifier: BSD-2-Clause */
/* remote_nbd.c: a disk behind an NBD server, by libnbd; see remote.h.
 *
 * Whoever copies a disk asks for one piece after the other and waits for each.
 * So that the network does not wait meanwhile, there are SLOTS requests under
 * way: what comes after the piece that was asked for, as far as it is known to
 * be data, is read ahead; what is written goes out from a copy, and whether it
 * arrived is asked for when its slot is needed again, or by a flush.
 *
 * A slot holds one chunk of the disk, which begins at a multiple of its size:
 * for reading, chunk c lies in slot c % SLOTS and nowhere else.
 *
 * A server may take whole blocks of its own only: of one that is written in
 * part the rest is read first.
 *
 * Waiting is done in libnbd's loop, a while at a time, so that a signal ends
 * it: then a request returns -EINTR. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "message.h"
#include "remote.h"

#define SLOTS 16
#define CHUNK ((uint64_t)256 << 10)
#define LOOK_MS 200 /* for signals */
/* What one question for extents is about, and how many are kept of the
 * answer. */
#define EXTENTS_LEN ((uint64_t)2 << 30)
#define EXTENTS 4096
#define ZERO_LEN ((uint64_t)1 << 30)

struct call {
  bool busy;
  int error; /* errno; of a write it stays until it has been told */
};

struct slot {
  struct call call;
  uint64_t off, len; /* of what it holds, or is about to; 0: nothing */
  uint8_t *buf;
};

struct extent {
  uint64_t end;
  bool zero;
};

struct remote {
  struct vhd_disk disk;
  struct nbd_handle *nbd;
  const char *uri;
  bool told;       /* why it does not go on */
  bool can_zero, can_flush, has_extents;
  uint64_t chunk;  /* the size of a slot */
  uint64_t block;  /* requests begin and end at multiples of this */
  uint8_t *part;   /* so much, to write a part of it */
  struct slot slot[SLOTS];
  unsigned next;   /* slot to be written from */
  struct call call; /* what is waited for at once */
  struct remote *other; /* the next of all */
  /* The extents of the disk from `from` on. */
  uint64_t from;
  struct extent extent[EXTENTS];
  unsigned nextent;
};

static uint64_t
least(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

/* ------------------------------------------------------------------ calling */

/* A call could not be made, or the connection is no more. */
static int
broken(struct remote *r)
{
  const int error = nbd_get_errno();

  if (!r->told)
    complain("%s: %s; see whether the server still runs", r->uri,
             nbd_get_error());
  r->told = true;
  return error > 0 ? -error : -EIO;
}

static int
completed(void *opaque, int *error)
{
  struct call *call = opaque;

  call->busy = false;
  call->error = *error;
  return 1; /* libnbd forgets it */
}

static nbd_completion_callback
when_completed(struct call *call)
{
  call->busy = true;
  call->error = 0;
  return (nbd_completion_callback){ completed, call, NULL };
}

/* cookie: of the call that was made, or -1. */
static int
begun(struct remote *r, struct call *call, int64_t cookie)
{
  if (cookie >= 0)
    return 0;
  call->busy = false;
  return broken(r);
}

static int
wait_for(struct remote *r, struct call *call)
{
  while (call->busy) {
    if (interrupt_pending())
      return -EINTR;
    if (nbd_poll(r->nbd, LOOK_MS) < 0 && nbd_get_errno() != EINTR)
      return broken(r);
  }
  if (call->error == 0)
    return 0;
  if (nbd_aio_is_dead(r->nbd) > 0 || nbd_aio_is_closed(r->nbd) > 0) {
    if (!r->told)
      complain("%s: the server has ended the connection", r->uri);
    r->told = true;
  }
  return -call->error;
}

/* ------------------------------------------------------------------ extents */

static int
take_extents(void *opaque, const char *context, uint64_t offset,
             uint32_t *entry, size_t n, int *error)
{
  struct remote *r = opaque;
  uint64_t end = offset;

  (void)error;
  if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
    return 0;
  r->nextent = 0;
  for (size_t i = 0; i + 1 < n && r->nextent < EXTENTS; i += 2) {
    end += entry[i];
    r->extent[r->nextent++] = (struct extent){
      .end = end,
      .zero = entry[i + 1] & LIBNBD_STATE_ZERO,
    };
  }
  return 0;
}

/* Has the one call made that is waited for at once. */
#define CALL_AND_WAIT(r, function, ...)                                  \
  (begun(r, &(r)->call,                                                  \
         function((r)->nbd, __VA_ARGS__, when_completed(&(r)->call), 0)) < 0 \
     ? -EIO : wait_for(r, &(r)->call))

/* The extents from off on, or a little before.  What no server tells of is
 * data. */
static void
ask_extents(struct remote *r, uint64_t off)
{
  const nbd_extent_callback each = { take_extents, r, NULL };

  off -= off % r->block;
  const uint64_t len = least(EXTENTS_LEN, r->disk.size - off);

  r->from = off;
  r->nextent = 0;
  if (r->has_extents &&
      CALL_AND_WAIT(r, nbd_aio_block_status, len, off, each) < 0)
    r->has_extents = false;
  if (r->nextent == 0 || r->extent[r->nextent - 1].end <= off) {
    r->extent[0] = (struct extent){ .end = off + len };
    r->nextent = 1;
  }
}

/* Where the next data lies among the extents that are known: at or after off,
 * or at their end. */
static uint64_t
known_data(const struct remote *r, uint64_t off)
{
  for (unsigned i = 0; i < r->nextent; i++)
    if (r->extent[i].end > off) {
      if (!r->extent[i].zero)
        return off;
      off = r->extent[i].end;
    }
  return off;
}

static uint64_t
known_end(const struct remote *r)
{
  return r->nextent > 0 ? r->extent[r->nextent - 1].end : 0;
}

static uint64_t
remote_next_data(void *opaque, uint64_t off)
{
  struct remote *r = opaque;

  while (off < r->disk.size && !interrupt_pending()) {
    if (off < r->from || off >= known_end(r))
      ask_extents(r, off);
    off = known_data(r, off);
    if (off < known_end(r))
      break;
  }
  return off < r->disk.size ? off : UINT64_MAX;
}

/* ------------------------------------------------------------------ reading */

/* Has a chunk read into its slot, unless it is there or on its way. */
static int
want_chunk(struct remote *r, uint64_t off, struct slot **found)
{
  struct slot *s = &r->slot[off / r->chunk % SLOTS];

  *found = s;
  if (s->len > 0 && s->off == off)
    return 0;
  int e = wait_for(r, &s->call);
  if (e == -EINTR || (e < 0 && r->told))
    return e;
  s->off = off;
  s->len = least(r->chunk, r->disk.size - off);
  e = begun(r, &s->call, nbd_aio_pread(r->nbd, s->buf, s->len, off,
                                       when_completed(&s->call), 0));
  if (e < 0)
    s->len = 0;
  return e;
}

/* What follows is wanted next.  What fails of it will tell when it is. */
static void
read_ahead(struct remote *r, uint64_t off)
{
  struct slot *s;

  for (unsigned i = 1; i < SLOTS; i++) {
    const uint64_t at = off + i * r->chunk;
    const uint64_t data = at < known_end(r) ? known_data(r, at) : UINT64_MAX;
    if (data >= known_end(r))
      return;
    if (data < at + r->chunk && want_chunk(r, at, &s) < 0)
      return;
  }
}

static int
remote_read(void *opaque, void *buf, size_t len, uint64_t off)
{
  struct remote *r = opaque;
  struct slot *s;
  uint8_t *to = buf;

  while (len > 0) {
    const uint64_t at = off % r->chunk;
    const size_t n = (size_t)least(len, r->chunk - at);
    int e = want_chunk(r, off - at, &s);
    if (e == 0) {
      read_ahead(r, off - at);
      e = wait_for(r, &s->call);
    }
    if (e < 0) {
      s->len = 0;
      return e;
    }
    memcpy(to, s->buf + at, n);
    to += n;
    off += n;
    len -= n;
  }
  return 0;
}

/* ------------------------------------------------------------------ writing */

static int
write_chunk(struct remote *r, const uint8_t *from, size_t len, uint64_t off)
{
  struct slot *s = &r->slot[r->next++ % SLOTS];

  int e = wait_for(r, &s->call);
  if (e < 0)
    return e;
  if (from != NULL)
    memcpy(s->buf, from, len);
  else
    memset(s->buf, 0, len);
  return begun(r, &s->call, nbd_aio_pwrite(r->nbd, s->buf, len, off,
                                           when_completed(&s->call), 0));
}

static int
wait_for_writes(struct remote *r)
{
  int e = 0;

  for (unsigned i = 0; e == 0 && i < SLOTS; i++)
    e = wait_for(r, &r->slot[i].call);
  return e;
}

/* Of one block.  What is on its way may be its other part. */
static int
write_part(struct remote *r, const uint8_t *from, size_t len, uint64_t off)
{
  const uint64_t at = off % r->block;
  const uint64_t n = least(r->block, r->disk.size - (off - at));
  int e = wait_for_writes(r);

  if (e == 0)
    e = CALL_AND_WAIT(r, nbd_aio_pread, r->part, n, off - at);
  if (e < 0)
    return e;
  if (from != NULL)
    memcpy(r->part + at, from, len);
  else
    memset(r->part + at, 0, len);
  return write_chunk(r, r->part, n, off - at);
}

/* from NULL: zeros. */
static int
write_range(struct remote *r, const uint8_t *from, uint64_t len, uint64_t off)
{
  int e = 0;

  while (e == 0 && len > 0) {
    const uint64_t left = r->block - off % r->block;
    size_t n;
    if (left < r->block || len < r->block) {
      n = (size_t)least(len, left);
      e = write_part(r, from, n, off);
    } else {
      n = (size_t)least(len - len % r->block, r->chunk);
      e = write_chunk(r, from, n, off);
    }
    if (from != NULL)
      from += n;
    off += n;
    len -= n;
  }
  return e;
}

static int
remote_write(void *opaque, const void *buf, size_t len, uint64_t off)
{
  return write_range(opaque, buf, len, off);
}

static int
zero_blocks(struct remote *r, uint64_t len, uint64_t off)
{
  int e = 0;

  while (e == 0 && len > 0 && r->can_zero) {
    const uint64_t n = least(len, ZERO_LEN);
    e = CALL_AND_WAIT(r, nbd_aio_zero, n, off);
    if (e == -ENOTSUP) {
      r->can_zero = false;
      e = 0;
    } else if (e == 0) {
      off += n;
      len -= n;
    }
  }
  return e == 0 ? write_range(r, NULL, len, off) : e;
}

static int
remote_zero(void *opaque, uint64_t len, uint64_t off)
{
  struct remote *r = opaque;
  const uint64_t left = r->block - off % r->block;
  const uint64_t head = left < r->block ? least(len, left) : 0;
  const uint64_t tail = (len - head) % r->block;
  int e = write_range(r, NULL, head, off);

  if (e == 0)
    e = zero_blocks(r, len - head - tail, off + head);
  return e == 0 ? write_range(r, NULL, tail, off + len - tail) : e;
}

static int
remote_flush(void *opaque)
{
  struct remote *r = opaque;
  int e = wait_for_writes(r);

  if (e < 0 || !r->can_flush)
    return e;
  e = begun(r, &r->call, nbd_aio_flush(r->nbd, when_completed(&r->call), 0));
  return e == 0 ? wait_for(r, &r->call) : e;
}

/* --------------------------------------------------------------- connecting */

static int
make_slots(struct remote *r)
{
  const int64_t most = nbd_get_block_size(r->nbd, LIBNBD_SIZE_MAXIMUM);
  const int64_t least_size = nbd_get_block_size(r->nbd, LIBNBD_SIZE_MINIMUM);

  r->chunk = CHUNK;
  while (most > 0 && r->chunk > (uint64_t)most && r->chunk > 512)
    r->chunk /= 2;
  r->block = least_size > 0 && (uint64_t)least_size <= r->chunk
               ? (uint64_t)least_size
               : 1;
  r->part = malloc((size_t)r->block);
  if (r->part == NULL)
    return -1;
  for (unsigned i = 0; i < SLOTS; i++) {
    r->slot[i].buf = malloc((size_t)r->chunk);
    if (r->slot[i].buf == NULL)
      return -1;
  }
  return 0;
}

/* What the server says of the disk.  -1 after a complaint. */
static int
look(struct remote *r, bool write)
{
  const int64_t size = nbd_get_size(r->nbd);

  if (size < 0) {
    complain("%s: %s", r->uri, nbd_get_error());
    return -1;
  }
  if (make_slots(r) < 0) {
    complain("out of memory");
    return -1;
  }
  r->has_extents =
    nbd_can_meta_context(r->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
  r->can_zero = nbd_can_zero(r->nbd) > 0;
  r->can_flush = nbd_can_flush(r->nbd) > 0;
  r->disk = (struct vhd_disk){
    .opaque = r,
    .size = (uint64_t)size,
    .read = remote_read,
    .next_data = remote_next_data,
  };
  if (write && nbd_is_read_only(r->nbd) == 0) {
    r->disk.write = remote_write;
    r->disk.zero = remote_zero;
    r->disk.flush = remote_flush;
  }
  return 0;
}

static struct remote *all;

/* Takes leave of the servers, as far as they listen. */
static void
disconnect(void)
{
  struct remote *r;

  while ((r = all) != NULL) {
    all = r->other;
    if (nbd_aio_disconnect(r->nbd, 0) == 0)
      nbd_poll(r->nbd, LOOK_MS);
    nbd_close(r->nbd);
    for (unsigned i = 0; i < SLOTS; i++)
      free(r->slot[i].buf);
    free(r->part);
    free(r);
  }
}

static void
remember(struct remote *r)
{
  if (all == NULL)
    atexit(disconnect);
  r->other = all;
  all = r;
}

const struct vhd_disk *
remote_connect(const char *uri, bool write)
{
  struct remote *r = calloc(1, sizeof *r);

  if (r == NULL || (r->nbd = nbd_create()) == NULL) {
    complain("%s: %s", uri, r == NULL ? "out of memory" : nbd_get_error());
    free(r);
    return NULL;
  }
  r->uri = uri;
  remember(r);
  /* Who types a URI may name keys of his own in it. */
  if (nbd_set_uri_allow_local_file(r->nbd, true) < 0 ||
      nbd_add_meta_context(r->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
      nbd_connect_uri(r->nbd, uri) < 0)
    complain_as(exits_of_errno(nbd_get_errno()), "%s: %s; see that an NBD "
                "server runs there and has this export", uri, nbd_get_error());
  else if (look(r, write) == 0)
    return &r->disk;
  return NULL;
}

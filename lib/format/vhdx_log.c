/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx_log.c: see vhdx_log.h.  Any thread.
 *
 * The bytes at both ends of a page of data are not the data: they hold the
 * entry's sequence number, so that a torn page shows.  What belongs there is in
 * the descriptor. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "format/vhdx_log.h"
#include "format/vhdx_table.h"

struct disk_entry {
  char signature[4];
  struct le32 sum, len, tail;
  struct le64 sequence;
  struct le32 nchange, reserved;
  uint8_t log_id[16];
  struct le64 flushed, last;
};

struct disk_change {
  char signature[4];
  uint8_t tail[4];    /* of data; of zeros nothing */
  uint8_t head[8];    /* of data; of zeros how many */
  struct le64 off, sequence;
};

struct disk_page {
  char signature[4];
  struct le32 sequence_high;
  uint8_t data[4084];
  struct le32 sequence_low;
};

#define HEAD sizeof(((struct disk_change *)NULL)->head)
#define TAIL sizeof(((struct disk_change *)NULL)->tail)

_Static_assert(sizeof(struct disk_page) == VHDX_PAGE, "a page");
_Static_assert(sizeof(struct disk_entry) == 2 * sizeof(struct disk_change),
               "a header takes the room of two");

/* Pages that the header and the descriptors take. */
static uint64_t
head_pages(const struct vhdx_log_entry *e)
{
  return DIV_ROUND_UP(sizeof(struct disk_entry) +
                        (uint64_t)e->nchange * sizeof(struct disk_change),
                      VHDX_PAGE);
}

int
vhdx_log_parse(const uint8_t *page, struct vhdx_log_entry *e)
{
  struct disk_entry d;

  memcpy(&d, page, sizeof d);
  if (memcmp(d.signature, "loge", sizeof d.signature) != 0)
    return -EINVAL;
  e->len = le32_get(d.len);
  e->tail = le32_get(d.tail);
  e->sequence = le64_get(d.sequence);
  e->nchange = le32_get(d.nchange);
  memcpy(e->log_id, d.log_id, sizeof e->log_id);
  e->flushed = le64_get(d.flushed);
  e->last = le64_get(d.last);
  return e->len > 0 && e->len % VHDX_PAGE == 0 && e->tail % VHDX_PAGE == 0 &&
             e->sequence > 0 && head_pages(e) <= e->len / VHDX_PAGE
           ? 0 : -EINVAL;
}

bool
vhdx_log_sum_ok(const uint8_t *buf, const struct vhdx_log_entry *e)
{
  return vhdx_sum_ok(buf, e->len);
}

/* Does the page of data belong to this entry, whole? */
static bool
is_whole(const uint8_t *page, uint64_t sequence)
{
  struct disk_page d;

  memcpy(&d, page, sizeof d);
  return memcmp(d.signature, "data", sizeof d.signature) == 0 &&
         le32_get(d.sequence_high) == sequence >> 32 &&
         le32_get(d.sequence_low) == (uint32_t)sequence;
}

int
vhdx_log_change(const uint8_t *buf, const struct vhdx_log_entry *e, uint32_t i,
                uint32_t *npage, struct vhdx_log_change *change)
{
  const uint8_t *at =
    buf + sizeof(struct disk_entry) + (size_t)i * sizeof(struct disk_change);
  struct disk_change d;

  memcpy(&d, at, sizeof d);
  change->zero = memcmp(d.signature, "zero", sizeof d.signature) == 0;
  change->off = le64_get(d.off);
  if (le64_get(d.sequence) != e->sequence || change->off % VHDX_PAGE != 0)
    return -EINVAL;
  if (change->zero) {
    struct le64 len;
    memcpy(&len, d.head, sizeof len);
    change->len = le64_get(len);
    return change->len % VHDX_PAGE == 0 ? 0 : -EINVAL;
  }
  uint64_t page = head_pages(e) + (*npage)++;
  if (memcmp(d.signature, "desc", sizeof d.signature) != 0 ||
      page >= e->len / VHDX_PAGE)
    return -EINVAL;
  change->len = VHDX_PAGE;
  change->data = buf + page * VHDX_PAGE;
  change->head = at + offsetof(struct disk_change, head);
  change->tail = at + offsetof(struct disk_change, tail);
  return is_whole(change->data, e->sequence) ? 0 : -EINVAL;
}

void
vhdx_log_page(const struct vhdx_log_change *change, uint8_t *page)
{
  memcpy(page, change->head, HEAD);
  memcpy(page + HEAD, change->data + HEAD, VHDX_PAGE - HEAD - TAIL);
  memcpy(page + VHDX_PAGE - TAIL, change->tail, TAIL);
}

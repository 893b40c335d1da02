/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx_log.h: the entries of a VHDX file's log.  An entry is a whole number of
 * pages: a header, descriptors of what is to be changed, and a page of data for
 * each that is not zeros.  Pure. */
#ifndef FORMAT_VHDX_LOG_H
#define FORMAT_VHDX_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define VHDX_PAGE 4096

struct vhdx_log_entry {
  uint32_t len;      /* of all of it */
  uint32_t tail;     /* in the log, of the first entry to be replayed */
  uint64_t sequence;
  uint32_t nchange;
  uint8_t log_id[16];
  uint64_t flushed;  /* the file had so many bytes, durable; */
  uint64_t last;     /* and is to have at least so many */
};

/* The first page.  -EINVAL: none begins there, or one that cannot be. */
int vhdx_log_parse(const uint8_t *page, struct vhdx_log_entry *entry);
/* The whole entry: is its checksum right? */
bool vhdx_log_sum_ok(const uint8_t *buf, const struct vhdx_log_entry *entry);

struct vhdx_log_change {
  bool zero;
  uint64_t off, len;       /* whole pages of the file */
  const uint8_t *data;     /* the page with the data, in the entry */
  const uint8_t *head, *tail; /* 8 and 4 bytes in the descriptor */
};

/* The i-th change of an entry whose sum is right; *npage counts the pages with
 * data so far, from 0.  -EINVAL for one that is malformed. */
int vhdx_log_change(const uint8_t *buf, const struct vhdx_log_entry *entry,
                    uint32_t i, uint32_t *npage,
                    struct vhdx_log_change *change);
/* What the page of the file becomes. */
void vhdx_log_page(const struct vhdx_log_change *change, uint8_t *page);

#endif

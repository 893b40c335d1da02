/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs_state.c: may the bitmap of an NTFS be believed, and is what it calls
 * free of no use?  Not while changes are in the log, or in the memory of a
 * Windows that sleeps; nor where shadow copies look at what was there
 * before. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "inside/ntfs.h"

#define SHUT_DOWN \
  "shut Windows down as a whole (shutdown /s /t 0, no fast startup)"

/* ------------------------------------------------------------------- flags */

/* Dirty; and what Windows is to do when it mounts it next. */
#define FLAGS_ODD (0x1U | 0x2U | 0x4U | 0x10U | 0x20U | 0x4000U | 0x8000U)

static int
check_flags(struct usage *usage)
{
  struct ntfs *fs = usage->fs;
  struct ntfs_attr attr;
  int r = ntfs_read_record(usage, NTFS_VOLUME, true, fs->buf);

  if (r == 0)
    r = ntfs_find_attr(fs->buf, fs->record, NTFS_INFORMATION, "", &attr);
  if (r < 0)
    return r;
  if (r == 0 || attr.nonresident || attr.value_len < 12)
    return -EUCLEAN;
  const unsigned major = attr.value[8], minor = attr.value[9];
  if (!(major == 3 && minor <= 1) && !(major == 1 && minor == 2))
    return usage_refuse(usage, "use what made it",
                        "is of version %u.%u, which is not known", major,
                        minor);
  if ((le16(attr.value + 10) & FLAGS_ODD) != 0)
    return usage_refuse(usage, NTFS_CHKDSK, "is marked as not clean");
  return 0;
}

/* --------------------------------------------------------------------- log */

#define PAGE_LEAST 512U
#define PAGE_MOST 65536U
#define LOG_CLEAN 2
#define LOG_NO_CLIENT 0xffff

/* What was emptied is all ones. */
static int
is_empty(struct usage *usage, uint8_t *page)
{
  const struct ntfs *fs = usage->fs;
  const uint64_t size = fs->log.size < PAGE_MOST ? fs->log.size : PAGE_MOST;
  int r = ntfs_read_stream(usage, &fs->log, page, (size_t)size, 0);

  for (size_t i = 0; r == 0 && i < size; i++)
    if (page[i] != 0xff)
      return 0;
  return r == 0 ? size > 0 : r;
}

struct restart {
  uint32_t page; /* bytes; how far the second one lies behind the first */
  uint64_t lsn;  /* which is the newer */
  bool clean;
};

/* 1; 0: there is none. */
static int
parse_restart(uint8_t *page, uint32_t size, struct restart *restart)
{
  restart->page = le32(page + 16);
  const uint32_t at = le16(page + 24);

  if (memcmp(page, "RSTR", 4) != 0 || !is_power_of_two(restart->page) ||
      restart->page < PAGE_LEAST || restart->page > size || at < 30 ||
      at > restart->page - 64 ||
      ntfs_mend_record(page, restart->page, "RSTR") < 0)
    return 0;
  const uint8_t *area = page + at;
  restart->lsn = le64(area);
  /* Version 2 is that of one which is mounted, or sleeps. */
  restart->clean = le16(page + 28) == 1 && le16(page + 26) == 1 &&
                   ((le16(area + 14) & LOG_CLEAN) != 0 ||
                    le16(area + 12) == LOG_NO_CLIENT);
  return 1;
}

/* 1, 0 or -errno. */
static int
read_restart(struct usage *usage, uint64_t off, uint8_t *page,
             struct restart *restart)
{
  const struct ntfs *fs = usage->fs;
  const uint64_t left = off < fs->log.size ? fs->log.size - off : 0;
  const uint32_t size = left < PAGE_MOST ? (uint32_t)left : PAGE_MOST;

  if (size < PAGE_LEAST)
    return 0;
  int r = ntfs_read_stream(usage, &fs->log, page, size, off);
  return r < 0 ? r : parse_restart(page, size, restart);
}

static int
check_log(struct usage *usage)
{
  static uint8_t page[PAGE_MOST];
  struct restart first, second;
  int r = is_empty(usage, page);

  if (r != 0)
    return r < 0 ? r : 0;
  r = read_restart(usage, 0, page, &first);
  if (r < 0)
    return r;
  if (r == 1) {
    r = read_restart(usage, first.page, page, &second);
    if (r < 0)
      return r;
    if (r == 1 && second.lsn > first.lsn)
      first = second;
    if (first.clean)
      return 0;
  }
  return usage_refuse(usage, SHUT_DOWN,
                      "was not unmounted in order, or Windows keeps some of "
                      "it in memory");
}

/* ----------------------------------------------------------- shadow copies */

#define SHADOW_AT 7680U
#define SHADOW_BLOCK 16384U
#define SHADOW_HEAD 128U
#define SHADOW_BLOCKS_MOST 4096

/* 3808876b-c176-4e48-b7ae-04046e6cc752 */
static const uint8_t shadow_id[16] = {
  0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e,
  0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52,
};

/* Does a block of the catalog tell of any?  What is odd does. */
static bool
tells_of_copies(const uint8_t *block)
{
  if (memcmp(block, shadow_id, sizeof shadow_id) != 0)
    return true;
  for (uint32_t at = SHADOW_HEAD; at < SHADOW_BLOCK; at += SHADOW_HEAD)
    if (le32(block + at) > 1) /* 1: it told of one */
      return true;
  return false;
}

static int
has_copies(struct usage *usage)
{
  static uint8_t block[SHADOW_BLOCK];
  uint64_t next;
  int r = source_read(&usage->source, block, 128, SHADOW_AT);

  if (r == -EUCLEAN)
    return 0; /* so small is none of those */
  if (r < 0 || memcmp(block, shadow_id, sizeof shadow_id) != 0)
    return r;
  next = le64(block + 48);
  for (int i = 0; next != 0 && i < SHADOW_BLOCKS_MOST; i++) {
    r = source_read(&usage->source, block, sizeof block, next);
    if (r < 0 && r != -EUCLEAN)
      return r;
    if (r < 0 || tells_of_copies(block))
      return 1;
    next = le64(block + 40);
  }
  return next != 0;
}

static int
check_copies(struct usage *usage)
{
  const int r = has_copies(usage);

  return r <= 0 ? r
                : usage_refuse(usage, "delete them in Windows (vssadmin delete "
                               "shadows /all)", "has shadow copies, which use "
                               "what is free");
}

int
ntfs_check_state(struct usage *usage)
{
  int r = check_flags(usage);

  if (r == 0)
    r = check_log(usage);
  if (r == 0)
    r = check_copies(usage);
  return r == 0 ? ntfs_check_hibernation(usage) : r;
}

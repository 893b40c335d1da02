/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs_names.c: see ntfs.h.  The root folder is looked through from its first
 * name to its last: it is not long, and so no order has to be believed. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inside/ntfs.h"

#define FILE_NAME "hiberfil.sys"
#define FOLDER "$i30" /* the name of what a folder keeps of its files */
#define FILE_MASK 0xffffffffffffULL
#define PAGE 4096U

#define ROOT_HEAD 16U  /* before the entries' own header */
#define BLOCK_HEAD 24U
#define ENTRY_HEAD 16U
#define ENTRY_LAST 2
#define NAME_AT 66U    /* in what an entry holds; its length stands before */

/* ------------------------------------------------------------ what it holds */

/* 1: so many bytes are those of one that sleeps; 0: not; -errno.  What never
 * was written, what has been used up and what Windows woke from is none. */
static int
is_asleep(struct usage *usage, uint64_t file)
{
  static const uint8_t zeros[PAGE];
  static uint8_t page[PAGE];
  struct ntfs_stream stream;
  int r = ntfs_open_stream(usage, file, NTFS_DATA, "", &stream);
  const bool written = r == 1 && stream.size >= PAGE;

  if (written)
    r = ntfs_read_stream(usage, &stream, page, PAGE, 0);
  if (r >= 0)
    r = written && memcmp(page, "wake", 4) != 0 &&
        memcmp(page, "WAKE", 4) != 0 && memcmp(page, zeros, PAGE) != 0;
  ntfs_close_stream(&stream);
  return r;
}

/* Who left it behind in an entry that is no longer used is not believed. */
static int
look_at_file(struct usage *usage, uint64_t reference)
{
  struct ntfs *fs = usage->fs;
  const uint64_t file = reference & FILE_MASK;
  int r = ntfs_read_record(usage, file, true, fs->buf);

  if (r < 0 || le16(fs->buf + 16) != reference >> 48)
    return r < 0 ? r : -EUCLEAN;
  r = is_asleep(usage, file);
  return r != 1 ? r
                : usage_refuse(usage, "start Windows and shut it down as a "
                               "whole (shutdown /s /t 0)",
                               "is that of a Windows which is hibernated");
}

/* ---------------------------------------------------------------- the names */

/* Entries behind their header. */
static int
look_at_entries(struct usage *usage, const uint8_t *head, size_t room)
{
  if (room < 16)
    return -EUCLEAN;
  const uint64_t end = le32(head + 4);
  uint64_t at = le32(head);

  if (end > room)
    return -EUCLEAN;
  for (;;) {
    const uint8_t *entry = head + at;
    if (at > end || end - at < ENTRY_HEAD)
      return -EUCLEAN;
    const unsigned len = le16(entry + 8), key = le16(entry + 10);
    if (len < ENTRY_HEAD || len % 8 != 0 || len > end - at)
      return -EUCLEAN;
    if ((le16(entry + 12) & ENTRY_LAST) != 0)
      return 0;
    const uint8_t *name = entry + ENTRY_HEAD;
    if (key < NAME_AT || key > len - ENTRY_HEAD ||
        NAME_AT + 2U * name[64] > key)
      return -EUCLEAN;
    if (ntfs_has_name(name + NAME_AT, name[64], FILE_NAME)) {
      int r = look_at_file(usage, le64(entry));
      if (r < 0)
        return r;
    }
    at += len;
  }
}

/* Blocks of entries; which of them are in use is a stream of bits. */
static int
look_at_block(struct usage *usage, const struct ntfs_stream *blocks,
              const struct ntfs_stream *bits, uint64_t number, uint8_t *block,
              uint32_t size)
{
  uint8_t byte;
  int r = ntfs_read_stream(usage, bits, &byte, 1, number / 8);

  if (r < 0 || (byte >> number % 8 & 1) == 0)
    return r;
  r = ntfs_read_stream(usage, blocks, block, size, number * size);
  if (r == 0)
    r = ntfs_mend_record(block, size, "INDX");
  return r < 0 ? r
               : look_at_entries(usage, block + BLOCK_HEAD, size - BLOCK_HEAD);
}

static int
look_at_blocks(struct usage *usage, uint32_t size)
{
  struct ntfs_stream blocks, bits = { .n = 0 };
  uint8_t *block = malloc(size);
  int r = ntfs_open_stream(usage, NTFS_ROOT, NTFS_INDEX, FOLDER, &blocks);

  if (r == 1) {
    r = ntfs_open_stream(usage, NTFS_ROOT, NTFS_INDEX_USED, FOLDER, &bits);
    if (r == 0)
      r = -EUCLEAN;
  }
  if (block == NULL)
    r = -ENOMEM;
  if (r == 1) {
    r = 0;
    for (uint64_t i = 0; r == 0 && i < blocks.size / size; i++)
      r = look_at_block(usage, &blocks, &bits, i, block, size);
  }
  free(block);
  ntfs_close_stream(&bits);
  ntfs_close_stream(&blocks);
  return r;
}

int
ntfs_check_hibernation(struct usage *usage)
{
  struct ntfs_stream root;
  uint32_t size = 0;
  int r = ntfs_open_stream(usage, NTFS_ROOT, NTFS_INDEX_ROOT, FOLDER, &root);

  if (r == 0 ||
      (r == 1 && (root.resident == NULL || root.size < ROOT_HEAD)))
    r = -EUCLEAN;
  if (r == 1) {
    size = le32(root.resident + 8);
    r = !is_power_of_two(size) || size < NTFS_SECTOR || size > NTFS_RECORD_MOST
          ? -EUCLEAN
          : look_at_entries(usage, root.resident + ROOT_HEAD,
                            root.size - ROOT_HEAD);
  }
  ntfs_close_stream(&root);
  return r == 0 ? look_at_blocks(usage, size) : r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* forge.c: see forge.h. */
#include "config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit/field.h"
#include "unit/forge.h"

static void *
must_alloc(void *old, size_t len)
{
  void *p = realloc(old, len);
  if (p == NULL)
    abort();
  return p;
}

/* A sector that tells whose it is and which. */
static void
fill_sector(uint8_t *buf, uint8_t tag, uint32_t sec)
{
  for (unsigned i = 0; i < FORGE_SECTOR; i += 8) {
    unit_put(buf, i, 4, 0x01000000U * tag + i + 1);
    unit_put(buf, i + 4, 4, sec);
  }
}

static void
put_footer(uint8_t *buf, const struct forge *f)
{
  memset(buf, 0, FORGE_SECTOR);
  memcpy(buf, "conectix", 8);
  unit_put(buf, 8, 4, 2);
  unit_put(buf, 12, 4, 0x00010000);
  unit_put(buf, 16, 8, f->type == 2 ? UINT64_MAX : FORGE_HEADER);
  unit_put(buf, 24, 4, 0x2b000000);
  memcpy(buf + 28, "win ", 4);
  unit_put(buf, 32, 4, 0x000a0000);
  memcpy(buf + 36, "Wi2k", 4);
  unit_put(buf, 40, 8, f->disk_len);
  unit_put(buf, 48, 8, f->disk_len);
  unit_put(buf, 56, 4, 0x000f0411); /* 15/4/17: a little less than the size */
  unit_put(buf, 60, 4, (uint64_t)f->type);
  memset(buf + 68, f->tag, 16);
}

static void
put_header(uint8_t *buf)
{
  memcpy(buf, "cxsparse", 8);
  unit_put(buf, 8, 8, UINT64_MAX);
  unit_put(buf, 16, 8, FORGE_BAT);
  unit_put(buf, 24, 4, 0x00010000);
  unit_put(buf, 28, 4, FORGE_ENTRIES);
  unit_put(buf, 32, 4, FORGE_BLOCK);
}

uint8_t *
forge_end(struct forge *f)
{
  return f->file + f->len - FORGE_SECTOR;
}

uint8_t *
forge_bitmap(struct forge *f, uint32_t blk)
{
  uint64_t sec = unit_get(f->file, FORGE_BAT + blk * 4, 4);
  if (sec == UINT32_MAX)
    abort();
  return f->file + sec * FORGE_SECTOR;
}

void
forge_seal(struct forge *f)
{
  unit_checksum(forge_end(f), FORGE_SECTOR, 64);
  if (f->type != 2) {
    unit_checksum(f->file, FORGE_SECTOR, 64);
    unit_checksum(f->file + FORGE_HEADER, 1024, 36);
  }
}

void
forge_insert(struct forge *f, size_t off, size_t n)
{
  f->file = must_alloc(f->file, f->len + n);
  memmove(f->file + off + n, f->file + off, f->len - off);
  memset(f->file + off, 0, n);
  f->len += n;
}

void
forge_truncate(struct forge *f, size_t len)
{
  if (len > f->len)
    abort();
  f->len = len;
}

void
forge_write(const struct forge *f, const char *path)
{
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, f->file, f->len) != (ssize_t)f->len)
    abort();
  close(fd);
}

void
forge_free(struct forge *f)
{
  free(f->file);
  free(f->disk);
  f->file = f->disk = NULL;
}

/* Everything but blocks and contents. */
static void
begin(struct forge *f, uint8_t tag, int type, uint32_t nallocated)
{
  *f = (struct forge) {
    .tag = tag,
    .type = type,
    .disk_len = FORGE_DISK,
    .len = FORGE_SLOT + nallocated * FORGE_STRIDE + FORGE_SECTOR,
  };
  f->disk = must_alloc(NULL, f->disk_len);
  memset(f->disk, 0, f->disk_len);
  f->file = must_alloc(NULL, f->len);
  memset(f->file, 0, f->len);
  put_footer(f->file, f);
  put_footer(forge_end(f), f);
  put_header(f->file + FORGE_HEADER);
  memset(f->file + FORGE_BAT, 0xff, FORGE_SECTOR);
}

static bool
in_part(uint32_t sec)
{
  return sec < 3 || sec == 9 || (sec >= 64 && sec < 80);
}

/* Puts block blk into the n-th slot.  Where only a part of it is set, the rest
 * holds garbage, which nobody must see. */
static void
put_block(struct forge *f, uint32_t blk, uint32_t n, bool partly)
{
  size_t slot = FORGE_SLOT + n * FORGE_STRIDE;
  unit_put(f->file, FORGE_BAT + blk * 4, 4, slot / FORGE_SECTOR);
  for (uint32_t sec = 0; sec < FORGE_SPB; sec++) {
    bool set = !partly || in_part(sec);
    uint8_t *data = f->file + slot + (1 + sec) * FORGE_SECTOR;
    fill_sector(data, set ? f->tag : 0xee, blk * FORGE_SPB + sec);
    if (!set)
      continue;
    f->file[slot + sec / 8] |= (uint8_t)(0x80 >> sec % 8);
    size_t at = (size_t)blk * FORGE_BLOCK + sec * FORGE_SECTOR;
    if (at < f->disk_len)
      memcpy(f->disk + at, data, FORGE_SECTOR);
  }
}

void
forge_dynamic(struct forge *f, uint8_t tag)
{
  begin(f, tag, 3, 4);
  put_block(f, 0, 0, false);
  put_block(f, 2, 1, false);
  put_block(f, 5, 2, true);
  put_block(f, 8, 3, false);
  forge_seal(f);
}

void
forge_fixed(struct forge *f, uint8_t tag)
{
  *f = (struct forge) {
    .tag = tag,
    .type = 2,
    .disk_len = FORGE_DISK,
    .len = FORGE_DISK + FORGE_SECTOR,
  };
  f->disk = must_alloc(NULL, f->disk_len);
  f->file = must_alloc(NULL, f->len);
  for (uint32_t sec = 0; sec < f->disk_len / FORGE_SECTOR; sec++)
    fill_sector(f->disk + (size_t)sec * FORGE_SECTOR, tag, sec);
  memcpy(f->file, f->disk, f->disk_len);
  put_footer(forge_end(f), f);
  forge_seal(f);
}

uint32_t
forge_utf16(struct forge *f, size_t off, const char *text)
{
  uint32_t n = 0;
  for (; text[n / 2] != '\0'; n += 2) {
    f->file[off + n] = (uint8_t)text[n / 2];
    f->file[off + n + 1] = 0;
  }
  return n;
}

void
forge_name(struct forge *f, const char *text)
{
  memset(f->file + FORGE_HEADER + 64, 0, 512);
  for (size_t i = 0; text[i] != '\0' && i < 256; i++)
    f->file[FORGE_HEADER + 64 + 2 * i + 1] = (uint8_t)text[i];
}

void
forge_locator(struct forge *f, unsigned i, uint32_t code, uint32_t space,
              uint32_t len, uint64_t off)
{
  uint8_t *slot = f->file + FORGE_HEADER + 576 + i * 24;
  unit_put(slot, 0, 4, code);
  unit_put(slot, 4, 4, space);
  unit_put(slot, 8, 4, len);
  unit_put(slot, 12, 4, 0);
  unit_put(slot, 16, 8, off);
}

void
forge_child(struct forge *f, uint8_t tag, const struct forge *of,
            const char *parent)
{
  char relative[256];
  begin(f, tag, 4, 3);
  size_t n = of->disk_len < f->disk_len ? of->disk_len : f->disk_len;
  memcpy(f->disk, of->disk, n);
  put_block(f, 0, 0, true);
  put_block(f, 3, 1, false);
  put_block(f, 8, 2, true);

  memset(f->file + FORGE_HEADER + 40, of->tag, 16);
  forge_name(f, parent);
  snprintf(relative, sizeof relative, ".\\%s", parent);
  uint32_t len = forge_utf16(f, FORGE_LOCATOR_W2RU, relative);
  forge_locator(f, 0, 0x57327275, 512, len, FORGE_LOCATOR_W2RU);
  snprintf(relative, sizeof relative, "C:\\elsewhere\\%s", parent);
  len = forge_utf16(f, FORGE_LOCATOR_W2KU, relative);
  forge_locator(f, 1, 0x57326b75, 512, len, FORGE_LOCATOR_W2KU);
  forge_seal(f);
}

void
forge_xen(struct forge *f, uint8_t tag)
{
  forge_dynamic(f, tag);
  memcpy(f->file + 28, "tap\0\0\1\0\3\0\0\0\0", 12);
  memcpy(forge_end(f) + 28, "tap\0\0\1\0\3\0\0\0\0", 12);
  uint8_t *header = f->file + FORGE_BATMAP, *map = header + FORGE_SECTOR;
  memcpy(header, "tdbatmap", 8);
  unit_put(header, 8, 8, FORGE_BATMAP + FORGE_SECTOR);
  unit_put(header, 16, 4, 1);
  unit_put(header, 20, 4, 0x00010002);
  map[0] = 0xa0; /* blocks 0 and 2 */
  map[1] = 0x80; /* and 8 */
  unit_put(header, 24, 4, ~(uint32_t)(0xa0 + 0x80));
  forge_seal(f);
}

void
forge_resize(struct forge *f, uint64_t size)
{
  unit_put(f->file, 48, 8, size);
  unit_put(forge_end(f), 48, 8, size);
}

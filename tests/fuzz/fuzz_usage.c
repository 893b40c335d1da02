/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz-usage: what file systems use, as the tool reads it of a disk that it is
 * given.
 *
 * Input: a byte that chooses the reader; one for the size of the disk, in steps
 * of 256 KiB; then pieces of the disk, which is zeros else: 4 bytes for the
 * sector, 2 for how many bytes there are, of which the highest bit says that
 * these are 0xff, 512 of them for each; then the bytes.
 *
 * What must hold: stretches lie on the disk, in ascending order; an answer is
 * the same when it is asked for again; and whatever is refused says why. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "inside/ext.h"
#include "inside/fat.h"
#include "inside/ntfs.h"

#define STEP (256U << 10)
#define STRETCHES 1000

struct fuzz_disk {
  uint8_t *bytes;
  uint64_t len;
  unsigned reads;
};

static int
read_disk(void *opaque, void *buf, size_t len, uint64_t off)
{
  struct fuzz_disk *disk = opaque;

  FUZZ_ASSERT(off <= disk->len && len <= disk->len - off);
  FUZZ_ASSERT(++disk->reads < 1000000); /* it comes to an end */
  memcpy(buf, disk->bytes + off, len);
  return 0;
}

static void
put_piece(struct fuzz_input *in, struct fuzz_disk *disk)
{
  const uint64_t at = fuzz_take(in, 4) * 512;
  size_t len = (size_t)fuzz_take(in, 2);
  const bool ones = (len & 0x8000) != 0;

  len = ones ? (len & 0x7fff) * 512 : len < in->size ? len : in->size;
  if (at < disk->len && ones)
    memset(disk->bytes + at, 0xff,
           len < disk->len - at ? len : (size_t)(disk->len - at));
  else if (at < disk->len)
    memcpy(disk->bytes + at, in->data,
           len < disk->len - at ? len : (size_t)(disk->len - at));
  if (!ones) {
    in->data += len;
    in->size -= len;
  }
}

static void
walk(struct usage *usage)
{
  uint64_t from = 0, off, len, again_off, again_len;

  for (int i = 0; i < STRETCHES; i++) {
    int r = usage_next_free(usage, from, &off, &len);
    FUZZ_ASSERT(r == 0 || r == 1 || r == -EUCLEAN);
    if (r != 1)
      return;
    FUZZ_ASSERT(len > 0 && off + len > from && off <= usage->source.len &&
                len <= usage->source.len - off);
    FUZZ_ASSERT(usage_next_free(usage, off, &again_off, &again_len) == 1 &&
                again_off == off && again_len == len);
    FUZZ_ASSERT(usage_holds(usage, off, len) == 0);
    from = off + len;
  }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct usage_reader *const readers[] = { &ntfs_reader, &fat_reader,
                                                 ext_reader };
  struct fuzz_input in = { data, size };
  struct fuzz_disk disk = { .reads = 0 };
  struct usage usage;
  const struct usage_reader *reader = readers[fuzz_take(&in, 1) % 3];

  disk.len = (fuzz_take(&in, 1) + 1) * STEP;
  if (reader == NULL)
    return 0;
  disk.bytes = calloc(1, disk.len);
  FUZZ_ASSERT(disk.bytes != NULL);
  while (in.size > 0)
    put_piece(&in, &disk);
  const struct source source = { read_disk, &disk, disk.len };
  int r = usage_open(&usage, reader, &source);
  if (r == 0)
    walk(&usage);
  else
    FUZZ_ASSERT(r == -EUCLEAN && usage.what[0] != '\0' && usage.mend != NULL);
  usage_close(&usage);
  free(disk.bytes);
  return 0;
}

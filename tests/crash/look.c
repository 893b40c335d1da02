/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c: see look.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "look.h"
#include "vhdkit.h"

#define CHUNK (256 << 10)
#define WRITES 4

static void fault(struct look *l, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

static void
fault(struct look *l, const char *fmt, ...)
{
  va_list args;

  if (l->fault[0])
    return;
  va_start(args, fmt);
  vsnprintf(l->fault, sizeof l->fault, fmt, args);
  va_end(args);
}

static struct vhd_image *
open_it(struct look *l, uint32_t flags)
{
  struct vhd_open_options opt = { .flags = flags, .journal_dir = l->journal };
  struct vhd_image *image = NULL;
  struct vhd_error err;

  if (vhd_open(l->path, &opt, &image, &err) < 0) {
    fault(l, "it cannot be opened: %s", err.message);
    return NULL;
  }
  if (vhd_size(image) != l->disk->nsec * 512)
    fault(l, "the disk has another size: %llu",
          (unsigned long long)vhd_size(image));
  return image;
}

/* On a host that shows old bytes where an unsynced write had just been given
 * its place, the sectors of that write are no fault of ours. */
static bool
forgivable(const struct look *l, uint64_t sec, const uint8_t *bytes)
{
  return l->garbage && bytes[0] == GARBAGE && bytes[511] == GARBAGE &&
         disk_unsettled(l->disk, sec, l->at);
}

static void
judge(struct look *l, uint64_t sec, const uint8_t *bytes)
{
  static const char *const names[] = {
    [LOST] = "P1: has an older value than the one that was flushed",
    [ZEROED] = "P2: has zeros in place of its value",
    [FOREIGN] = "P2: has bytes that never were its own",
  };
  enum verdict v = disk_judge(l->disk, sec, bytes, l->at);
  char hex[33];

  if (v == RIGHT || forgivable(l, sec, bytes))
    return;
  for (int i = 0; i < 16; i++)
    snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
  fault(l, "sector %llu %s: %s", (unsigned long long)sec, names[v], hex);
}

/* written: sectors that we wrote ourselves, and that hold `mark`. */
static void
compare(struct look *l, struct vhd_image *image, const uint64_t *written,
        unsigned nwritten, const uint8_t *mark)
{
  static uint8_t buf[CHUNK];
  uint64_t size = l->disk->nsec * 512;

  for (uint64_t off = 0; off < size && !l->fault[0]; off += CHUNK) {
    uint64_t n = size - off < CHUNK ? size - off : CHUNK;
    int e = vhd_pread(image, buf, n, off);
    if (e < 0)
      fault(l, "it cannot be read at %llu: %s", (unsigned long long)off,
            strerror(-e));
    for (uint64_t i = 0; i < n / 512 && !l->fault[0]; i++) {
      bool ours = false;
      for (unsigned w = 0; w < nwritten; w++)
        ours |= written[w] == off / 512 + i;
      if (!ours)
        judge(l, off / 512 + i, buf + i * 512);
      else if (memcmp(buf + i * 512, mark, 512) != 0)
        fault(l, "sector %llu does not hold what was just written",
              (unsigned long long)(off / 512 + i));
    }
  }
}

void
look_reading(struct look *l)
{
  struct vhd_image *image = open_it(l, VHD_OPEN_READONLY);

  if (image)
    compare(l, image, NULL, 0, NULL);
  vhd_close(image, NULL);
}

static void
found(void *opaque, const struct vhd_finding *finding)
{
  struct look *l = opaque;

  if (finding->severity == VHD_BROKEN)
    fault(l, "%s, check says: %s", l->when, finding->message);
}

static void
check(struct look *l, const char *when)
{
  struct vhd_check_options opt = { .open.journal_dir = l->journal };
  struct vhd_check_result result;
  struct vhd_error err;

  l->when = when;
  if (vhd_check(l->path, &opt, found, l, &result, &err) < 0)
    fault(l, "%s it cannot be checked: %s", when, err.message);
}

static uint64_t
dice(struct look *l)
{
  l->random = l->random * 6364136223846793005ULL + 1442695040888963407ULL;
  return l->random >> 33;
}

/* New blocks get places that may hold stale bytes: these must not be seen. */
static void
write_some(struct look *l, struct vhd_image *image)
{
  uint8_t mark[512];
  uint64_t written[WRITES];

  memset(mark, 0x5a, sizeof mark);
  for (unsigned i = 0; i < WRITES; i++) {
    written[i] = dice(l) % l->disk->nsec;
    int e = vhd_pwrite(image, mark, 512, written[i] * 512, 0);
    if (e < 0)
      fault(l, "it cannot be written: %s", strerror(-e));
  }
  compare(l, image, written, WRITES, mark);
}

void
look_writing(struct look *l)
{
  struct vhd_image *image;
  struct vhd_error err;

  if (l->whole)
    check(l, "after the power cut");
  image = open_it(l, 0);
  if (!image)
    return;
  compare(l, image, NULL, 0, NULL);
  write_some(l, image);
  if (vhd_close(image, &err) < 0)
    fault(l, "it cannot be closed: %s", err.message);
  check(l, "after it was used and closed");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

#define MAX_SECTORS 4096

static uint8_t buffer[MAX_SECTORS * SECTOR];

void
wrong(const char *format, ...)
{
  va_list ap;

  va_start(ap, format);
  printf("# ");
  vprintf(format, ap);
  printf("\n");
  fflush(stdout);
  _exit(1);
}

/* Counts what failed; ends the process if it may not have. */
static int
judge(struct disk *d, const char *what, int result)
{
  if (result >= 0) {
    d->m->acknowledged++;
    return 0;
  }
  d->m->failed++;
  d->failures++;
  d->last_failure = result;
  if (!d->may_fail)
    wrong("%s failed: %s", what, strerror(-result));
  d->may_fail(d, what, result);
  return result;
}

static enum outcome
outcome_of(int result, uint32_t flags)
{
  return result < 0 ? FAILED : flags & VHD_FUA ? DURABLE : DONE;
}

static void
durable(struct disk *d, int result, uint32_t flags)
{
  if (result == 0 && flags & VHD_FUA && d->may_flush)
    d->may_flush(d);
}

int
disk_open(struct disk *d, uint32_t flags)
{
  struct vhd_open_options opt = { .flags = flags };
  struct vhd_error e;

  d->failures = 0;
  d->m->refused = d->m->closed = false;
  int r = vhd_open(d->path, &opt, &d->image, &e);
  if (r < 0 && !d->may_fail)
    wrong("open failed: %s", e.message);
  if (r == 0 && vhd_size(d->image) != d->m->nsec * SECTOR)
    wrong("the disk has another size");
  d->m->refused = r < 0;
  return judge(d, "open", r);
}

int
disk_close(struct disk *d)
{
  struct vhd_error e;
  int r = vhd_close(d->image, &e);

  if (r < 0 && !d->may_fail)
    wrong("close failed: %s", e.message);
  d->m->closed = true;
  d->m->close_result = r;
  if (r == 0)
    model_flushed(d->m);
  durable(d, r, VHD_FUA);
  return judge(d, "close", r);
}

int
disk_write(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags)
{
  uint8_t value = model_next(d->m);

  for (uint64_t i = 0; i < nsec; i++)
    sector_fill(buffer + i * SECTOR, sec + i, value);
  int r = vhd_pwrite(d->image, buffer, nsec * SECTOR, sec * SECTOR, flags);
  model_set(d->m, sec, nsec, value, outcome_of(r, flags));
  durable(d, r, flags);
  return judge(d, "write", r);
}

int
disk_zero(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags)
{
  int r = vhd_zero(d->image, nsec * SECTOR, sec * SECTOR, flags);

  model_set(d->m, sec, nsec, 0, outcome_of(r, flags));
  durable(d, r, flags);
  return judge(d, "zero", r);
}

int
disk_trim(struct disk *d, uint64_t sec, uint64_t nsec, uint32_t flags)
{
  int r = vhd_trim(d->image, nsec * SECTOR, sec * SECTOR, flags);

  model_may(d->m, sec, nsec, 0);
  durable(d, r, flags);
  return judge(d, "trim", r);
}

int
disk_flush(struct disk *d)
{
  int r = vhd_flush(d->image);

  if (r == 0)
    model_flushed(d->m);
  durable(d, r, VHD_FUA);
  return judge(d, "flush", r);
}

int
disk_read(struct disk *d, uint64_t sec, uint64_t nsec)
{
  int r = vhd_pread(d->image, buffer, nsec * SECTOR, sec * SECTOR);

  for (uint64_t i = 0; r == 0 && i < nsec; i++) {
    int value = sector_value(buffer + i * SECTOR, sec + i);
    if (!model_seen(d->m, sec + i, value))
      wrong("sector %" PRIu64 " (block %" PRIu64 ") holds %s (%d)", sec + i,
            (sec + i) / d->spb,
            value < 0    ? "what was never written there"
            : value == 0 ? "zeros"
                         : "what it may not", value);
  }
  return judge(d, "read", r);
}

void
disk_settle(struct disk *d)
{
  for (uint64_t sec = 0; sec < d->m->nsec; sec += MAX_SECTORS) {
    uint64_t nsec = d->m->nsec - sec;
    if (nsec > MAX_SECTORS)
      nsec = MAX_SECTORS;
    if (disk_read(d, sec, nsec) < 0)
      continue;
    for (uint64_t i = 0; i < nsec; i++)
      model_settle(d->m, sec + i, sector_value(buffer + i * SECTOR, sec + i));
  }
}

/* --------------------------------------------------------------- at random */

struct range {
  uint64_t sec, nsec;
};

static struct range
some_sectors(struct disk *d)
{
  struct range r = { model_random(d->m, d->m->nsec),
                     1 + model_random(d->m, d->max_write) };

  if (r.nsec > d->m->nsec - r.sec)
    r.nsec = d->m->nsec - r.sec;
  return r;
}

/* Often the last one, which may be like no other. */
static struct range
some_blocks(struct disk *d)
{
  uint64_t nblk = (d->m->nsec + d->spb - 1) / d->spb;
  uint64_t blk = model_random(d->m, nblk + nblk / 4);
  struct range r = { (blk < nblk ? blk : nblk - 1) * d->spb,
                     (1 + model_random(d->m, 3)) * d->spb };

  if (r.nsec > d->m->nsec - r.sec)
    r.nsec = d->m->nsec - r.sec;
  return r;
}

void
disk_something(struct disk *d)
{
  uint64_t dice = model_random(d->m, 100);
  struct range r = dice % 2 ? some_blocks(d) : some_sectors(d);

  if (dice < 50) {
    r = some_sectors(d);
    disk_write(d, r.sec, r.nsec, dice < 8 ? VHD_FUA : 0);
  } else if (dice < 60) {
    disk_zero(d, r.sec, r.nsec, dice < 52   ? VHD_FUA
                                : dice < 54 ? VHD_NO_HOLE
                                            : 0);
  } else if (dice < 75) {
    disk_trim(d, r.sec, r.nsec, dice < 62 ? VHD_FUA : 0);
  } else if (dice < 90) {
    r = some_sectors(d);
    disk_read(d, r.sec, r.nsec);
  } else {
    disk_flush(d);
  }
}

/* ---------------------------------------------------------------- the file */

static void
check_footer(const char *path)
{
  char footer[SECTOR];
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < SECTOR ||
      pread(fd, footer, SECTOR, st.st_size - SECTOR) != SECTOR)
    wrong("the end of the file cannot be read");
  close(fd);
  if (memcmp(footer, "conectix", 8) != 0)
    wrong("the file (%jd bytes) does not end in a footer",
          (intmax_t)st.st_size);
}

struct findings {
  char first[512];
  bool leaks_allowed;
};

static void
found(void *opaque, const struct vhd_finding *finding)
{
  struct findings *f = opaque;

  if ((finding->severity == VHD_BROKEN ||
       (finding->severity == VHD_LEAKED && !f->leaks_allowed)) &&
      f->first[0] == '\0')
    snprintf(f->first, sizeof f->first, "%s", finding->message);
}

void
disk_check(const struct disk *d, bool leaks_allowed)
{
  struct findings f = { .leaks_allowed = leaks_allowed };
  struct vhd_check_result result;
  struct vhd_error e;

  check_footer(d->path);
  if (vhd_check(d->path, NULL, found, &f, &result, &e) < 0)
    wrong("check could not look: %s", e.message);
  if (f.first[0] != '\0')
    wrong("check: %s", f.first);
}

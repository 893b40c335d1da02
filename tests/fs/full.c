/* SPDX-License-Identifier: BSD-2-Clause */
/* full.c: a disk on a file system that fills up, and has space again.
 *
 *   full STEP DIR STATE TYPE [ENDING]
 *
 * TYPE is dynamic, child, small (blocks), or small-child.
 * Steps, each a process, since what comes between them (unmounting, say) is not
 * done from here; DIR lies on the file system under test, STATE elsewhere:
 *
 *   make      an image, and a filler that leaves it little space
 *   fill      works on it till there is no space, and far beyond; ends by a
 *             close, a kill, or with the power (closed, killed, cut)
 *   lost      after a kill: the power was cut, too, and the journal is gone
 *   full      opens it, still without space: all is there, and can be read
 *   trim      trims blocks: what they had can be used, without a flush
 *   free      the filler goes: all works again
 *
 * No flush may fail for want of space: what it needs was there when the write
 * was acknowledged.  But where each write takes new space (copy on write) it
 * may: FULL_FLUSH_MAY_FAIL=1 says so.  Prints nothing but what is wrong. */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

#define MIB (1ULL << 20)
#define SIZE (96 * MIB)
#define SPACE (12 * MIB) /* what the filler leaves */
#define FRUITLESS 60     /* writes without space in a row: it is full */
#define SHUTDOWN _IOR('X', 125, uint32_t) /* ext4, XFS: the power is cut */
#define NO_LOG_FLUSH 2

static char image_path[4096], parent_path[4096], filler_path[4096];
static char model_path[4096], journals[4096];
static const char *dir, *state, *type, *ending;
static bool flush_may_fail;

static void
no_space_may(struct disk *d, const char *what, int result)
{
  (void)d;
  if (result != -ENOSPC)
    wrong("%s failed on a full file system: %s", what, strerror(-result));
  if (strcmp(what, "write") != 0 && strcmp(what, "zero") != 0 &&
      !flush_may_fail)
    wrong("%s failed for want of space, after %u acknowledged calls", what,
          d->m->acknowledged);
}

static bool
small_blocks(void)
{
  return strncmp(type, "small", 5) == 0;
}

static struct disk
the_disk(void)
{
  return (struct disk){
    .path = image_path,
    .m = model_map(model_path, 0, 0),
    .spb = small_blocks() ? 64 : 4096,
    .max_write = 600,
  };
}

/* ------------------------------------------------------------------- filler */

/* Some only know what is free once all is on disk. */
static void
settle_file_system(void)
{
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0 || syncfs(fd) < 0)
    err(99, "%s", dir);
  close(fd);
}

static uint64_t
write_till_full(int fd)
{
  static char buf[1 << 18];
  off_t size = 0;

  memset(buf, 1, sizeof buf);
  for (size_t n = sizeof buf; n >= 512; n /= 2) {
    ssize_t done;
    while ((done = pwrite(fd, buf, n, size)) > 0)
      size += done;
    fsync(fd);
  }
  return (uint64_t)size;
}

static void
set_filler(uint64_t leave)
{
  int fd = open(filler_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0)
    err(99, "%s", filler_path);
  uint64_t size = write_till_full(fd);
  if (size < leave)
    errx(99, "this file system is too small");
  if (ftruncate(fd, (off_t)(size - leave)) < 0 || fsync(fd) < 0)
    err(99, "%s", filler_path);
  close(fd);
  settle_file_system();
}

/* ------------------------------------------------------------------- steps */

static void
create(const char *path, const char *parent)
{
  struct vhd_error e;
  struct vhd_create_options opt = {
    .type = parent ? VHD_DIFFERENCING : VHD_DYNAMIC,
    .size = parent ? 0 : SIZE,
    .parent = parent,
  };

  if (!parent && small_blocks())
    opt.block_size = 32 << 10;
  if (vhd_create(path, &opt, &e) < 0)
    errx(99, "%s", e.message);
}

static void
make(void)
{
  bool child = strstr(type, "child") != NULL;
  struct model *m = model_map(model_path, SIZE / SECTOR, 11);

  if (child)
    create(parent_path, NULL);
  create(image_path, child ? parent_path : NULL);
  set_filler(SPACE);
  model_unmap(m);
}

static void
cut_power(void)
{
  uint32_t how = NO_LOG_FLUSH;
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0 || ioctl(fd, SHUTDOWN, &how) < 0)
    err(99, "%s: shutdown", dir);
  close(fd);
}

static void
forget_journals(void)
{
  DIR *folder = opendir(journals);
  struct dirent *entry;

  while (folder && (entry = readdir(folder)) != NULL)
    if (entry->d_name[0] != '.')
      unlinkat(dirfd(folder), entry->d_name, 0);
  if (folder)
    closedir(folder);
}

/* A sector in each block, without a flush: what such a write takes now is
 * little, and what its table entry and its bitmap will take comes on top. */
static void
touch_blocks(struct disk *d)
{
  unsigned fruitless = 0;

  for (uint64_t sec = 0; sec < d->m->nsec && fruitless < FRUITLESS;
       sec += d->spb)
    if (disk_write(d, sec + model_random(d->m, d->spb), 1, 0) < 0)
      fruitless++;
}

/* Ever more calls fail: a thing now and then still finds its space. */
static void
work_till_full(struct disk *d)
{
  unsigned fruitless = 0;

  while (fruitless < FRUITLESS) {
    unsigned before = d->failures;
    disk_something(d);
    if (d->failures > before)
      fruitless++;
    else if (d->failures == 0)
      fruitless = 0;
    else if (d->m->acknowledged % 8 == 0)
      fruitless++;
  }
}

static void
end_life(struct disk *d)
{
  if (strcmp(ending, "cut") == 0)
    cut_power();
  else if (strcmp(ending, "closed") == 0)
    disk_close(d);
}

static void
fill(void)
{
  struct disk d = the_disk();

  d.may_fail = no_space_may;
  disk_open(&d, 0);
  work_till_full(&d);
  disk_flush(&d);
  touch_blocks(&d);
  disk_flush(&d);
  for (unsigned i = 0; i < 20; i++)
    disk_write(&d, model_random(d.m, d.m->nsec - 8), 8, 0);
  end_life(&d);
  printf("# %u calls were acknowledged, %u failed for want of space\n",
         d.m->acknowledged, d.m->failed);
}

static void
lost(void)
{
  struct model *m = model_map(model_path, 0, 0);

  forget_journals();
  model_cut(m);
}

static void
look(struct disk *d)
{
  disk_open(d, VHD_OPEN_READONLY);
  disk_settle(d);
  disk_close(d);
}

static void
still_full(void)
{
  struct disk d = the_disk();

  disk_check(&d, true);
  look(&d);
  d.may_fail = no_space_may;
  if (disk_open(&d, 0) == 0) {
    disk_settle(&d);
    for (unsigned i = 0; i < 100; i++)
      disk_something(&d);
    disk_close(&d);
  }
  d.may_fail = NULL;
  look(&d);
  disk_check(&d, true);
}

/* A block that no image holds; the disk's end if there is none. */
static uint64_t
new_block(struct disk *d)
{
  for (uint64_t sec = 0; sec + d->spb <= d->m->nsec; sec += d->spb) {
    struct vhd_run run;
    unsigned nruns = 1;
    if (vhd_map(d->image, d->spb * SECTOR, sec * SECTOR, &run, &nruns) < 0)
      wrong("map failed");
    if (run.kind == VHD_RUN_HOLE && run.len == d->spb * SECTOR)
      return sec;
  }
  return d->m->nsec;
}

/* Till nothing goes any more, not even a page. */
static void
take_all(struct disk *d)
{
  uint64_t sec = 0;

  for (uint64_t nsec = d->spb; nsec >= 8; nsec /= 2)
    do
      sec = new_block(d);
    while (sec < d->m->nsec && disk_write(d, sec, nsec, 0) == 0);
  if (sec == d->m->nsec)
    wrong("the disk is full before this file system is");
}

/* Space for so many blocks, and what comes with it. */
static void
free_blocks(const struct disk *d, unsigned n)
{
  struct stat st;

  if (stat(filler_path, &st) < 0 ||
      truncate(filler_path, st.st_size - n * d->spb * SECTOR - MIB) < 0)
    err(99, "%s", filler_path);
  settle_file_system();
}

/* Blocks that were written from end to end make room for another such: two for
 * one, since its bitmap may need space where theirs keep it. */
static void
trim(void)
{
  struct disk d = the_disk();
  uint64_t sec[2];

  d.may_fail = no_space_may;
  if (disk_open(&d, 0) < 0)
    return;
  free_blocks(&d, 2);
  for (unsigned i = 0; i < 2; i++) {
    sec[i] = new_block(&d);
    if (sec[i] == d.m->nsec)
      wrong("the disk is too small for this file system");
    if (disk_write(&d, sec[i], d.spb, 0) < 0 && !flush_may_fail)
      wrong("there is space, and no write finds it");
  }
  take_all(&d);
  disk_trim(&d, sec[0], d.spb, 0);
  disk_trim(&d, sec[1], d.spb, 0);
  d.may_fail = flush_may_fail ? no_space_may : NULL;
  disk_write(&d, sec[0], d.spb, 0);
  disk_close(&d);
  disk_check(&d, true);
}

static void
free_again(void)
{
  struct disk d = the_disk();

  unlink(filler_path);
  settle_file_system();
  disk_open(&d, 0);
  disk_settle(&d);
  for (unsigned i = 0; i < 200; i++)
    disk_something(&d);
  disk_flush(&d);
  disk_close(&d);
  disk_check(&d, false);
  look(&d);
}

static const struct step {
  const char *name;
  void (*function)(void);
} steps[] = {
  { "make", make },       { "fill", fill }, { "lost", lost },
  { "full", still_full }, { "trim", trim }, { "free", free_again },
};

static void
set_paths(void)
{
  snprintf(image_path, sizeof image_path, "%s/disk.vhd", dir);
  snprintf(parent_path, sizeof parent_path, "%s/parent.vhd", dir);
  snprintf(filler_path, sizeof filler_path, "%s/filler", dir);
  snprintf(model_path, sizeof model_path, "%s/model", state);
  snprintf(journals, sizeof journals, "%s/journals", state);
  if ((mkdir(journals, 0700) < 0 && errno != EEXIST) ||
      setenv("VHDKIT_JOURNAL_DIR", journals, 1) < 0)
    err(99, "%s", journals);
}

int
main(int argc, char **argv)
{
  if (argc < 5)
    errx(99, "usage: full STEP DIR STATE TYPE [ENDING]");
  dir = argv[2];
  state = argv[3];
  type = argv[4];
  ending = argc > 5 ? argv[5] : "closed";
  flush_may_fail = getenv("FULL_FLUSH_MAY_FAIL") != NULL;
  set_paths();
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
    if (strcmp(argv[1], steps[i].name) == 0) {
      steps[i].function();
      fflush(stdout);
      _exit(0);
    }
  errx(99, "no step %s", argv[1]);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* write.c: vhdkit write.  Bytes from a file or from standard input, to a disk.
 * Holes of a regular file become zeros of the disk, without being written one
 * by one, and so do zeros that were read.  Told to stop, it makes durable what
 * it has written. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "progress.h"
#include "verbs.h"
#include "zeros.h"

#define CHUNK (1U << 20)
#define GRAIN (64U << 10) /* the least that is zeroed, not written */
#define ZEROS_MOST ((uint64_t)1 << 30) /* at once, or it could take long */

static uint64_t offset, length;
static bool length_given;

static const struct option_spec options[] = {
  { .name = "offset", .kind = OPTION_SIZE, .value = &offset,
    .argument = "OFFSET", .help = "begin there on the disk (default: 0)" },
  { .name = "length", .kind = OPTION_SIZE, .value = &length,
    .given = &length_given, .argument = "LENGTH",
    .help = "exactly so much (default: all of the input)" },
  { .name = NULL },
};

struct copy {
  struct vhd_image *image;
  const char *name; /* of the input, for messages */
  int fd;
  bool regular;
  uint64_t pos;   /* in the input, where it is regular */
  uint64_t done;  /* bytes that are on the disk */
  uint64_t room;  /* how many may be */
  char *buf, *old; /* of CHUNK bytes; old: what the disk has */
  uint64_t zeros_at, zeros; /* on the disk: to become zeros, and how many */
  bool keep_space; /* zeros keep the space that was set aside */
  bool look;       /* at whether zeros change anything */
};

static int
input_failed(struct copy *copy)
{
  if (!interrupt_pending())
    complain_sys(errno, "%s: cannot read", copy->name);
  return -1;
}

static int
disk_failed(struct copy *copy, int r)
{
  complain_sys(-r, "cannot write at %" PRIu64 " of the disk",
               offset + copy->done);
  return -1;
}

/* Fills buf as far as the input goes, at most len; -1 is a failure. */
static ssize_t
get(struct copy *copy, size_t len)
{
  size_t have = 0;

  while (have < len && !interrupt_pending()) {
    ssize_t n = read(copy->fd, copy->buf + have, len - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return input_failed(copy);
    if (n == 0)
      break;
    have += (size_t)n;
  }
  return (ssize_t)have;
}

/* The zeros that were put off become zeros of the disk: all at once, so that a
 * block that they cover gives its space back. */
static int
settle(struct copy *copy)
{
  const uint64_t len = copy->zeros;

  copy->zeros = 0;
  return len == 0 ? 0 : vhd_zero(copy->image, len, copy->zeros_at,
                                 copy->keep_space ? VHD_NO_HOLE : 0);
}

/* Zeros.  Where the disk reads as zeros anyway nothing is done: in a child they
 * would take space to hide zeros of its parent, and in a fixed image that has
 * holes, or none, it is to stay so. */
static int
zero(struct copy *copy, size_t len, uint64_t off)
{
  int r = copy->look ? vhd_pread(copy->image, copy->old, len, off) : 0;

  if (r < 0 || (copy->look && zeros_all(copy->old, len)))
    return r;
  if (copy->zeros_at + copy->zeros != off || copy->zeros >= ZEROS_MOST)
    r = settle(copy);
  if (copy->zeros == 0)
    copy->zeros_at = off;
  copy->zeros += len;
  return r;
}

/* What was read goes to the disk, but for zeros at its end, which wait for what
 * follows. */
static int
put(struct copy *copy, size_t len)
{
  const uint64_t off = offset + copy->done;
  size_t n;
  int r = 0;

  for (size_t at = 0; at < len && r == 0; at += n) {
    bool zeros;
    n = zeros_stretch(copy->buf + at, len - at, GRAIN, &zeros);
    r = zeros ? zero(copy, n, off + at) : settle(copy);
    if (r == 0 && !zeros)
      r = vhd_pwrite(copy->image, copy->buf + at, n, off + at, 0);
  }
  return r;
}

/* At most limit bytes of data from the input on; ends early where that does. */
static int
copy_data(struct copy *copy, uint64_t limit, bool *ended)
{
  *ended = false;
  while (limit > 0 && !*ended && !interrupt_pending()) {
    /* Chunks, and so grains, begin where blocks of the disk may. */
    size_t want = CHUNK - (offset + copy->done) % CHUNK;
    want = limit < want ? (size_t)limit : want;
    ssize_t n = get(copy, want);
    if (n < 0)
      return -1;
    *ended = (size_t)n < want;
    if (n == 0)
      break;
    int r = put(copy, (size_t)n);
    if (r < 0)
      return disk_failed(copy, r);
    copy->pos += (uint64_t)n;
    copy->done += (uint64_t)n;
    limit -= (uint64_t)n;
    progress_update(copy->done);
  }
  return 0;
}

static int
copy_hole(struct copy *copy, uint64_t len)
{
  /* In pieces, so that it can be interrupted and seen to go on. */
  while (len > 0 && !interrupt_pending()) {
    uint64_t n = len < ZEROS_MOST ? len : ZEROS_MOST;
    int r = vhd_zero(copy->image, n, offset + copy->done, 0);
    if (r < 0)
      return disk_failed(copy, r);
    copy->pos += n;
    copy->done += n;
    len -= n;
    progress_update(copy->done);
  }
  return 0;
}

/* A regular file, data and holes, as far as there is room. */
static int
copy_regular(struct copy *copy, uint64_t end)
{
  bool ended;

  while (copy->pos < end && !interrupt_pending()) {
    off_t data = lseek(copy->fd, (off_t)copy->pos, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
      return input_failed(copy);
    uint64_t hole_end = data < 0 || (uint64_t)data > end ? end
                                                         : (uint64_t)data;
    if (copy_hole(copy, hole_end - copy->pos) < 0)
      return -1;
    if (copy->pos >= end || interrupt_pending())
      break;
    off_t hole = lseek(copy->fd, (off_t)copy->pos, SEEK_HOLE);
    if (hole < 0 || lseek(copy->fd, (off_t)copy->pos, SEEK_SET) < 0)
      return input_failed(copy);
    uint64_t data_end = (uint64_t)hole < end ? (uint64_t)hole : end;
    if (copy_data(copy, data_end - copy->pos, &ended) < 0)
      return -1;
    if (ended && copy->pos < data_end && !interrupt_pending()) {
      complain("%s: became shorter while it was read", copy->name);
      return -1;
    }
  }
  return 0;
}

/* Anything else: as it comes, until it ends. */
static int
copy_stream(struct copy *copy)
{
  bool ended;

  if (copy_data(copy, copy->room, &ended) < 0)
    return -1;
  if (interrupt_pending())
    return 0;
  if (length_given && copy->done < copy->room) {
    complain("%s: ended after %" PRIu64 " bytes; these are written",
             copy->name, copy->done);
    return -1;
  }
  if (!length_given && !ended && get(copy, 1) > 0) {
    complain("%s: is longer than what is left of the disk; its first %" PRIu64
             " bytes are written", copy->name, copy->done);
    return -1;
  }
  return 0;
}

static int
open_input(struct copy *copy, const char *path, struct stat *st)
{
  copy->name = path;
  copy->fd = STDIN_FILENO;
  if (strcmp(path, "-") == 0)
    copy->name = "standard input";
  else
    copy->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (copy->fd < 0 || fstat(copy->fd, st) < 0) {
    complain_sys(errno, "%s: cannot open", copy->name);
    return -1;
  }
  if (image_refuse_self(copy->image, copy->name,
                        copy->fd == STDIN_FILENO ? "/dev/stdin" : path, st,
                        "written"))
    return -1;
  /* Files of /proc say that they are empty, and are not. */
  copy->regular = S_ISREG(st->st_mode) && st->st_size > 0;
  if (copy->regular) {
    off_t pos = lseek(copy->fd, 0, SEEK_CUR);
    if (pos < 0)
      return input_failed(copy);
    copy->pos = (uint64_t)pos;
  }
  return 0;
}

static int
copy_all(struct copy *copy, const struct stat *st)
{
  if (!copy->regular) {
    progress_begin("written", length_given ? length : 0);
    return copy_stream(copy);
  }
  uint64_t have = (uint64_t)st->st_size > copy->pos
                    ? (uint64_t)st->st_size - copy->pos : 0;
  if (length_given && length > have) {
    complain_usage("%s: has only %" PRIu64 " bytes; nothing was written",
                   copy->name, have);
    return -1;
  }
  if (!length_given && have > copy->room) {
    complain_usage("%s: has %" PRIu64 " bytes, but from %" PRIu64 " on the "
                   "disk has only %" PRIu64 "; nothing was written",
                   copy->name, have, offset, copy->room);
    return -1;
  }
  uint64_t len = length_given ? length : have;
  progress_begin("written", len);
  return copy_regular(copy, copy->pos + len);
}

static int
write_image(struct vhd_image *image, const char *path)
{
  uint64_t size = vhd_size(image);
  struct copy copy = { .image = image, .fd = -1 };
  struct vhd_info info;
  struct stat st;

  if (offset > size || (length_given && length > size - offset)) {
    complain_usage("the range does not lie in the disk, which has %" PRIu64
                   " bytes", size);
    return -1;
  }
  vhd_get_info(image, &info);
  copy.keep_space = info.block_size == 0;
  copy.look = copy.keep_space || vhd_parent(image) != NULL;
  copy.room = length_given ? length : size - offset;
  copy.buf = malloc(CHUNK);
  copy.old = malloc(CHUNK);
  int r = -1;
  if (copy.buf == NULL || copy.old == NULL)
    complain("out of memory");
  else
    r = open_input(&copy, path, &st);
  if (r == 0) {
    r = copy_all(&copy, &st);
    const int e = settle(&copy);
    if (e < 0)
      r = disk_failed(&copy, e);
    progress_end();
  }
  if (copy.fd >= 0 && copy.fd != STDIN_FILENO)
    close(copy.fd);
  if (interrupt_pending()) {
    complain("interrupted; %" PRIu64 " bytes are written", copy.done);
    r = -1;
  }
  free(copy.buf);
  free(copy.old);
  return r;
}

static int
run(char **args)
{
  /* Before anything is opened for writing, so that it is always closed. */
  interrupt_catch();
  struct vhd_image *image = image_open(args[0], 0);

  if (image == NULL)
    return EXIT_FAILED;
  image_warn(image);
  image_warn_of_children(image);
  int r = write_image(image, args[1] != NULL ? args[1] : "-");
  if (image_close(image) < 0)
    r = -1;
  interrupt_obey();
  return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct verb write_verb = {
  .name = "write",
  .summary = "copy a file or standard input to a place on a disk",
  .arguments = "IMAGE [FILE]",
  .min_args = 1,
  .max_args = 2,
  .options = { options, root_options, open_options, progress_options },
  .about = "Without FILE, or where it is -, standard input is copied.  Holes "
           "of a file\nbecome zeros of the disk, and zeros take no space in a "
           "dynamic image.  What is\nthere when it ends is durable.",
  .run = run,
};

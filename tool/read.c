/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c: vhdkit read.  Bytes of a disk, to a file, a device or to standard
 * output.  What holds no data in the chain, or turns out to be zeros, becomes
 * holes of a file and zeros elsewhere.  A file is there whole, or not at all;
 * what it replaces is nobody's image. */
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
#define GRAIN 4096 /* the least that becomes a hole */
#define RUNS_AT_ONCE 64

static uint64_t offset, length;
static bool length_given, overwrite;

static const struct option_spec options[] = {
  { .name = "offset", .kind = OPTION_SIZE, .value = &offset,
    .argument = "OFFSET", .help = "begin there (default: 0)" },
  { .name = "length", .kind = OPTION_SIZE, .value = &length,
    .given = &length_given, .argument = "LENGTH",
    .help = "so much (default: to the end of the disk)" },
  { .name = "overwrite", .kind = OPTION_FLAG, .value = &overwrite,
    .help = "replace a FILE that is there and not in use; needed for a block "
            "device too" },
  { .name = NULL },
};

struct copy {
  struct vhd_image *image;
  const char *name; /* of the output, for messages */
  int fd;
  struct vhd_output *file; /* fd is of this new file, and stays its own; or
                            * NULL */
  char *buf, *zeros;
};

static int
put(struct copy *copy, const char *p, size_t len)
{
  while (len > 0) {
    ssize_t n = write(copy->fd, p, len);
    if (n < 0 && errno == EINTR && !interrupt_pending())
      continue;
    if (n < 0) {
      const int sys = errno;
      if (sys == EPIPE)
        interrupt_output_gone();
      if (!interrupt_pending())
        complain_sys(sys, "%s: cannot write", copy->name);
      return -1;
    }
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static int
skip(struct copy *copy, uint64_t len)
{
  if (lseek(copy->fd, (off_t)len, SEEK_CUR) >= 0)
    return 0;
  complain_sys(errno, "%s: cannot make a hole", copy->name);
  return -1;
}

/* What was read. */
static int
put_data(struct copy *copy, const char *p, size_t len)
{
  if (copy->file == NULL)
    return put(copy, p, len);
  while (len > 0) {
    bool zeros;
    const size_t n = zeros_stretch(p, len, GRAIN, &zeros);
    if ((zeros ? skip(copy, n) : put(copy, p, n)) < 0)
      return -1;
    p += n;
    len -= n;
  }
  return 0;
}

/* Bytes of the disk; zeros: it is known that they are no data. */
static int
copy_bytes(struct copy *copy, uint64_t off, uint64_t len, bool zeros)
{
  while (len > 0 && !interrupt_pending()) {
    /* Chunks, and so grains, begin where pages of the output do. */
    size_t n = CHUNK - (off - offset) % CHUNK;
    n = len < n ? (size_t)len : n;
    int r = zeros ? 0 : vhd_pread(copy->image, copy->buf, n, off);
    if (r < 0) {
      complain_sys(-r, "cannot read %zu bytes at %" PRIu64, n, off);
      return -1;
    }
    if ((zeros ? put(copy, copy->zeros, n) : put_data(copy, copy->buf, n)) < 0)
      return -1;
    off += n;
    len -= n;
    progress_update(off - offset);
  }
  return 0;
}

static int
copy_zeros(struct copy *copy, uint64_t off, uint64_t len)
{
  if (copy->file == NULL)
    return copy_bytes(copy, off, len, true);
  progress_update(off + len - offset);
  return skip(copy, len);
}

static int
copy_range(struct copy *copy, uint64_t off, uint64_t end)
{
  struct vhd_run runs[RUNS_AT_ONCE];

  while (off < end && !interrupt_pending()) {
    unsigned n = RUNS_AT_ONCE;
    int r = vhd_map(copy->image, end - off, off, runs, &n);
    if (r < 0) {
      complain_sys(-r, "cannot read the metadata");
      return -1;
    }
    for (unsigned i = 0; i < n && !interrupt_pending(); i++) {
      r = runs[i].kind == VHD_RUN_DATA
            ? copy_bytes(copy, off, runs[i].len, false)
            : copy_zeros(copy, off, runs[i].len);
      if (r < 0)
        return -1;
      off += runs[i].len;
    }
  }
  return interrupt_pending() ? -1 : 0;
}

/* A block device is there to be overwritten; but not one that the system has
 * mounted or made part of another, nor one that is too small. */
static int
check_device(struct copy *copy, uint64_t len)
{
  off_t size = lseek(copy->fd, 0, SEEK_END);

  if (size < 0 || lseek(copy->fd, 0, SEEK_SET) < 0) {
    complain_sys(errno, "%s: cannot find out its size", copy->name);
    return -1;
  }
  if (len > (uint64_t)size) {
    complain_as(EXIT_NO_SPACE, "%s: this device has %" PRIu64 " bytes, and %"
                PRIu64 " are to be read; nothing was written", copy->name,
                (uint64_t)size, len);
    return -1;
  }
  return 0;
}

/* Whatever is neither a file nor a folder. */
static int
open_device(struct copy *copy, bool block, uint64_t len)
{
  if (block && !overwrite) {
    complain_as(EXIT_REFUSED, "%s: is a block device, and what it holds would "
                "be lost; --overwrite writes to it all the same", copy->name);
    return -1;
  }
  copy->fd = open(copy->name, O_WRONLY | O_NOCTTY | O_CLOEXEC |
                              (block ? O_EXCL : 0));
  if (copy->fd < 0 && block && errno == EBUSY) {
    complain_as(EXIT_IN_USE, "%s: this device is in use: it is mounted, or "
                "another device is made of it", copy->name);
    return -1;
  }
  struct stat st;
  if (copy->fd < 0 || fstat(copy->fd, &st) < 0) {
    complain_sys(errno, "%s: cannot open for writing", copy->name);
    return -1;
  }
  if (S_ISREG(st.st_mode) || !!S_ISBLK(st.st_mode) != block) {
    complain("%s: became another file while it was opened", copy->name);
    return -1;
  }
  return block ? check_device(copy, len) : 0;
}

static int
open_file(struct copy *copy)
{
  struct vhd_error err = { 0 };

  if (vhd_output_open(copy->name, overwrite ? VHD_CREATE_OVERWRITE : 0,
                      &copy->file, &err) < 0) {
    image_complain_new(&err, overwrite);
    return -1;
  }
  copy->fd = vhd_output_fd(copy->file);
  return 0;
}

static int
open_output(struct copy *copy, const char *path, uint64_t len)
{
  bool to_stdout = strcmp(path, "-") == 0;
  struct stat st;

  copy->name = to_stdout ? "standard output" : path;
  bool there = (to_stdout ? fstat(STDOUT_FILENO, &st) : stat(path, &st)) == 0;
  if (there && image_refuse_self(copy->image, copy->name,
                                 to_stdout ? "/dev/stdout" : path, &st,
                                 "read"))
    return -1;
  if (to_stdout) {
    copy->fd = STDOUT_FILENO;
    return 0;
  }
  if (there && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
    return open_device(copy, S_ISBLK(st.st_mode), len);
  return open_file(copy);
}

static int
finish_file(struct copy *copy)
{
  struct vhd_error err = { 0 };
  /* It may end in a hole. */
  off_t end = lseek(copy->fd, 0, SEEK_CUR);

  if (end < 0 || ftruncate(copy->fd, end) < 0) {
    complain_sys(errno, "%s: cannot set the size", copy->name);
    return -1;
  }
  if (vhd_output_commit(copy->file, &err) < 0) {
    image_complain(&err, false);
    return -1;
  }
  return 0;
}

static int
close_output(struct copy *copy, int r)
{
  if (copy->file != NULL) {
    if (r == 0)
      r = finish_file(copy);
    vhd_output_close(copy->file);
    return r;
  }
  if (copy->fd < 0 || copy->fd == STDOUT_FILENO)
    return r;
  /* Pipes and the like have nothing to be made durable. */
  bool bad = r == 0 && fsync(copy->fd) < 0 && errno != EINVAL &&
             errno != EROFS;
  bad |= close(copy->fd) < 0 && r == 0;
  if (bad)
    complain_sys(errno, "%s: cannot write", copy->name);
  return bad ? -1 : r;
}

static int
read_image(struct vhd_image *image, const char *path)
{
  uint64_t size = vhd_size(image);
  struct copy copy = { .image = image, .fd = -1 };

  if (offset > size || (length_given && length > size - offset)) {
    complain_usage("the range does not lie in the disk, which has %" PRIu64
                   " bytes", size);
    return -1;
  }
  uint64_t end = length_given ? offset + length : size;
  copy.buf = malloc(CHUNK);
  copy.zeros = calloc(1, CHUNK);
  int r = -1;
  if (copy.buf == NULL || copy.zeros == NULL)
    complain("out of memory");
  else
    r = open_output(&copy, path, end - offset);
  if (r == 0) {
    progress_begin("read", end - offset);
    r = copy_range(&copy, offset, end);
    progress_end();
  }
  r = close_output(&copy, r);
  free(copy.buf);
  free(copy.zeros);
  return r;
}

static int
run(char **args)
{
  struct vhd_image *image = image_open(args[0], VHD_OPEN_READONLY);

  if (image == NULL)
    return EXIT_FAILED;
  image_warn(image);
  interrupt_catch();
  int r = read_image(image, args[1] != NULL ? args[1] : "-");
  if (image_close(image) < 0)
    r = -1;
  interrupt_obey();
  return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct verb read_verb = {
  .name = "read",
  .summary = "copy bytes of a disk to a file or to standard output",
  .arguments = "IMAGE [FILE]",
  .min_args = 1,
  .max_args = 2,
  .options = { options, root_options, open_options, look_options,
               progress_options },
  .about = "Without FILE, or where it is -, the bytes go to standard output.\n"
           "A FILE is there whole afterwards, or nothing has changed; zeros "
           "become holes of\nit.",
  .run = run,
};

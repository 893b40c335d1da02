/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c: vhdkit read.  Bytes of a disk, to a file or to standard output.  What
 * holds no data in the chain becomes holes of a regular file and zeros
 * elsewhere. */
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

#define CHUNK (1U << 20)
#define RUNS_AT_ONCE 64

static uint64_t offset, length;
static bool length_given;

static const struct option_spec options[] = {
  { .name = "offset", .kind = OPTION_SIZE, .value = &offset,
    .argument = "OFFSET", .help = "begin there (default: 0)" },
  { .name = "length", .kind = OPTION_SIZE, .value = &length,
    .given = &length_given, .argument = "LENGTH",
    .help = "so much (default: to the end of the disk)" },
  { .name = NULL },
};

struct copy {
  struct vhd_image *image;
  const char *name; /* of the output, for messages */
  int fd;
  bool sparse; /* a regular file, empty to begin with */
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
      if (!interrupt_pending())
        complain("%s: cannot write: %s", copy->name, strerror(errno));
      return -1;
    }
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static int
copy_data(struct copy *copy, uint64_t off, uint64_t len)
{
  while (len > 0 && !interrupt_pending()) {
    size_t n = len < CHUNK ? (size_t)len : CHUNK;
    int r = vhd_pread(copy->image, copy->buf, n, off);
    if (r < 0) {
      complain("cannot read %zu bytes at %" PRIu64 ": %s", n, off,
               strerror(-r));
      return -1;
    }
    if (put(copy, copy->buf, n) < 0)
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
  if (copy->sparse) {
    if (lseek(copy->fd, (off_t)len, SEEK_CUR) >= 0)
      return 0;
    complain("%s: cannot make a hole: %s", copy->name, strerror(errno));
    return -1;
  }
  while (len > 0 && !interrupt_pending()) {
    size_t n = len < CHUNK ? (size_t)len : CHUNK;
    if (put(copy, copy->zeros, n) < 0)
      return -1;
    off += n;
    len -= n;
    progress_update(off - offset);
  }
  return 0;
}

static int
copy_range(struct copy *copy, uint64_t off, uint64_t end)
{
  struct vhd_run runs[RUNS_AT_ONCE];

  while (off < end && !interrupt_pending()) {
    unsigned n = RUNS_AT_ONCE;
    int r = vhd_map(copy->image, end - off, off, runs, &n);
    if (r < 0) {
      complain("cannot read the metadata: %s", strerror(-r));
      return -1;
    }
    for (unsigned i = 0; i < n && !interrupt_pending(); i++) {
      r = runs[i].kind == VHD_RUN_DATA ? copy_data(copy, off, runs[i].len)
                                       : copy_zeros(copy, off, runs[i].len);
      if (r < 0)
        return -1;
      off += runs[i].len;
    }
  }
  return interrupt_pending() ? -1 : 0;
}

/* Sets fd and sparse.  A file that was there is emptied, once it is known that
 * it is not the image itself. */
static int
open_output(struct copy *copy, const char *path)
{
  struct stat st;

  copy->name = path;
  if (strcmp(path, "-") == 0) {
    copy->name = "standard output";
    copy->fd = STDOUT_FILENO;
    return 0;
  }
  copy->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (copy->fd < 0 || fstat(copy->fd, &st) < 0) {
    complain("%s: cannot open for writing: %s", path, strerror(errno));
    return -1;
  }
  if (image_is_file(copy->image, &st)) {
    complain("%s: this file is part of the image that is to be read", path);
    return -1;
  }
  if (!S_ISREG(st.st_mode))
    return 0;
  copy->sparse = true;
  if (ftruncate(copy->fd, 0) < 0) {
    complain("%s: cannot empty it: %s", path, strerror(errno));
    return -1;
  }
  return 0;
}

static int
close_output(struct copy *copy, int r)
{
  if (copy->fd < 0 || copy->fd == STDOUT_FILENO)
    return r;
  /* A hole at the end. */
  off_t end = lseek(copy->fd, 0, SEEK_CUR);
  if (r == 0 && copy->sparse && (end < 0 || ftruncate(copy->fd, end) < 0)) {
    complain("%s: cannot set the size: %s", copy->name, strerror(errno));
    r = -1;
  }
  if (close(copy->fd) < 0 && r == 0) {
    complain("%s: cannot write: %s", copy->name, strerror(errno));
    r = -1;
  }
  return r;
}

static int
read_image(struct vhd_image *image, const char *path)
{
  uint64_t size = vhd_size(image);
  struct copy copy = { .image = image, .fd = -1 };

  if (offset > size || (length_given && length > size - offset)) {
    complain("the range does not lie in the disk, which has %" PRIu64
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
    r = open_output(&copy, path);
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
  .options = { options, root_options, open_options, look_options },
  .about = "FILE is emptied first; without it, or where it is -, the bytes go "
           "to standard\noutput.",
  .run = run,
};

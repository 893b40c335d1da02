/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz-open: a whole image file: opened, inspected, mapped, read, checked,
 * rescued, written to and read again.
 *
 * Input: a byte of flags, then the file.  A parent that is sound and has the
 * id "PPPPPPPPPPPPPPPP" lies beside it as parent.vhd.
 *
 * What must hold: of whatever opens, what is rescued as good is what it reads
 * as; whatever opens can be written, and reads afterwards as what
 * was written over what it read as before; and once it was open, it opens
 * again. */
#include "config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "unit/field.h"
#include "unit/forge.h"
#include "vhdkit.h"

enum {
  FIX_FOOTERS = 1 << 0, /* right checksums, of which mutations know nothing */
  FIX_HEADER = 1 << 1,
  WRITE = 1 << 2,
  SIZE_CHS = 1 << 3,
  RAW_PARENT = 1 << 4,
  NO_JOURNAL = 1 << 5,
};

/* What is compared of a disk: its first, and its last bytes. */
#define PART (256U << 10)

static char folder[64];

static void
clean_up(void)
{
  static const char *const names[] = { "disk.vhd", "parent.vhd", "out.raw" };
  for (unsigned i = 0; i < 3; i++)
    unlink(names[i]);
  if (chdir("/") == 0)
    rmdir(folder);
}

static void
set_up(void)
{
  const char *tmp = getenv("TEST_SHM");
  struct forge parent;

  if (!tmp || !*tmp)
    tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(folder, sizeof folder, "%s/vhdkit-fuzz.XXXXXX", tmp);
  FUZZ_ASSERT(mkdtemp(folder) != NULL && chdir(folder) == 0);
  forge_dynamic(&parent, 'P');
  forge_write(&parent, "parent.vhd");
  forge_free(&parent);
  atexit(clean_up);
}

static void
write_file(const uint8_t *data, size_t size, unsigned flags)
{
  uint8_t *file = malloc(size + (size == 0));
  FUZZ_ASSERT(file != NULL);
  memcpy(file, data, size);
  if (flags & FIX_FOOTERS && size >= 512) {
    uint8_t *end = file + size - 512;
    unit_checksum(end, 512, 64);
    unit_checksum(file, 512, 64);
  }
  if (flags & FIX_HEADER && size >= 512 + 1024)
    unit_checksum(file + 512, 1024, 36);
  int fd = open("disk.vhd", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FUZZ_ASSERT(fd >= 0 && write(fd, file, size) == (ssize_t)size);
  close(fd);
  free(file);
}

static void
look(struct vhd_image *image)
{
  struct vhd_info info;
  struct vhd_locator locator;
  vhd_get_info(image, &info);
  FUZZ_ASSERT(info.size == vhd_size(image) && info.size % 512 == 0);
  FUZZ_ASSERT(info.nblk_allocated <= info.nblk);
  for (unsigned i = 0; i < VHD_MAX_LOCATORS; i++)
    (void)vhd_get_locator(image, i, &locator);
  for (unsigned i = 0; vhd_warning(image, i) != NULL; i++)
    FUZZ_ASSERT(vhd_warning(image, i)[0] != '\0');
}

static void
walk_map(struct vhd_image *image)
{
  uint64_t size = vhd_size(image), off = 0;
  for (unsigned n = 0; off < size && n < 1000; n++) {
    struct vhd_run runs[4];
    unsigned nruns = 4;
    if (vhd_map(image, size - off, off, runs, &nruns) < 0)
      return;
    FUZZ_ASSERT(nruns > 0);
    for (unsigned i = 0; i < nruns; i++) {
      FUZZ_ASSERT(runs[i].len > 0 && runs[i].len <= size - off);
      off += runs[i].len;
    }
  }
}

/* The part of the disk that is looked at, in one buffer. */
struct content {
  uint8_t *bytes;
  uint64_t tail; /* where the last bytes begin */
  size_t head_len, tail_len;
  int result;
};

static struct content
read_content(struct vhd_image *image)
{
  uint64_t size = vhd_size(image);
  struct content c = { .head_len = size < PART ? (size_t)size : PART };
  c.tail_len = size - c.head_len < PART ? (size_t)(size - c.head_len) : PART;
  c.tail = size - c.tail_len;
  c.bytes = malloc(2 * PART);
  FUZZ_ASSERT(c.bytes != NULL);
  c.result = vhd_pread(image, c.bytes, c.head_len, 0);
  if (c.result == 0 && c.tail_len > 0)
    c.result = vhd_pread(image, c.bytes + PART, c.tail_len, c.tail);
  return c;
}

/* Changes the image, and c as it should read then; false if that failed and
 * nothing is sure any more. */
static bool
change(struct vhd_image *image, struct content *c, struct fuzz_input in)
{
  static uint8_t data[8192];
  for (unsigned i = 0; i < 12; i++) {
    uint64_t what = fuzz_take(&in, 4);
    bool tail = what & 1 && c->tail_len > 0;
    size_t room = tail ? c->tail_len : c->head_len;
    size_t at = (size_t)(what >> 8) % room;
    size_t len = (size_t)(what >> 3) % sizeof data + 1;
    len = len < room - at ? len : room - at;
    uint64_t off = at + (tail ? c->tail : 0);
    uint8_t *mine = c->bytes + at + (tail ? PART : 0);
    memset(data, (int)(i + 1), len);
    int r = what & 2 ? vhd_zero(image, len, off, what & 4 ? VHD_NO_HOLE : 0)
                     : vhd_pwrite(image, data, len, off,
                                  what & 4 ? VHD_FUA : 0);
    if (r < 0)
      return false;
    memset(mine, what & 2 ? 0 : (int)(i + 1), len);
  }
  return vhd_flush(image) == 0;
}

static bool
equal(const struct content *a, const struct content *b)
{
  return a->result == 0 && b->result == 0 && a->head_len == b->head_len &&
         a->tail == b->tail && memcmp(a->bytes, b->bytes, a->head_len) == 0 &&
         memcmp(a->bytes + PART, b->bytes + PART, a->tail_len) == 0;
}

static void
expect_content(struct vhd_image *image, const struct content *c)
{
  struct content now = read_content(image);
  FUZZ_ASSERT(equal(&now, c));
  free(now.bytes);
}

/* A trim leaves what was there, or zeros: trims the head, and takes it into
 * c as it is now. */
static bool
trim(struct vhd_image *image, struct content *c)
{
  size_t n = c->head_len < 1 << 16 ? c->head_len : 1 << 16;
  if (vhd_trim(image, n, 0, 0) < 0)
    return false;
  struct content now = read_content(image);
  if (now.result == 0) {
    for (size_t i = 0; i < n; i++) {
      FUZZ_ASSERT(now.bytes[i] == c->bytes[i] || now.bytes[i] == 0);
      c->bytes[i] = now.bytes[i];
    }
    FUZZ_ASSERT(equal(&now, c));
  }
  free(now.bytes);
  return now.result == 0;
}

static void
write_session(struct content *c, const struct vhd_open_options *readonly,
              struct fuzz_input in)
{
  struct vhd_open_options opt = *readonly;
  struct vhd_image *image;
  struct vhd_error err;
  opt.flags &= ~(uint32_t)VHD_OPEN_READONLY;
  if (vhd_open("disk.vhd", &opt, &image, &err) < 0)
    return;
  bool sure = change(image, c, in);
  if (sure)
    expect_content(image, c);
  sure = sure && trim(image, c);
  sure = vhd_close(image, &err) == 0 && sure;
  if (!sure)
    return;
  if (vhd_open("disk.vhd", readonly, &image, &err) < 0) {
    fprintf(stderr, "opened once, but not again: %s\n", err.message);
    abort();
  }
  expect_content(image, c);
  vhd_close(image, NULL);
}

static void
ignore(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  FUZZ_ASSERT(finding->message[0] != '\0');
}

static void
check(const struct vhd_open_options *open)
{
  const struct vhd_check_options opt = { .open = *open };
  struct vhd_check_result result;
  struct vhd_error err;
  (void)vhd_check("disk.vhd", &opt, ignore, NULL, &result, &err);
}

/* What a rescue has told so far. */
struct rescued {
  uint64_t at; /* up to here the disk was told of */
  FILE *out;   /* off and len of each good stretch */
};

static int
note_state(void *opaque, uint64_t off, uint64_t len, enum vhd_rescued state)
{
  struct rescued *r = opaque;
  FUZZ_ASSERT(off == r->at && len > 0 && len % 512 == 0);
  r->at += len;
  if (state == VHD_RESCUED_GOOD)
    FUZZ_ASSERT(fwrite(&off, sizeof off, 1, r->out) == 1 &&
                fwrite(&len, sizeof len, 1, r->out) == 1);
  return 0;
}

static void
expect_same(int fd, const uint8_t *want, uint64_t from, uint64_t to,
            uint64_t part, size_t part_len)
{
  static uint8_t got[PART];
  if (from < part)
    from = part;
  if (to > part + part_len)
    to = part + part_len;
  if (from >= to)
    return;
  size_t len = (size_t)(to - from);
  FUZZ_ASSERT(pread(fd, got, len, (off_t)from) == (ssize_t)len);
  FUZZ_ASSERT(memcmp(got, want + (from - part), len) == 0);
}

/* Whatever opens is what is rescued of it as good. */
static void
compare_good(FILE *good, const struct content *c)
{
  uint64_t stretch[2];
  int fd = open("out.raw", O_RDONLY | O_CLOEXEC);
  FUZZ_ASSERT(fd >= 0);
  rewind(good);
  while (fread(stretch, sizeof stretch, 1, good) == 1) {
    uint64_t end = stretch[0] + stretch[1];
    expect_same(fd, c->bytes, stretch[0], end, 0, c->head_len);
    expect_same(fd, c->bytes + PART, stretch[0], end, c->tail, c->tail_len);
  }
  close(fd);
}

/* c: what the disk reads as, if it does. */
static void
rescue(const struct content *c)
{
  struct rescued r = { .out = tmpfile() };
  const struct vhd_rescue_options opt = {
    .type = VHD_RAW, .flags = VHD_RESCUE_OVERWRITE, .found = ignore,
    .state = note_state, .opaque = &r,
  };
  struct vhd_rescue_result result;
  struct vhd_error err = { .message = "" };

  FUZZ_ASSERT(r.out != NULL);
  if (vhd_rescue("disk.vhd", "out.raw", &opt, &result, &err) == 0) {
    FUZZ_ASSERT(r.at == result.size);
    FUZZ_ASSERT(result.good + result.doubtful + result.lost == result.size);
    if (c != NULL && c->result == 0)
      compare_good(r.out, c);
  } else {
    FUZZ_ASSERT(err.code != VHD_OK && err.message[0] != '\0');
  }
  fclose(r.out);
  unlink("out.raw");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct fuzz_input in = { data, size };
  unsigned flags = (unsigned)fuzz_take(&in, 1);
  struct vhd_open_options opt = {
    .flags = VHD_OPEN_READONLY,
    .journal_dir = flags & NO_JOURNAL ? "/nowhere" : folder,
  };
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };

  if (folder[0] == '\0')
    set_up();
  if (flags & SIZE_CHS)
    opt.flags |= VHD_OPEN_SIZE_CHS;
  if (flags & RAW_PARENT)
    opt.flags |= VHD_OPEN_RAW_PARENT;
  write_file(in.data, in.size, flags);
  check(&opt);
  if (vhd_open("disk.vhd", &opt, &image, &err) < 0) {
    FUZZ_ASSERT(err.code != VHD_OK && err.message[0] != '\0');
    rescue(NULL);
    return 0;
  }
  look(image);
  walk_map(image);
  struct content content = read_content(image);
  vhd_close(image, NULL);
  rescue(&content);
  if (content.result == 0 && flags & WRITE) {
    write_session(&content, &opt, in);
    check(&opt);
  }
  free(content.bytes);
  return 0;
}

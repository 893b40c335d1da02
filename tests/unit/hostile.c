/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile.c: see hostile.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arith.h"
#include "unit/hostile.h"
#include "unit/unit.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED) && defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What the opening of any image may cost: CPU time (not elapsed time), and
 * resident memory beyond what was there before; where a sanitizer runs, memory
 * is not ours to count. */
#define CPU_SECONDS (SANITIZED ? 10.0 : 1.0)
#define MEMORY_KIB (64 * 1024)
/* And everything together. */
#define CPU_LIMIT 30
#define TIME_LIMIT 200

/* Where there is a leak checker, it looks at each shape. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static char *report; /* shared with the process of the shape */
#define REPORT_SIZE 4096

void
hostile_fail(const char *fmt, ...)
{
  va_list args;
  va_start(args, fmt);
  vsnprintf(report, REPORT_SIZE, fmt, args);
  va_end(args);
  _exit(1);
}

/* ---------------------------------------------------------------- building */

static void
apply(struct forge *f, const struct patch *p)
{
  uint8_t *end = forge_end(f);
  switch (p->where) {
  case NOWHERE:
    break;
  case FOOTERS:
    unit_put(f->file, p->off, p->bytes, p->value);
    unit_put(end, p->off, p->bytes, p->value);
    break;
  case HEAD:
  case ANYWHERE:
    unit_put(f->file, p->off, p->bytes, p->value);
    break;
  case END:
    unit_put(end, p->off, p->bytes, p->value);
    break;
  case HEADER:
    unit_put(f->file, FORGE_HEADER + p->off, p->bytes, p->value);
    break;
  case BAT:
    unit_put(f->file, FORGE_BAT + 4 * p->off, 4, p->value);
    break;
  }
}

static void
build(const struct shape *shape, struct forge *f)
{
  struct forge parent = { 0 };
  switch (shape->base) {
  case DYNAMIC:
    forge_dynamic(f, 'D');
    break;
  case FIXED:
    forge_fixed(f, 'F');
    break;
  case XEN:
    forge_xen(f, 'X');
    break;
  case CHILD:
    forge_dynamic(&parent, 'P');
    forge_write(&parent, PARENT);
    forge_child(f, 'C', &parent, PARENT);
    forge_free(&parent);
    break;
  }
  for (size_t i = 0; i < ARRAY_SIZE(shape->patch); i++)
    apply(f, &shape->patch[i]);
  if (shape->edit != NULL)
    shape->edit(f);
  if (!(shape->traits & SUM_LEFT))
    forge_seal(f);
  if (shape->after != NULL)
    shape->after(f);
  forge_write(f, DISK);
  if (shape->stage != NULL)
    shape->stage(f);
}

/* ----------------------------------------------------------------- opening */

static double
cpu_seconds(void)
{
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long
resident_kib(void)
{
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_maxrss;
}

static int
open_bounded(const char *path, uint32_t flags, struct vhd_image **image,
             struct vhd_error *err)
{
  struct vhd_open_options opt = { .flags = flags };
  double cpu = cpu_seconds();
  long kib = resident_kib();
  int r = vhd_open(path, &opt, image, err);
  cpu = cpu_seconds() - cpu;
  kib = resident_kib() - kib;
  if (cpu > CPU_SECONDS)
    hostile_fail("opening took %.1f s of CPU time", cpu);
  if (!SANITIZED && kib > MEMORY_KIB)
    hostile_fail("opening took %ld KiB of memory", kib);
  return r;
}

/* A cheap digest of size and content, holes left out. */
static uint64_t
digest(const char *path)
{
  uint8_t buf[65536];
  uint64_t sum = 14695981039346656037U;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    hostile_fail("%s: cannot be read", path);
  off_t off = lseek(fd, 0, SEEK_DATA);
  while (off >= 0) {
    ssize_t n = pread(fd, buf, sizeof buf, off);
    for (ssize_t i = 0; i < n; i++)
      sum = (sum ^ buf[i]) * 1099511628211U;
    off = n <= 0 ? -1 : lseek(fd, off + n, SEEK_DATA);
  }
  close(fd);
  return sum ^ (uint64_t)st.st_size;
}

static void
expect_refused(const struct shape *shape, uint32_t flags)
{
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };
  uint64_t before = digest(DISK);
  int r = open_bounded(DISK, flags, &image, &err);
  if (r == 0)
    hostile_fail("opened, but %s was expected", vhd_code_name(shape->code));
  if (err.code != shape->code)
    hostile_fail("%s, not %s: %s", vhd_code_name(err.code),
                 vhd_code_name(shape->code), err.message);
  if (r != -err.sys)
    hostile_fail("returned %d, but .sys is %d", r, err.sys);
  if (strncmp(err.message, DISK ":", strlen(DISK ":")) != 0)
    hostile_fail("does not say which file: %s", err.message);
  if (shape->says != NULL && strstr(err.message, shape->says) == NULL)
    hostile_fail("does not say \"%s\": %s", shape->says, err.message);
  if (digest(DISK) != before)
    hostile_fail("refused, but written to");
}

/* The runs of a map cover the range, and holes and zeros are zeros. */
static void
compare_map(struct vhd_image *image, const uint8_t *disk, size_t len)
{
  for (size_t off = 0; off < len;) {
    struct vhd_run runs[3];
    unsigned n = ARRAY_SIZE(runs);
    int r = vhd_map(image, len - off, off, runs, &n);
    if (r < 0 || n == 0)
      hostile_fail("map at %zu: %s, %u runs", off, strerror(-r), n);
    for (unsigned i = 0; i < n; i++) {
      if (runs[i].len == 0 || runs[i].len > len - off)
        hostile_fail("map at %zu: a run of %llu bytes", off,
                     (unsigned long long)runs[i].len);
      for (size_t b = 0; runs[i].kind != VHD_RUN_DATA && b < runs[i].len; b++)
        if (disk[off + b] != 0)
          hostile_fail("map at %zu: no hole", off + b);
      off += runs[i].len;
    }
  }
}

void
hostile_compare(const char *path, uint32_t flags, const uint8_t *disk,
                size_t len)
{
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };
  if (open_bounded(path, flags | VHD_OPEN_READONLY, &image, &err) < 0)
    hostile_fail("%s: %s", vhd_code_name(err.code), err.message);
  if (vhd_size(image) != len)
    hostile_fail("its size is %llu, not %zu",
                 (unsigned long long)vhd_size(image), len);
  uint8_t *buf = malloc(len);
  int r = vhd_pread(image, buf, len, 0);
  for (size_t i = 0; r == 0 && i < len; i++)
    if (buf[i] != disk[i])
      hostile_fail("byte %zu is %#x, not %#x", i, buf[i], disk[i]);
  for (unsigned i = 0; r == 0 && i < 50; i++) {
    size_t off = unit_random() % len;
    size_t n = unit_random() % 5000 % (len - off) + 1;
    r = vhd_pread(image, buf, n, off);
    if (r == 0 && memcmp(buf, disk + off, n) != 0)
      hostile_fail("%zu bytes at %zu read wrongly", n, off);
  }
  if (r < 0)
    hostile_fail("reading: %s", strerror(-r));
  free(buf);
  compare_map(image, disk, len);

  /* Not beyond the end. */
  uint8_t byte;
  if (vhd_pread(image, &byte, 1, len) != -EINVAL)
    hostile_fail("can be read beyond its end");
  if (vhd_close(image, &err) < 0)
    hostile_fail("closing: %s", err.message);
}

/* Writes here and there, in the image and in its model. */
static void
write_some(const struct shape *shape, struct forge *f)
{
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };
  if (open_bounded(DISK, shape->flags, &image, &err) < 0)
    hostile_fail("for writing: %s: %s", vhd_code_name(err.code), err.message);
  for (unsigned i = 0; i < 24; i++) {
    uint8_t buf[3000];
    size_t off = unit_random() % f->disk_len;
    size_t n = MIN(sizeof buf, f->disk_len - off);
    if (i % 2 == 0) { /* whole sectors */
      off -= off % 512;
      n = MIN(1024, f->disk_len - off);
    }
    if (i == 0)
      off = f->disk_len - (n = 512);
    memset(buf, (int)(0x80 + i), sizeof buf);
    bool zero = i % 5 == 4;
    int r = zero ? vhd_zero(image, n, off, 0)
                 : vhd_pwrite(image, buf, n, off, i % 7 == 0 ? VHD_FUA : 0);
    if (r < 0)
      hostile_fail("writing %zu bytes at %zu: %s", n, off, strerror(-r));
    memset(f->disk + off, zero ? 0 : (int)(0x80 + i), n);
  }
  int r = vhd_flush(image);
  if (r < 0)
    hostile_fail("flushing: %s", strerror(-r));
  if (vhd_close(image, &err) < 0)
    hostile_fail("closing: %s", err.message);
}

struct findings {
  unsigned broken;
  char first[512];
};

static void
collect(void *opaque, const struct vhd_finding *finding)
{
  struct findings *all = opaque;
  if (finding->message == NULL || finding->message[0] == '\0' ||
      finding->path == NULL)
    hostile_fail("vhd_check() finds something without words");
  if (finding->severity == VHD_BROKEN && all->broken++ == 0)
    snprintf(all->first, sizeof all->first, "%s: %s",
             vhd_code_name(finding->code), finding->message);
}

/* vhd_check() must agree that it is sound, or that it is not. */
static void
check(const struct shape *shape, bool sound)
{
  struct vhd_check_options opt = {
    .open.flags = shape->flags | VHD_OPEN_READONLY,
  };
  struct findings all = { .first = "" };
  struct vhd_check_result result = { 0 };
  struct vhd_error err = { .message = "" };
  int r = vhd_check(DISK, &opt, collect, &all, &result, &err);
  if (r == 0 && result.errors != all.broken)
    hostile_fail("vhd_check() counts %u errors, but told of %u",
                 result.errors, all.broken);
  if (shape->traits & UNCHECKED)
    return;
  if (sound && r < 0)
    hostile_fail("vhd_check() fails: %s", err.message);
  if (sound && all.broken > 0)
    hostile_fail("vhd_check() finds: %s", all.first);
  if (!sound && r == 0 && all.broken == 0)
    hostile_fail("vhd_check() finds nothing wrong");
}

static void
run_shape(const struct shape *shape)
{
  struct forge f;
  build(shape, &f);
  if (shape->code != VHD_OK) {
    expect_refused(shape, shape->flags | VHD_OPEN_READONLY);
    if (!(shape->traits & NO_WRITE))
      expect_refused(shape, shape->flags);
    check(shape, false);
  } else if (shape->traits & LOOSE_SIZE) {
    for (unsigned write = 0; write < 2; write++) {
      struct vhd_image *image;
      struct vhd_error err = { .message = "" };
      uint32_t flags = shape->flags | (write ? 0 : VHD_OPEN_READONLY);
      if (open_bounded(DISK, flags, &image, &err) < 0)
        hostile_fail("%s: %s", vhd_code_name(err.code), err.message);
      if (vhd_close(image, &err) < 0)
        hostile_fail("closing: %s", err.message);
    }
    check(shape, !(shape->traits & UNSOUND));
  } else {
    check(shape, !(shape->traits & UNSOUND));
    hostile_compare(DISK, shape->flags, f.disk, f.disk_len);
    if (!(shape->traits & NO_WRITE)) {
      write_some(shape, &f);
      check(shape, !(shape->traits & UNSOUND));
      hostile_compare(DISK, shape->flags, f.disk, f.disk_len);
    }
  }
  forge_free(&f);
}

/* ------------------------------------------------------------------ running */

static void
clear_folder(void)
{
  DIR *dir = opendir(".");
  struct dirent *entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
        unlink(entry->d_name) < 0)
      rmdir(entry->d_name);
  if (dir != NULL)
    closedir(dir);
}

/* Runs it in a process of its own; true if all was well. */
static bool
run_apart(const char *name, void (*run)(const void *), const void *what)
{
  clear_folder();
  report[0] = '\0';
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit limit = { CPU_LIMIT, CPU_LIMIT + 5 };
    setrlimit(RLIMIT_CPU, &limit);
    alarm(TIME_LIMIT);
    run(what);
    if (__lsan_do_recoverable_leak_check != NULL &&
        __lsan_do_recoverable_leak_check() != 0)
      hostile_fail("leaks memory");
    _exit(0);
  }
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    print_error("%s: cannot be run\n", name);
    return false;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return true;
  if (WIFSIGNALED(status))
    print_error("%s: killed by signal %d (%s)\n", name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
  else
    print_error("%s: %s\n", name,
                report[0] != '\0' ? report : "failed without words");
  return false;
}

static void
run_row(const void *what)
{
  run_shape(what);
}

void
hostile_run(const struct shape *shapes, size_t n)
{
  const char *only = getenv("HOSTILE_SHAPE"); /* to debug one of them */
  unsigned failed = 0;
  for (size_t i = 0; i < n; i++)
    if (only == NULL || strstr(shapes[i].name, only) != NULL)
      failed += !run_apart(shapes[i].name, run_row, &shapes[i]);
  if (failed > 0)
    fail_msg("%u of %zu shapes", failed, n);
}

static void
run_function(const void *what)
{
  void (*test)(void);
  memcpy(&test, what, sizeof test);
  test();
}

void
hostile_apart(const char *name, void (*test)(void))
{
  const char *only = getenv("HOSTILE_SHAPE");
  if (only != NULL && strstr(name, only) == NULL)
    return;
  if (!run_apart(name, run_function, &test))
    fail_msg("%s", name);
}

static char folder[] = "/dev/shm/vhdkit-hostile.XXXXXX";
static char journals[] = "/dev/shm/vhdkit-hostile.XXXXXX";
static char here[] = "./vhdkit-hostile.XXXXXX";

int
hostile_setup(void **state)
{
  (void)state;
  report = mmap(NULL, REPORT_SIZE, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (report == MAP_FAILED)
    return -1;
  /* In memory, for nothing here depends on the disk, and the many syncs take
   * long on one.  Journals are kept apart from those of real images; without a
   * tmpfs there is none. */
  const char *dir = mkdtemp(journals);
  if (setenv("VHDKIT_JOURNAL_DIR", dir != NULL ? dir : "/", 1) < 0)
    return -1;
  if (mkdtemp(folder) == NULL && mkdtemp(here) == NULL)
    return -1;
  return chdir(access(folder, W_OK) == 0 ? folder : here);
}

int
hostile_teardown(void **state)
{
  (void)state;
  char cwd[4096];
  clear_folder();
  if (getcwd(cwd, sizeof cwd) == NULL || chdir("/") < 0 || rmdir(cwd) < 0)
    return -1;
  if (chdir(journals) == 0) {
    clear_folder();
    if (chdir("/") < 0 || rmdir(journals) < 0)
      return -1;
  }
  return 0;
}

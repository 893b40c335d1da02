/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder_log.c: see recorder.h.  The log is appended to by plain write(2) of
 * whole records, which a kill cannot tear: a record does not cross a page. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "recorder.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct {
  bool on, local;
  dev_t dev;
  ino_t ino;
  int log_fd, data_fd;
  uint32_t life;
  _Atomic uint64_t data_end, ncalls, dice;
  unsigned delayed, delay_us, sync_us, read_us; /* of a thousand */
  uint64_t kill_at;
  char kill_when;
  unsigned failing; /* of a thousand */
  char fail_kinds[16];
  uint64_t fail_at;
  int fail_errno;
} r;

/* The recorder's own calls are not to be recorded. */
static long
raw(long number, long a, const void *b, long c, long d)
{
  static long (*real)(long, ...);

  if (!real)
    real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return real(number, a, b, c, d);
}

static void
give_up(const char *why)
{
  raw(SYS_write, 2, why, (long)strlen(why), 0);
  abort();
}

static void
open_log(void)
{
  const char *image = getenv("CRASH_IMAGE");
  const char *log = getenv("CRASH_LOG"), *data = getenv("CRASH_DATA");
  const char *text;
  struct stat st;

  if (!image || !log || !data || stat(image, &st) < 0)
    return;
  r.dev = st.st_dev;
  r.ino = st.st_ino;
  r.log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  r.data_fd = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (r.log_fd < 0 || r.data_fd < 0)
    give_up("recorder: cannot open its log\n");
  r.life = (text = getenv("CRASH_LIFE")) ? (uint32_t)atoi(text) : 0;
  r.dice = (text = getenv("CRASH_SEED")) ? strtoull(text, NULL, 10) : 1;
  r.local = getenv("CRASH_LOCAL") != NULL;
  if ((text = getenv("CRASH_DELAY")) != NULL)
    sscanf(text, "%u:%u:%u:%u", &r.delayed, &r.delay_us, &r.sync_us,
           &r.read_us);
  unsigned long long at = 0;
  if ((text = getenv("CRASH_KILL")) != NULL)
    sscanf(text, "%llu:%c", &at, &r.kill_when);
  r.kill_at = at;
  if ((text = getenv("CRASH_FAIL")) != NULL)
    sscanf(text, "%u:%15s", &r.failing, r.fail_kinds);
  at = 0;
  if ((text = getenv("CRASH_FAIL_AT")) != NULL)
    sscanf(text, "%llu:%d", &at, &r.fail_errno);
  r.fail_at = at;
  r.on = true;
}

bool
recorder_watches(int fd)
{
  struct stat st;

  pthread_once(&once, open_log);
  return r.on && fstat(fd, &st) == 0 && st.st_dev == r.dev &&
         st.st_ino == r.ino;
}

bool
recorder_poses_as_local(void)
{
  pthread_once(&once, open_log);
  return r.on && r.local;
}

/* splitmix64 */
static uint64_t
dice(void)
{
  uint64_t x = atomic_fetch_add(&r.dice, 0x9e3779b97f4a7c15ULL);

  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

static void
wait_some(unsigned us)
{
  struct timespec ts = { 0, us ? (long)(dice() % us) * 1000 : 0 };

  if (us)
    nanosleep(&ts, NULL);
}

static void
delay(enum call_op op)
{
  if (op == CALL_SYNC)
    wait_some(r.sync_us);
  else if (dice() % 1000 < r.delayed)
    wait_some(r.delay_us);
}

void
recorder_delay_read(void)
{
  if (dice() % 1000 < r.delayed)
    wait_some(r.read_us);
}

static void
append(const struct record *rec)
{
  long n = raw(SYS_write, r.log_fd, rec, sizeof *rec, 0);

  if (n != sizeof *rec)
    give_up("recorder: cannot write its log\n");
}

static uint64_t
keep_bytes(const struct iovec *iov, int niov, uint64_t len)
{
  uint64_t at = atomic_fetch_add(&r.data_end, len), off = at;

  for (int i = 0; i < niov; i++) {
    const char *p = iov[i].iov_base;
    size_t left = iov[i].iov_len;
    while (left > 0) {
      long n = raw(SYS_pwrite64, r.data_fd, p, (long)left, (long)off);
      if (n <= 0)
        give_up("recorder: cannot keep the bytes\n");
      p += n;
      left -= (size_t)n;
      off += (uint64_t)n;
    }
  }
  return at;
}

/* All of the server: vhdkitd's worker takes its keeper along, which would start
 * another. */
static void
die(void)
{
  char name[16] = "";
  FILE *comm = fopen("/proc/self/comm", "re");

  if (comm && fgets(name, sizeof name, comm) &&
      strcmp(name, "vhdkitd-worker\n") == 0)
    kill(getppid(), SIGKILL);
  kill(getpid(), SIGKILL);
  for (;;)
    pause();
}

static void
choose_fate(struct call *c, enum call_op op, uint64_t n)
{
  static const char kinds[] = " wdcxtscx ";
  static const enum fate of_write[] = {
    FATE_FAIL, FATE_HALF_FAIL, FATE_DONE_FAIL, FATE_SHORT,
  };

  if (n == r.fail_at) {
    c->error = r.fail_errno;
    c->fate = FATE_FAIL;
    return;
  }
  if (r.failing == 0 || !strchr(r.fail_kinds, kinds[op]) ||
      dice() % 1000 >= r.failing)
    return;
  c->error = kinds[op] == 'x' || dice() % 2 ? ENOSPC : EIO;
  c->fate = FATE_FAIL;
  if (op == CALL_SYNC)
    c->error = EIO;
  else if (op == CALL_WRITE)
    c->fate = of_write[dice() % 4];
  else if (op != CALL_EXTEND)
    c->fate = dice() % 2 ? FATE_FAIL : FATE_DONE_FAIL;
}

void
recorder_begin(struct call *c, enum call_op op, bool ring, uint64_t off,
               uint64_t len, const struct iovec *iov, int niov)
{
  uint64_t n = atomic_fetch_add(&r.ncalls, 1) + 1;
  struct record rec = {
    .magic = RECORD_MAGIC, .kind = RECORD_BEGIN, .op = (uint16_t)op,
    .id = (uint64_t)r.life << 32 | n, .off = off, .len = len, .life = r.life,
    .ring = ring,
  };

  *c = (struct call){ .op = op, .id = rec.id, .len = len };
  if (niov > 0)
    rec.data = keep_bytes(iov, niov, len);
  append(&rec);
  choose_fate(c, op, n);
  if (n == r.kill_at && r.kill_when == 'b')
    die();
  c->last = n == r.kill_at;
  if (c->last && r.kill_when == 'd')
    c->fate = FATE_HALF_FAIL;
  delay(op);
}

void
recorder_end(const struct call *c, int64_t result, uint64_t done)
{
  struct record rec = {
    .magic = RECORD_MAGIC, .kind = RECORD_END, .op = (uint16_t)c->op,
    .id = c->id, .result = result, .done = done, .life = r.life,
  };
  int e = errno;

  if (c->last)
    die();
  delay(c->op);
  append(&rec);
  errno = e;
}

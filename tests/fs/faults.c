/* SPDX-License-Identifier: BSD-2-Clause */
/* faults.c: an error at each I/O: before or after, never between.
 *
 *   faults DIR STATE [STEP [SEED]]
 *
 * DIR lies on the file system under test; STATE on another, a tmpfs, where
 * models and journals are.  For each image and each kind of fault it runs one
 * small workload again and again, each time with other random numbers, and the
 * Nth call fails, for N = 1, 2, 3 until there is no Nth (or for each STEPth; 6
 * or more make it a selection).  The run ends with a close, a kill of the
 * process, or a power cut that left all that was written and took the journal;
 * then the image is opened again, compared with what was acknowledged, checked,
 * and must go on.
 *
 * Each run is a process, and so is what follows it: one that dies is a fault
 * like another.  Prints TAP. */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "inject.h"
#include "setup.h"

#define OPERATIONS 50
#define ENOUGH 3 /* wrong runs of a case are shown */
#define ALL 6    /* so many first calls are tried, whatever the step */
#define MISSES 5 /* in a row: none has so many calls */

#define ON_ANY (ON_READ | ON_WRITE | ON_GROW | ON_CLEAR | ON_SYNC)
#define ON_FULL (ON_WRITE | ON_GROW | ON_SPACE | ON_SYNC)
#define SOME_GROWTH (100 << 10) /* two blocks, but not a step of four */

static const struct fault faults[] = {
  { .name = "EIO once", .error = EIO, .on = ON_ANY },
  { .name = "EIO from then on", .error = EIO, .on = ON_ANY, .lasts = true },
  { .name = "ENOSPC once", .error = ENOSPC, .on = ON_FULL },
  { .name = "EDQUOT once", .error = EDQUOT, .on = ON_FULL },
  { .name = "no growth from then on, ENOSPC",
    .error = ENOSPC, .on = ON_GROW, .lasts = true },
  { .name = "no growth from then on, EDQUOT",
    .error = EDQUOT, .on = ON_GROW, .lasts = true },
  { .name = "little growth from then on, ENOSPC",
    .error = ENOSPC, .on = ON_GROW, .lasts = true, .over = SOME_GROWTH },
  { .name = "little growth from then on, EDQUOT",
    .error = EDQUOT, .on = ON_GROW, .lasts = true, .over = SOME_GROWTH },
  { .name = "growth moves the end and fails, once",
    .error = ENOSPC, .on = ON_GROW, .how = TORN },
  { .name = "growth moves the end and fails, from then on",
    .error = ENOSPC, .on = ON_GROW, .how = TORN, .lasts = true },
  { .name = "fallocate: EOPNOTSUPP once", .error = EOPNOTSUPP, .on = ON_SPACE },
  { .name = "fallocate: EOPNOTSUPP from then on",
    .error = EOPNOTSUPP, .on = ON_SPACE, .lasts = true },
  { .name = "half a read or write, once",
    .on = ON_READ | ON_WRITE, .how = SHORT },
  { .name = "half of each read and write",
    .on = ON_READ | ON_WRITE, .how = SHORT, .lasts = true },
  { .name = "half a write, then ENOSPC",
    .error = ENOSPC, .on = ON_WRITE, .how = TORN },
  { .name = "half a write, then EIO",
    .error = EIO, .on = ON_WRITE, .how = TORN },
};
#define NFAULT (sizeof faults / sizeof faults[0])

/* How often each has struck. */
static unsigned strikes[NFAULT];

enum ending { CLOSED, KILLED, CUT, NENDING };
static const char *const endings[] = { "closed", "killed", "cut" };

static struct {
  const char *dir, *state;
  char path[4096], journals[4096];
  unsigned step, seed;
  dev_t dev;
  struct model *m;
  const struct setup *setup;
  const struct fault *fault;
  unsigned nth;
  enum ending ending;
} run;

/* What a run's process tells. */
static struct told {
  bool struck, sync, clear;
  unsigned failures;
} *told;

/* ----------------------------------------------------------------- the run */

/* Is it a fault that nobody should notice? */
static bool
is_absorbed(const struct fault *f)
{
  return f->how == SHORT || f->error == EOPNOTSUPP || f->over > 0;
}

static void
may_fail(struct disk *d, const char *what, int result)
{
  const struct fault *f = run.fault;

  if (!inject_struck())
    wrong("%s failed before anything else did: %s", what, strerror(-result));
  if (is_absorbed(f))
    wrong("%s failed: %s", what, strerror(-result));
  if (result != -f->error)
    wrong("%s told another error: %s", what, strerror(-result));
  if (f->lasts)
    return;
  if (!(inject_what() & ON_SYNC) && d->failures > 1)
    wrong("%s failed, and it was not the first to", what);
  if (inject_what() & ON_SYNC && strcmp(what, "read") == 0)
    wrong("a sync failed, and a read with it");
}

static void
may_flush(struct disk *d)
{
  (void)d;
  if (inject_struck() && inject_what() == ON_SYNC)
    wrong("something is told to be durable after a sync failed");
}

static struct disk
disk_of_run(void)
{
  return (struct disk){
    .path = run.path,
    .m = run.m,
    .spb = BLOCK / SECTOR,
    .max_write = BLOCK / SECTOR * 2,
  };
}

static void
live(void)
{
  struct disk d = disk_of_run();

  d.may_fail = may_fail;
  d.may_flush = may_flush;
  inject_arm(run.fault, run.nth, run.dev);
  if (disk_open(&d, 0) == 0) {
    for (unsigned i = 0; i < OPERATIONS; i++)
      disk_something(&d);
    if (run.ending == CLOSED)
      disk_close(&d);
  }
  told->struck = inject_struck();
  told->sync = (inject_what() & ON_SYNC) != 0;
  told->clear = (inject_all() & ON_CLEAR) != 0;
  told->failures = d.failures;
}

/* ---------------------------------------------------------- what comes then */

static void
forget_journals(void)
{
  DIR *dir = opendir(run.journals);
  struct dirent *entry;

  if (!dir)
    err(99, "%s", run.journals);
  while ((entry = readdir(dir)) != NULL)
    if (entry->d_name[0] != '.')
      unlinkat(dirfd(dir), entry->d_name, 0);
  closedir(dir);
}

static void
go_on(struct disk *d)
{
  disk_open(d, 0);
  disk_settle(d);
  for (unsigned i = 0; i < OPERATIONS / 2; i++)
    disk_something(d);
  disk_flush(d);
  disk_close(d);
}

static void
afterwards(void)
{
  struct disk d = disk_of_run();
  bool well = run.m->closed && run.m->close_result == 0 &&
              told->failures == 0;
  /* What cannot be punched stays where it was till it is used again, and no
   * call fails for that; so does what had not been punched when a power cut
   * took the journal. */
  bool leaks = run.fault->error == EOPNOTSUPP || told->clear ||
               run.ending == CUT;

  disk_check(&d, !well || leaks || run.ending == KILLED);
  if (run.ending == CUT) {
    forget_journals();
    model_cut(run.m);
  }
  go_on(&d);
  disk_check(&d, leaks);
  disk_open(&d, VHD_OPEN_READONLY);
  disk_settle(&d);
  disk_close(&d);
}

/* --------------------------------------------------------------- processes */

/* Whether it ended as it should. */
static bool
in_process(void (*function)(void), const char *what)
{
  int status;

  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0)
    err(99, "fork");
  if (pid == 0) {
    function();
    _exit(0);
  }
  if (waitpid(pid, &status, 0) < 0)
    err(99, "waitpid");
  if (WIFSIGNALED(status))
    printf("# %s: died of %s\n", what, strsignal(WTERMSIG(status)));
  else if (WEXITSTATUS(status) > 1)
    printf("# %s: exit status %d\n", what, WEXITSTATUS(status));
  return status == 0;
}

/* One run and what comes after it. */
static bool
one_run(void)
{
  forget_journals();
  setup_put(run.setup, run.path, run.m);
  run.m->seed += run.seed * 1000003ULL + run.nth;
  memset(told, 0, sizeof *told);
  bool right = in_process(live, "during the fault");
  if (!right)
    told->struck = true;
  right = right && in_process(afterwards, "after the fault");
  if (!right)
    printf("# ^ %s, %s, at the call %u, %s\n", run.setup->name,
           run.fault->name, run.nth, endings[run.ending]);
  return right;
}

/* All calls of a kind, with one ending. */
static void
each_call(unsigned *runs, unsigned *bad)
{
  unsigned misses = 0;

  run.nth = 1;
  while (misses < MISSES && *bad < ENOUGH) {
    *bad += !one_run();
    misses = told->struck ? 0 : misses + 1;
    *runs += told->struck;
    run.nth += run.nth < ALL ? 1 : run.step;
  }
}

/* Whether all was well.  A selection has one ending for each case, in turn. */
static bool
each_ending(unsigned n)
{
  unsigned runs = 0, bad = 0;

  for (run.ending = 0; run.ending < NENDING; run.ending++)
    if (run.step < ALL || n % NENDING == (unsigned)run.ending)
      each_call(&runs, &bad);
  printf("%s %u - %s: %s (%u runs)\n", bad ? "not ok" : "ok", n,
         run.setup->name, run.fault->name, runs);
  strikes[run.fault - faults] += runs;
  return bad == 0;
}

/* Whether none was tried in vain, as where the library calls other functions
 * than it did. */
static bool
all_struck(unsigned n)
{
  bool all = true;

  for (unsigned i = 0; i < NFAULT; i++)
    if (strikes[i] == 0) {
      printf("# never: %s\n", faults[i].name);
      all = false;
    }
  printf("%s %u - each kind of fault has struck\n", all ? "ok" : "not ok", n);
  return all;
}

static void
begin(char **argv)
{
  struct stat st;

  run.dir = argv[1];
  run.state = argv[2];
  run.step = argv[3] ? (unsigned)atoi(argv[3]) : 1;
  run.seed = argv[3] && argv[4] ? (unsigned)atoi(argv[4]) : 0;
  snprintf(run.path, sizeof run.path, "%s/disk.vhd", run.dir);
  snprintf(run.journals, sizeof run.journals, "%s/journals", run.state);
  if (run.step == 0 || (mkdir(run.journals, 0700) < 0 && errno != EEXIST) ||
      setenv("VHDKIT_JOURNAL_DIR", run.journals, 1) < 0 ||
      stat(run.dir, &st) < 0)
    err(99, "%s", run.state);
  run.dev = st.st_dev;

  char model[4096];
  snprintf(model, sizeof model, "%s/model", run.state);
  run.m = model_map(model, (uint64_t)NBLK * BLOCK / SECTOR, 1);
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED)
    err(99, "mmap");
  setup_make(run.dir, run.state);
}

int
main(int argc, char **argv)
{
  unsigned n = 0, failed = 0;

  if (argc < 3)
    errx(99, "usage: faults DIR STATE [STEP [SEED]]");
  begin(argv);
  for (run.setup = setups; run.setup < setups + nsetup; run.setup++)
    for (run.fault = faults; run.fault < faults + NFAULT; run.fault++)
      failed += !each_ending(++n);
  failed += !all_struck(++n);
  printf("1..%u\n", n);
  return failed > 0;
}

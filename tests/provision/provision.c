/* SPDX-License-Identifier: BSD-2-Clause */
/* provision: what is done to the versions and children of a disk, cut off at
 * each call that it makes.
 *
 * Each operation is done once without that, and then, on the same disk as it
 * was before, by a process that dies before its first call, its second, and so
 * on, alone and in a power cut.  Whoever looks then must find the disk as it
 * was or as it is to be, and each version and child readable; the same
 * operation once more must end as if nothing had been, with nothing left
 * over. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "death.h"
#include "place.h"
#include "provision/change/change.h"
#include "provision/child.h"

#define CUTS 6

struct operation {
  const char *name;
  void (*make)(void);
  int (*run)(struct vhd_error *err);
  const char *before, *after;
  const char *changing; /* the same as after, but that what is said of a parent
                         * is being changed; or NULL */
  bool far; /* the children lie on another file system */
};

/* --------------------------------------------------------------- operations */

static void
make_two(void)
{
  place_version(1, 0);
  place_link("production", 1);
  place_version(2, 1);
}

/* Three, of which the third is being made, and a client on the second. */
static void
make_three(void)
{
  struct vhd_error err;
  unsigned number;

  make_two();
  if (disk_promote(&place, PLACE_DISK, 2, &err) < 0 ||
      disk_new_version(&place, PLACE_DISK, 0, "a third", &number, &err) < 0)
    abort();
  place_child("a", "production", 100);
}

static int
run_new(struct vhd_error *err)
{
  unsigned number;

  return disk_new_version(&place, PLACE_DISK, 1, "new", &number, err);
}

static int
run_test(struct vhd_error *err)
{
  return disk_test(&place, PLACE_DISK, 3, err);
}

static int
run_promote(struct vhd_error *err)
{
  return disk_promote(&place, PLACE_DISK, 3, err);
}

static int
run_first_promote(struct vhd_error *err)
{
  return disk_promote(&place, PLACE_DISK, 1, err);
}

static void
make_first(void)
{
  place_version(1, 0);
}

static void
make_tested(void)
{
  struct vhd_error err;

  make_three();
  if (disk_test(&place, PLACE_DISK, 3, &err) < 0)
    abort();
}

static void
make_promoted(void)
{
  struct vhd_error err;

  make_three();
  if (disk_promote(&place, PLACE_DISK, 3, &err) < 0)
    abort();
}

static int
run_rollback(struct vhd_error *err)
{
  unsigned number;

  return disk_rollback(&place, PLACE_DISK, 3, &number, err);
}

/* What is not there any more was deleted. */
static int
run_delete(struct vhd_error *err)
{
  const int r = disk_delete(&place, PLACE_DISK, 3, err);

  return err->sys == ENOENT ? 0 : r;
}

static void
make_free(void)
{
  struct vhd_error err;

  make_promoted();
  if (disk_promote(&place, PLACE_DISK, 2, &err) < 0)
    abort();
}

static void
make_two_clients(void)
{
  make_three();
  place_child("b", "1", 50);
}

static int
run_apply(struct vhd_error *err)
{
  unsigned number;

  return disk_apply(&place, PLACE_DISK, "a", "what a did", &number, err);
}

static void
make_scheduled(void)
{
  struct vhd_error err;

  make_three();
  if (disk_schedule(&place, PLACE_DISK, 3, 1000, &err) < 0)
    abort();
}

static int
run_due(struct vhd_error *err)
{
  unsigned number;

  return disk_promote_due(&place, PLACE_DISK, 2000, &number, err);
}

static int
run_schedule(struct vhd_error *err)
{
  return disk_schedule(&place, PLACE_DISK, 3, 2000, err);
}

static int
run_describe(struct vhd_error *err)
{
  return disk_describe(&place, PLACE_DISK, 3, "in other words", err);
}

static int
run_make(struct vhd_error *err)
{
  return child_make(&place, PLACE_DISK, "c", "production", err);
}

static int
run_discard(struct vhd_error *err)
{
  return child_discard(&place, PLACE_DISK, "b", "production", err);
}

static int
run_remove(struct vhd_error *err)
{
  return child_remove(&place, PLACE_DISK, "b", err);
}

#define THREE "versions 1:1r 2<1:3r 3<2:3(a third); production 2 after 1, " \
              "maintenance 3; children a<2:103"
#define AT(when) \
  "versions 1:1r 2<1:3r 3<2:3(a third); production 2 after 1, maintenance 3, " \
  "3 at " #when "; children a<2:103"
#define GOLDEN "versions 1:1r 2<1:3r 3<2:3r(a third); "

static const struct operation operations[] = {
  { "a new version", make_two, run_new,
    "versions 1:1r 2<1:3r; production 1; children",
    "versions 1:1r 2<1:3r 3<1:1(new); production 1, maintenance 3; children",
    NULL, false },
  { "test", make_three, run_test, THREE,
    GOLDEN "production 2 after 1, test 3; children a<2:103", NULL, false },
  { "promote", make_three, run_promote, THREE,
    GOLDEN "production 3 after 2; children a<2:103", NULL, false },
  { "promote what was tested", make_tested, run_promote,
    GOLDEN "production 2 after 1, test 3; children a<2:103",
    GOLDEN "production 3 after 2; children a<2:103", NULL, false },
  { "promote the first", make_first, run_first_promote,
    "versions 1:1r; production 0; children",
    "versions 1:1r; production 1; children", NULL, false },
  { "roll back", make_promoted, run_rollback,
    GOLDEN "production 3 after 2; children a<2:103",
    GOLDEN "production 2 after 1; children a<2:103", NULL, false },
  { "delete", make_free, run_delete,
    GOLDEN "production 2 after 3; children a<2:103",
    "versions 1:1r 2<1:3r; production 2; children a<2:103", NULL, false },
  { "delete what is in maintenance", make_three, run_delete, THREE,
    "versions 1:1r 2<1:3r; production 2 after 1; children a<2:103", NULL,
    false },
  { "apply", make_two_clients, run_apply, THREE " b<1:51",
    "versions 1:1r 2<1:3r 3<2:3(a third) 4<2:103r(what a did); production 2 "
    "after 1, maintenance 3; children b<1:51",
    "versions 1:1r 2<1:3r 3<2:3(a third) 4<2:journalr(what a did); production "
    "2 after 1, maintenance 3; children b<1:51", false },
  { "apply from another file system", make_two_clients, run_apply,
    THREE " b<1:51",
    "versions 1:1r 2<1:3r 3<2:3(a third) 4<2:103r(what a did); production 2 "
    "after 1, maintenance 3; children b<1:51", NULL, true },
  { "schedule", make_scheduled, run_schedule, AT(1000), AT(2000),
    NULL, false },
  { "promote what is due", make_scheduled, run_due, AT(1000),
    GOLDEN "production 3 after 2; children a<2:103", NULL, false },
  { "describe", make_three, run_describe, THREE,
    "versions 1:1r 2<1:3r 3<2:3(in other words); production 2 after 1, "
    "maintenance 3; children a<2:103", NULL, false },
  { "a child", make_two_clients, run_make, THREE " b<1:51",
    THREE " b<1:51 c<2:3", NULL, false },
  { "a child on another file system", make_two_clients, run_make,
    THREE " b<1:51", THREE " b<1:51 c<2:3", NULL, true },
  { "discard", make_two_clients, run_discard, THREE " b<1:51", THREE " b<2:3",
    NULL, false },
  { "remove a child", make_two_clients, run_remove, THREE " b<1:51", THREE,
    NULL, false },
};

/* ------------------------------------------------------------------- trials */

static unsigned wrong, trials;

static void
complain(const struct operation *op, const char *when, const char *what)
{
  if (wrong++ < 10)
    printf("# %s, %s: %s\n", op->name, when, what);
}

/* Names are told of in no order. */
static int
by_word(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort_children(char *text)
{
  char *at = strstr(text, "; children"), *word[16], copy[PLACE_TEXT];
  size_t n = 0;

  if (!at)
    return;
  at += strlen("; children");
  snprintf(copy, sizeof copy, "%s", at);
  for (char *w = strtok(copy, " "); w && n < 16; w = strtok(NULL, " "))
    word[n++] = w;
  qsort(word, n, sizeof *word, by_word);
  for (size_t i = 0; i < n; i++)
    at += sprintf(at, " %s", word[i]);
}

static bool
is(const char *text)
{
  char now[PLACE_TEXT];

  place_tell(now);
  sort_children(now);
  return strcmp(now, text) == 0;
}

static void
check_is(const struct operation *op, const char *when, const char *text,
         bool between)
{
  char now[PLACE_TEXT];

  if (is(text) || (between && is(op->before)) ||
      (between && op->changing && is(op->changing)))
    return;
  place_tell(now);
  sort_children(now);
  complain(op, when, now);
}

/* Once more, from wherever it was cut off. */
static void
go_on(const struct operation *op, const char *when)
{
  struct vhd_error err = { 0 };

  if (op->run(&err) < 0)
    complain(op, when, err.message);
  check_is(op, when, op->after, false);
  if (disk_settle(&place, PLACE_DISK, &err) < 0)
    complain(op, when, err.message);
  if (*place_stray())
    complain(op, when, place_stray());
}

static void
put_back(void)
{
  char path[2][256];

  snprintf(path[0], sizeof path[0], "%s/" PLACE_DISK, place.disks);
  snprintf(path[1], sizeof path[1], "%s/" PLACE_DISK, place.children);
  death_copy("start-disks", path[0]);
  death_copy("start-children", path[1]);
}

static void
die_once(const struct operation *op, unsigned at, unsigned cut)
{
  struct vhd_error err = { 0 };
  char when[80];
  int status = 0;

  trials++;
  snprintf(when, sizeof when, "%s before call %u (%u)",
           cut ? "a power cut" : "killed", at, cut);
  put_back();
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    death_begin(at, cut);
    _exit(op->run(&err) < 0);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    abort();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != DEATH_STATUS)
    complain(op, when, "it did not die");
  check_is(op, when, op->after, true);
  go_on(op, when);
}

/* After it said that it is done, a power cut takes nothing back. */
static void
cut_at_end(const struct operation *op, unsigned calls, unsigned cut)
{
  struct vhd_error err = { 0 };
  int status = 0;

  trials++;
  put_back();
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    death_begin(calls + 1, cut);
    if (op->run(&err) < 0)
      _exit(1);
    fsync(-1); /* one call more */
    _exit(2);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    abort();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != DEATH_STATUS)
    complain(op, "a power cut at the end", "it did not come to that");
  check_is(op, "a power cut at the end", op->after, false);
}

static unsigned
run_whole(const struct operation *op)
{
  struct vhd_error err = { 0 };

  check_is(op, "at first", op->before, false);
  death_begin(0, 0);
  if (op->run(&err) < 0)
    complain(op, "uninterrupted", err.message);
  const unsigned calls = death_end();
  check_is(op, "uninterrupted", op->after, false);
  go_on(op, "done twice");
  return calls;
}

static void
make_folders(const struct operation *op, const char *far)
{
  const unsigned n = (unsigned)(op - operations);
  static char disks[64], children[256];
  char path[300];

  snprintf(disks, sizeof disks, "disks%u", n);
  snprintf(children, sizeof children, "%s%schildren%u", op->far ? far : "",
           op->far ? "/" : "", n);
  place.disks = disks;
  place.children = children;
  place_make();
  snprintf(path, sizeof path, "%s.beside", disks);
  mkdir(path, 0700);
  snprintf(path, sizeof path, "%s.beside", children);
  mkdir(path, 0700);
}

static void
watch(void)
{
  char path[300], beside[300];

  snprintf(path, sizeof path, "%s/" PLACE_DISK, place.disks);
  snprintf(beside, sizeof beside, "%s.beside", place.disks);
  death_watch(path, beside);
  snprintf(path, sizeof path, "%s/" PLACE_DISK, place.children);
  snprintf(beside, sizeof beside, "%s.beside", place.children);
  death_watch(path, beside);
}

static void
try_operation(const struct operation *op)
{
  char path[2][300];

  op->make();
  snprintf(path[0], sizeof path[0], "%s/" PLACE_DISK, place.disks);
  snprintf(path[1], sizeof path[1], "%s/" PLACE_DISK, place.children);
  death_copy(path[0], "start-disks");
  death_copy(path[1], "start-children");
  watch();
  const unsigned calls = run_whole(op);
  for (unsigned at = 1; at <= calls; at++)
    for (unsigned cut = 0; cut < CUTS; cut++)
      die_once(op, at, cut);
  for (unsigned cut = 1; cut < CUTS; cut++)
    cut_at_end(op, calls, cut);
  printf("# %s: %u calls\n", op->name, calls);
}

/* In a process of its own, which watches folders of its own. */
static bool
try_alone(const struct operation *op, const char *far)
{
  int status = 0;

  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    make_folders(op, far);
    try_operation(op);
    printf("# %u trials, %u wrong\n", trials, wrong);
    fflush(stdout);
    _exit(wrong > 0);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    abort();
  return status == 0;
}

/* A folder on another file system, or NULL. */
static char *
make_far(char *template)
{
  struct stat here, there;

  if (!mkdtemp(template))
    return NULL;
  if (stat(".", &here) == 0 && stat(template, &there) == 0 &&
      here.st_dev != there.st_dev)
    return template;
  rmdir(template);
  return NULL;
}

int
main(int argc, char **argv)
{
  char template[] = "/dev/shm/vkprovision.XXXXXX", command[80];
  const char *only = argc > 1 ? argv[1] : "", *far = make_far(template);
  const unsigned n = sizeof operations / sizeof *operations;
  unsigned failed = 0;

  mkdir("start-disks", 0700);
  mkdir("start-children", 0700);
  for (unsigned i = 0; i < n; i++) {
    const struct operation *op = &operations[i];
    const bool skip = strncmp(op->name, only, strlen(only)) != 0 ||
                      (op->far && !far);
    const bool good = skip || try_alone(op, far);
    printf("%s %u - %s%s\n", good ? "ok" : "not ok", i + 1, op->name,
           skip ? " # SKIP there is no other file system" : "");
    failed += !good;
  }
  printf("1..%u\n", n);
  snprintf(command, sizeof command, "rm -rf %s", template);
  if (far && system(command) != 0)
    failed++;
  return failed > 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* inplace.c: tests/inplace/inplace, the operations that change images in place
 * through power cuts, deaths and failing calls.
 *
 *   inplace [--seed N] [--rounds N] [--ways N] [--step N] [--only NAME]
 *           [--rule NAME]
 *
 * An operation runs once over files of its own, and each of its calls is
 * written down (world.h).  Then, for the moment after each call, states are put
 * back that a power cut could have left (disk.h): images must be as before or
 * as after, or say that a change was interrupted (judge.h); the same operation,
 * done again, must end as if nothing had been.  Some of those runs are cut off
 * as well.  Besides, each call fails in several ways, and the process dies at
 * each.
 *
 * That is done with a few of them, by default; with so many ways to be left at
 * each moment and so many rounds as CRASH_SCALE says, with all of them.
 *
 * With a rule's name it breaks that rule, and is content only if something is
 * then seen to be wrong.  One thread. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/rules.h"
#include "chance.h"
#include "disk.h"
#include "judge.h"
#include "tap.h"

enum rule rule_broken = RULE_NONE;
unsigned long bound_reached[BOUND_COUNT];

static const struct {
  const char *name, *text;
} rules[] = {
#define RULE_ROW(name, text) { #name, text },
  RULES(RULE_ROW)
  INPLACE_RULES(RULE_ROW)
#undef RULE_ROW
};

static struct {
  uint64_t seed;
  unsigned rounds;
  unsigned ways;      /* tried at each moment */
  unsigned step;      /* every so many-th call fails, or is the last */
  unsigned fail_ways; /* at each moment after a failure */
  unsigned nest;      /* once in so many states, the run after is cut off */
  const char *only;
} opt = { .seed = 1, .rounds = 1, .ways = 4, .step = 7, .fail_ways = 1,
          .nest = 40 };

struct totals {
  uint64_t states, same, nested, failures, deaths, wrong;
};

/* What is asked of the same state is more, where the operation was done. */
#define DONE 0x9e3779b97f4a7c15

/* So many faults are enough to tell of. */
static uint64_t
enough(void)
{
  return rule_broken == RULE_NONE ? 20 : 1;
}

struct trial {
  struct scene scene;
  struct totals totals;
  char fault[FAULT_ROOM];
};

static void
complain(struct trial *t, const char *when)
{
  if (++t->totals.wrong <= 3 && rule_broken == RULE_NONE)
    printf("# %s, %s: %s\n", t->scene.op->name, when, t->fault);
}

/* ------------------------------------------------------------------ a state */

/* Somebody else opens an image for writing before the operation goes on. */
static void
come_between(const struct scene *s)
{
  struct vhd_image *image;
  const char *name = s->image[chance_below((uint64_t)s->n)].name;

  if (vhd_open(world_path(name), &scene_open, &image, NULL) == 0)
    vhd_close(image, NULL);
}

/* The operation again, on what there is now: it comes to its end.  One that had
 * come to it may be refused. */
static bool
finish(struct trial *t)
{
  struct vhd_error err;
  char fault[FAULT_ROOM];

  const int r = scene_run(&t->scene, &err);
  const bool good = judge_end(&t->scene, fault);
  if (good)
    return true;
  if (r < 0)
    snprintf(t->fault, FAULT_ROOM, "the same again: %.300s", err.message);
  else
    snprintf(t->fault, FAULT_ROOM, "afterwards: %.300s", fault);
  return false;
}

static void cut_off(struct trial *t, const struct state *start,
                    const struct log *log, size_t from, unsigned ways,
                    const char *when, unsigned depth);

/* The folder holds it.  done: the operation had ended, and said so. */
static bool
judge_state(struct trial *t, bool done)
{
  char fault[FAULT_ROOM];

  if (!judge_between(&t->scene, t->fault))
    return false;
  if (done && !judge_end(&t->scene, fault)) {
    snprintf(t->fault, FAULT_ROOM, "it was done: %.300s", fault);
    return false;
  }
  if (chance_one_in(8)) {
    come_between(&t->scene);
    if (!judge_between(&t->scene, fault)) {
      snprintf(t->fault, FAULT_ROOM, "somebody else came: %.300s", fault);
      return false;
    }
  }
  return true;
}

/* A state that was put: judged, and gone on from. */
static void
try_state(struct trial *t, const struct state *state, bool done,
          const char *when, unsigned depth)
{
  struct log log = { 0 };
  const bool nest = depth == 0 && chance_one_in(opt.nest);

  world_put(state);
  bool good = judge_state(t, done);
  if (good && nest) { /* from the very same */
    world_put(state);
    world_begin(state, &log);
    good = finish(t);
    world_end();
  } else if (good) {
    good = finish(t);
  }
  if (!good)
    complain(t, when);
  if (good && nest) {
    t->totals.nested++;
    cut_off(t, state, &log, 0, 1, "a second power cut", 1);
  }
  log_free(&log);
}

/* States that a power cut leaves, at each moment from one on.  Of what is like
 * one that was there nothing new comes. */
static void
cut_off(struct trial *t, const struct state *start, const struct log *log,
        size_t from, unsigned ways, const char *when, unsigned depth)
{
  struct state left;
  struct disk disk;
  char text[120];

  disk_init(&disk, start);
  for (size_t i = 0; i < log->n; i++) {
    disk_take(&disk, &log->event[i]);
    const unsigned n = i < from ? 0 : disk_ways(&disk, ways);
    for (unsigned way = 0; way < n && t->totals.wrong < enough(); way++) {
      disk_cut(&disk, way, n, &left);
      if (seen_add(state_hash(&left))) {
        snprintf(text, sizeof text, "%s at %zu of %zu, way %u", when, i + 1,
                 log->n, way);
        t->totals.states++;
        try_state(t, &left, false, text, depth);
      } else {
        t->totals.same++;
      }
      state_free(&left);
    }
  }
  disk_free(&disk);
}

/* ------------------------------------------------------------------- a run */

/* What is on the disk once the operation has said that it is done stays. */
static void
cut_after(struct trial *t, const struct state *start, const struct log *log,
          const char *when)
{
  struct state left;
  struct disk disk;

  disk_init(&disk, start);
  for (size_t i = 0; i < log->n; i++)
    disk_take(&disk, &log->event[i]);
  const unsigned n = disk_ways(&disk, opt.ways);
  for (unsigned way = 0; way < n && t->totals.wrong < enough(); way++) {
    disk_cut(&disk, way, n, &left);
    const uint64_t hash = state_hash(&left);
    if (seen_add(hash ^ DONE)) {
      t->totals.states += seen_add(hash);
      try_state(t, &left, true, when, 0);
    }
    state_free(&left);
  }
  disk_free(&disk);
}

/* Nothing that changes the folder went unseen. */
static bool
check_log(struct trial *t, const struct log *log)
{
  struct state live;
  struct disk disk;

  world_take(&live, false);
  disk_init(&disk, &t->scene.start);
  for (size_t i = 0; i < log->n; i++)
    disk_take(&disk, &log->event[i]);
  const char *name = disk_differs(&disk, &live);
  const bool good = name[0] == '\0';
  if (!good)
    snprintf(t->fault, FAULT_ROOM, "a call that changed %s was not seen", name);
  disk_free(&disk);
  state_free(&live);
  return good;
}

/* Uninterrupted.  Returns false where there is no use in going on. */
static bool
run_whole(struct trial *t, struct log *log, unsigned *calls, unsigned *reads)
{
  struct vhd_error err;
  bool good = false;

  world_begin(&t->scene.start, log);
  const int r = scene_run(&t->scene, &err);
  world_end();
  *calls = world_calls();
  *reads = world_reads();
  if (r < 0)
    snprintf(t->fault, FAULT_ROOM, "%.300s", err.message);
  else
    good = judge_end(&t->scene, t->fault) && check_log(t, log);
  if (!good)
    complain(t, "uninterrupted");
  return good;
}

static void
fail_once(struct trial *t, enum fate fate, unsigned at)
{
  struct scene *s = &t->scene;
  struct vhd_error err;
  struct log log;
  char text[120];

  snprintf(text, sizeof text, "%s at %u", fate_names[fate], at);
  world_put(&s->start);
  world_begin(&s->start, &log);
  world_plan(fate, at);
  const int r = scene_run(s, &err);
  const bool happened = world_happened();
  world_end();
  if (happened) {
    t->totals.failures++;
    bool good = judge_state(t, r == 0);
    if (good)
      good = finish(t);
    if (!good)
      complain(t, text);
    if (r == 0)
      cut_after(t, &s->start, &log, text);
    else
      cut_off(t, &s->start, &log, at, opt.fail_ways, text, 0);
  }
  log_free(&log);
}

static void
die_once(struct trial *t, enum fate fate, unsigned at)
{
  struct vhd_error err;
  struct log log;
  char text[120];
  int status = 0;

  snprintf(text, sizeof text, "%s %u", fate_names[fate], at);
  world_put(&t->scene.start);
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    world_begin(&t->scene.start, &log);
    world_plan(fate, at);
    _exit(scene_run(&t->scene, &err) == 0 ? 0 : 1);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    abort();
  if (!WIFEXITED(status) ||
      (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != WORLD_KILLED)) {
    snprintf(t->fault, FAULT_ROOM, "it ended with status %#x", status);
    complain(t, text);
    return;
  }
  t->totals.deaths++;
  if (!judge_state(t, WEXITSTATUS(status) == 0) || !finish(t))
    complain(t, text);
}

static void
try_calls(struct trial *t, enum fate from, enum fate end, unsigned calls,
          void (*try)(struct trial *t, enum fate fate, unsigned at))
{
  for (unsigned at = 1; at <= calls; at += opt.step)
    for (unsigned f = from; f < end && t->totals.wrong < enough(); f++)
      try(t, (enum fate)f, at);
}

static void
try_operation(struct trial *t, const struct operation *op, uint64_t seed)
{
  struct log log;
  unsigned calls, reads;

  chance_seed(seed);
  seen_forget();
  scene_make(&t->scene, op);
  if (run_whole(t, &log, &calls, &reads)) {
    cut_off(t, &t->scene.start, &log, 0, opt.ways, "a power cut", 0);
    cut_after(t, &t->scene.start, &log, "a power cut at the end");
    try_calls(t, FATES_FAIL, FATE_READ, calls, fail_once);
    try_calls(t, FATE_READ, FATE_READ + 1, reads, fail_once);
    try_calls(t, FATES_DIE, FATES_END, calls, die_once);
  }
  log_free(&log);
  scene_free(&t->scene);
}

/* ------------------------------------------------------------------- suite */

static void
add(struct totals *to, const struct totals *t)
{
  to->states += t->states;
  to->same += t->same;
  to->nested += t->nested;
  to->failures += t->failures;
  to->deaths += t->deaths;
  to->wrong += t->wrong;
}

static const char *
in_words(const struct totals *t)
{
  static char text[300];

  snprintf(text, sizeof text,
           "%llu states after power cuts, %llu of them gone on from and cut "
           "off again; %llu failures, %llu deaths; %llu wrong",
           (unsigned long long)t->states, (unsigned long long)t->nested,
           (unsigned long long)t->failures, (unsigned long long)t->deaths,
           (unsigned long long)t->wrong);
  return text;
}

static int
run_suite(void)
{
  struct totals all = { 0 };
  struct tap tap = { 0 };

  for (unsigned i = 0; i < noperations; i++) {
    static struct trial t;
    if (opt.only && strncmp(opt.only, operations[i].name,
                            strlen(opt.only)) != 0)
      continue;
    t = (struct trial){ 0 };
    for (unsigned round = 0; round < opt.rounds; round++)
      try_operation(&t, &operations[i], opt.seed + round);
    tap_case(&tap, t.totals.wrong == 0, "%s (%s)", operations[i].name,
             in_words(&t.totals));
    add(&all, &t.totals);
  }
  printf("# %s\n# images: %llu as before, %llu as after, %llu between, %llu "
         "refused until the change is finished\n", in_words(&all),
         (unsigned long long)judged.before, (unsigned long long)judged.after,
         (unsigned long long)judged.mixed,
         (unsigned long long)judged.interrupted);
  return tap_end(&tap);
}

/* -------------------------------------------------------------------- rules */

/* Which operations are likely to notice; the others are tried after them. */
static const struct {
  enum rule rule;
  const char *name;
} likely[] = {
  { RULE_REDO_BASE, "resize, dynamic, a table" },
  { RULE_NEW_WHOLE, "repair, what cannot" },
  { RULE_NEW_NAME, "revert" },
  { RULE_NAME_ADDED, "snapshot" },
  { RULE_NAME_GONE, "merge, the last" },
  { RULE_UNDO_FIRST, "repair" },
  { RULE_PARENT_FIRST, "merge, the last" },
  { RULE_LEAD_FIRST, "merge, one" },
  { RULE_LEAD_MARKED, "merge, one" },
};

static bool
is_likely(enum rule rule, const struct operation *op)
{
  for (size_t i = 0; i < sizeof likely / sizeof *likely; i++)
    if (likely[i].rule == rule &&
        strncmp(op->name, likely[i].name, strlen(likely[i].name)) == 0)
      return true;
  return false;
}

/* The first operation that shows that the rule is broken, or NULL. */
static const char *
find_notice(enum rule rule)
{
  static struct trial t;

  for (unsigned round = 0; round < 4; round++)
    for (unsigned i = 0; i < noperations; i++) {
      if ((round % 2 == 0) != is_likely(rule, &operations[i]))
        continue;
      t = (struct trial){ 0 };
      try_operation(&t, &operations[i], opt.seed + round);
      if (t.totals.wrong > 0)
        return operations[i].name;
    }
  return NULL;
}

/* In a process of its own, which may not survive it. */
static bool
is_noticed(enum rule rule)
{
  int status = 0;

  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    rule_broken = rule;
    opt.ways = 16;
    opt.step = 1;
    const char *name = find_notice(rule);
    if (name)
      printf("# noticed: %s\n", name);
    fflush(stdout);
    _exit(name != NULL);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    abort();
  return status != 0;
}

static int
run_rules(const char *only)
{
  const bool all = strcmp(only, "all") == 0;
  struct tap tap = { 0 };

  for (unsigned r = 0; r < RULE_NONE; r++) {
    if (all ? r < RULE_REDO_BASE : strcmp(only, rules[r].name) != 0)
      continue;
    tap_case(&tap, is_noticed((enum rule)r), "noticed when broken: %s (%s)",
             rules[r].text, rules[r].name);
  }
  return tap_end(&tap);
}

int
main(int argc, char **argv)
{
  static const struct option options[] = {
    { "seed", required_argument, NULL, 's' },
    { "rounds", required_argument, NULL, 'r' },
    { "ways", required_argument, NULL, 'w' },
    { "only", required_argument, NULL, 'o' },
    { "step", required_argument, NULL, 't' },
    { "rule", required_argument, NULL, 'u' },
    { NULL, 0, NULL, 0 },
  };
  const char *rule = NULL, *scale = getenv("CRASH_SCALE");
  int c;

  if (scale) {
    opt.rounds = 3 * (unsigned)atoi(scale);
    opt.ways = 200;
    opt.fail_ways = 10;
    opt.step = 1;
  }

  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
    switch (c) {
    case 's': opt.seed = strtoull(optarg, NULL, 10); break;
    case 'r': opt.rounds = (unsigned)atoi(optarg); break;
    case 'w': opt.ways = (unsigned)atoi(optarg); break;
    case 'u': rule = optarg; break;
    case 'o': opt.only = optarg; break;
    case 't': opt.step = (unsigned)atoi(optarg); break;
    default: return 2;
    }
  world_open();
  return rule ? run_rules(rule) : run_suite();
}

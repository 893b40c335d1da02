/* SPDX-License-Identifier: BSD-2-Clause */
/* sim.c: tests/sim/sim, the simulator's command line.
 *
 * Without arguments it runs the suite and prints TAP.  With a rule's name it
 * breaks that rule, and is content only if a promise breaks.
 *
 *   sim [--seed N] [--rounds N] [--scenario NAME] [--rule NAME] [--list] */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/rules.h"
#include "life.h"
#include "tap.h"

enum rule rule_broken = RULE_NONE;
unsigned long bound_reached[BOUND_COUNT];

static const struct {
  const char *name, *text;
} rules[] = {
#define RULE_ROW(name, text) { #name, text },
  RULES(RULE_ROW)
#undef RULE_ROW
};

#define NRULES (sizeof rules / sizeof *rules)

enum mode {
  CRASH,  /* power cuts and deaths at many moments */
  FAIL,   /* each I/O in turn fails */
  ORDER,  /* much at once, in any order */
};

static const struct scenario {
  const char *name, *text;
  enum mode mode;
  struct life_options opt;
  unsigned rounds; /* seeds */
} scenarios[] = {
  { "crash", "power cuts and deaths of the process", CRASH,
    { .depth = 5, .requests = 40, .lives = 4, .crash_one_in = 12,
      .max_states = 32, .journal = true }, 10 },
  { "crash-serial", "power cuts under one request at a time", CRASH,
    { .depth = 1, .requests = 30, .lives = 3, .crash_one_in = 5,
      .max_states = 64, .journal = true }, 5 },
  { "crash-growing", "power cuts while the file grows a slot at a time", CRASH,
    { .depth = 4, .requests = 30, .lives = 2, .crash_one_in = 6,
      .max_states = 32, .journal = true, .small_steps = true }, 4 },
  { "crash-no-journal", "power cuts where no journal can be had", CRASH,
    { .depth = 4, .requests = 30, .lives = 3, .crash_one_in = 12,
      .max_states = 32 }, 4 },
  { "fail", "an I/O fails, at every position in turn", FAIL,
    { .depth = 4, .requests = 25, .lives = 3, .crash_one_in = 40,
      .max_states = 8, .journal = true }, 2 },
  { "fail-moods", "an I/O fails, and it is not quite as if nothing had been",
    FAIL,
    { .depth = 4, .requests = 25, .lives = 3, .crash_one_in = 40,
      .max_states = 8, .journal = true, .no_punch = true, .moves_end = true },
    1 },
  { "full", "the disk below is full", CRASH,
    { .depth = 4, .requests = 60, .lives = 4, .crash_one_in = 20,
      .max_states = 16, .journal = true, .full = true }, 20 },
  { "full-growing", "the disk below is full, the file grows a slot at a time",
    CRASH,
    { .depth = 3, .requests = 60, .lives = 4, .crash_one_in = 20,
      .max_states = 16, .journal = true, .full = true, .small_steps = true,
      .moves_end = true }, 20 },
  { "pins", "clients never take what they asked for", ORDER,
    { .depth = 6, .requests = 2000, .lives = 2, .journal = true, .pins = true,
      .small_steps = true }, 6 },
  { "order", "many requests at once, completed in random order", ORDER,
    { .depth = 16, .requests = 400, .lives = 3, .journal = true }, 12 },
};

#define NSCENARIOS (sizeof scenarios / sizeof *scenarios)

static const char *const bounds[] = {
#define BOUND_ROW(name, text) text,
  BOUNDS(BOUND_ROW)
#undef BOUND_ROW
};

struct totals {
  uint64_t states, kills, requests, runs;
  uint64_t reached[BOUND_COUNT]; /* runs in which each bound was */
  uint64_t others[OTHER_COUNT], turned_away[OTHER_COUNT];
};

/* A suite that looks at fewer has lost some. */
#define LEAST_STATES 1000000

static const int fail_errnos[] = { 0, EIO, ENOSPC, EDQUOT };

#define NERRNOS (sizeof fail_errnos / sizeof *fail_errnos)

/* One seed; for FAIL, once for each I/O that can fail.  Returns the fault. */
static const char *
run_seed(const struct scenario *s, enum sim_kind kind, uint64_t seed,
         struct totals *t)
{
  static struct life_result r;
  struct life_options opt = s->opt;

  opt.kind = kind;
  if (kind == SIM_DEEP) { /* each look opens all of them */
    opt.crash_one_in *= 4;
    opt.max_states = (opt.max_states + 3) / 4;
  }
  opt.fail_at = s->mode == FAIL;
  do {
    opt.fail_errno = fail_errnos[opt.fail_at % NERRNOS];
    memset(bound_reached, 0, sizeof bound_reached);
    life_run(seed, &opt, &r);
    for (int b = 0; b < BOUND_COUNT; b++)
      t->reached[b] += bound_reached[b] > 0;
    for (int o = 0; o < OTHER_COUNT; o++) {
      t->others[o] += r.others[o];
      t->turned_away[o] += r.turned_away[o];
    }
    t->states += r.states;
    t->kills += r.kills;
    t->requests += r.requests;
    t->runs++;
    if (r.fault[0] && s->mode == FAIL && rule_broken == RULE_NONE)
      printf("# I/O %llu of the second life fails\n",
             (unsigned long long)opt.fail_at);
    if (r.fault[0])
      return r.fault;
    opt.fail_at += kind == SIM_DEEP ? 5 : 1;
  } while (s->mode == FAIL && r.reached && opt.fail_at < 1000);
  return NULL;
}

static uint64_t first_seed = 1;
static unsigned times = 1;

/* All seeds of a scenario over one kind of image. */
static bool
run_scenario(const struct scenario *s, enum sim_kind kind, struct totals *t)
{
  unsigned rounds = kind == SIM_DEEP ? DIV_ROUND_UP(s->rounds, 4) : s->rounds;

  for (unsigned i = 0; i < rounds * times; i++) {
    uint64_t seed = first_seed + i;
    const char *fault = run_seed(s, kind, seed, t);
    if (fault && rule_broken == RULE_NONE)
      printf("# %s, %s, seed %llu: %s\n", s->name, sim_kind_name[kind],
             (unsigned long long)seed, fault);
    if (fault)
      return false;
  }
  return true;
}

/* How often each bound was reached; with small ones, each must have been. */
static void
all_reached(const struct totals *all, struct tap *tap)
{
  bool good = true;

  for (int b = 0; b < BOUND_COUNT; b++) {
    printf("# %5.1f %% of the runs reached a bound: %s\n",
           100.0 * (double)all->reached[b] / (double)all->runs, bounds[b]);
    good &= all->reached[b] > 0;
  }
#ifdef VHDKIT_SMALL_BOUNDS
  tap_case(tap, good, "each bound was reached");
#else
  (void)tap;
#endif
}

/* Who came after a death: everybody did, and some were refused. */
static void
all_came(const struct totals *all, struct tap *tap)
{
  uint64_t refused = 0;
  bool good = true;

  for (int o = 0; o < OTHER_COUNT; o++) {
    printf("# after %4.1f %% of the deaths %s; then %.0f %% were refused\n",
           100.0 * (double)all->others[o] / (double)all->kills, other_text[o],
           100.0 * (double)all->turned_away[o] / (double)all->others[o]);
    good &= all->others[o] > 0;
    refused += all->turned_away[o];
  }
  good &= refused > 0;
  tap_case(tap, good, "others came after deaths, and were told apart");
}

static int
run_suite(const char *only)
{
  struct totals all = { 0 };
  struct tap tap = { 0 };

  for (size_t i = 0; i < NSCENARIOS; i++)
    for (int kind = 0; kind < SIM_KINDS; kind++) {
      struct totals t = { 0 };
      const struct scenario *s = &scenarios[i];
      if (only && strcmp(only, s->name) != 0)
        continue;
      bool good = run_scenario(s, kind, &t);
      tap_case(&tap, good, "%s: %s (%llu power cuts, %llu deaths, %llu "
               "requests, %llu runs)", s->text, sim_kind_name[kind],
               (unsigned long long)t.states, (unsigned long long)t.kills,
               (unsigned long long)t.requests, (unsigned long long)t.runs);
      all.states += t.states;
      all.kills += t.kills;
      all.runs += t.runs;
      for (int b = 0; b < BOUND_COUNT; b++)
        all.reached[b] += t.reached[b];
      for (int o = 0; o < OTHER_COUNT; o++) {
        all.others[o] += t.others[o];
        all.turned_away[o] += t.turned_away[o];
      }
    }
  if (!only) {
    all_reached(&all, &tap);
    all_came(&all, &tap);
  }
  if (!only && times >= 1)
    tap_case(&tap, all.states >= LEAST_STATES,
             "%llu power cuts were looked at, at least %d",
             (unsigned long long)all.states, LEAST_STATES);
  return tap_end(&tap);
}

/* Does any scenario notice that the rule is broken? */
static bool
rule_bites(enum rule rule, char *how, size_t size)
{
  struct totals t = { 0 };
  bool bites = false;

  rule_broken = rule;
  for (unsigned round = 0; round < 60 && !bites; round++)
    for (size_t i = 0; i < NSCENARIOS && !bites; i++)
      for (int kind = 0; kind < SIM_KINDS && !bites; kind++) {
        const char *fault =
          run_seed(&scenarios[i], kind, first_seed + round, &t);
        if (!fault)
          continue;
        bites = true;
        snprintf(how, size, "%s, %s, seed %llu: %s", scenarios[i].name,
                 sim_kind_name[kind],
                 (unsigned long long)(first_seed + round), fault);
      }
  rule_broken = RULE_NONE;
  return bites;
}

static int
break_rules(const char *only)
{
  struct tap tap = { 0 };
  char how[500];

  for (size_t i = 0; i < NRULES; i++) {
    if (strcmp(only, "all") != 0 && strcmp(only, rules[i].name) != 0)
      continue;
    bool bites = rule_bites((enum rule)i, how, sizeof how);
    tap_case(&tap, bites, "without %s (%s) a promise breaks", rules[i].name,
             rules[i].text);
    if (bites)
      printf("# %s\n", how);
  }
  return tap_end(&tap);
}

static void
list(void)
{
  for (size_t i = 0; i < NSCENARIOS; i++)
    printf("scenario %-18s %s\n", scenarios[i].name, scenarios[i].text);
  for (size_t i = 0; i < NRULES; i++)
    printf("rule     %-18s %s\n", rules[i].name, rules[i].text);
}

int
main(int argc, char **argv)
{
  static const struct option options[] = {
    { "seed", required_argument, NULL, 's' },
    { "rounds", required_argument, NULL, 'n' },
    { "scenario", required_argument, NULL, 'c' },
    { "rule", required_argument, NULL, 'r' },
    { "list", no_argument, NULL, 'l' },
    { NULL, 0, NULL, 0 },
  };
  const char *scenario = NULL, *rule = NULL;
  int c;

  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
    switch (c) {
    case 's':
      first_seed = strtoull(optarg, NULL, 0);
      break;
    case 'n': /* multiplies the seeds of each scenario */
      times = (unsigned)strtoul(optarg, NULL, 0);
      break;
    case 'c':
      scenario = optarg;
      break;
    case 'r':
      rule = optarg;
      break;
    case 'l':
      list();
      return EXIT_SUCCESS;
    default:
      return EXIT_FAILURE;
    }
  return rule ? break_rules(rule) : run_suite(scenario);
}

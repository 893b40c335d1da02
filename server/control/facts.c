/* SPDX-License-Identifier: BSD-2-Clause */
/* facts.c: see facts.h. */
#include "config.h"

#include "control/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "control/events.h"

/* "192.0.2.1:4242 (x509:alice)" */
#define WHO_SIZE (VISITOR_NAME_SIZE + 160)

bool
facts_init(struct facts *facts, unsigned nloops)
{
  const size_t align = _Alignof(struct fact_tally);

  *facts = (struct facts){ .ntallies = nloops };
  facts->tallies = aligned_alloc(align, nloops * sizeof *facts->tallies);
  for (unsigned i = 0; facts->tallies && i < nloops; i++) {
    atomic_init(&facts->tallies[i].read, 0);
    atomic_init(&facts->tallies[i].written, 0);
  }
  return facts->tallies != NULL;
}

void
facts_destroy(struct facts *facts)
{
  free(facts->tallies);
}

void
facts_bytes(const struct facts *facts, uint64_t *read, uint64_t *written)
{
  *read = *written = 0;
  for (unsigned i = 0; i < facts->ntallies; i++) {
    *read += atomic_load(&facts->tallies[i].read);
    *written += atomic_load(&facts->tallies[i].written);
  }
}

/* Who left is counted after he came. */
uint64_t
facts_present(const struct facts *facts)
{
  const uint64_t left = atomic_load(&facts->left);

  return atomic_load(&facts->came) - left;
}

/* ------------------------------------------------------------------- lines */

static const char *
who(const struct fact *fact, char buf[WHO_SIZE])
{
  char name[VISITOR_NAME_SIZE], user[VISITOR_IDENTITY_SIZE];
  const char *identity = fact->identity;

  visitor_name(fact->visitor, name, sizeof name);
  if (!identity)
    identity = visitor_identity(fact->visitor, user, sizeof user);
  if (identity)
    snprintf(buf, WHO_SIZE, "%s (%.128s)", name, identity);
  else
    snprintf(buf, WHO_SIZE, "%s", name);
  return buf;
}

static const char *
limit_text(enum fact_limit limit)
{
  static const char *const text[FACT_NLIMITS] = {
    [FACT_LIMIT_CONNECTIONS] = "there are as many as --max-connections allows",
    [FACT_LIMIT_ADDRESS] =
      "its address (user, virtual machine) has as many as "
      "--max-connections-per-address allows",
    [FACT_LIMIT_MEMORY] = "there is no memory for it",
    [FACT_LIMIT_STOPPING] = "the server is about to end",
    [FACT_LIMIT_DRAINING] = "the server is drained, until vhdkitctl undrain",
  };

  return limit == FACT_LIMIT_PROCESS_FILES  ? descriptors_explain(-EMFILE)
         : limit == FACT_LIMIT_SYSTEM_FILES ? descriptors_explain(-ENFILE)
                                            : text[limit];
}

static void
log_refused(const struct fact *fact)
{
  const char *why = limit_text(fact->limit);
  char buf[WHO_SIZE];

  if (log_cause_pass("connections that were refused: %s", why))
    log_warning("refused a connection from %s: %s", who(fact, buf), why);
}

/* The cause names an export that there is, none that a stranger makes up. */
static bool
failed_pass(const struct fact *fact)
{
  if (fact->number == 0)
    return log_cause_pass("options that were answered with %s", fact->error);
  return log_cause_pass("requests to the export '%s' that failed with %s",
                        fact->export, fact->error);
}

static void
log_failed(const struct fact *fact)
{
  void (*const log[])(const char *, ...) = {
    [FACT_ORDINARY] = log_debug,
    [FACT_NOTABLE] = log_notice,
    [FACT_GRAVE] = log_error,
  };
  char buf[WHO_SIZE];

  if (fact->weight == FACT_ORDINARY ? !log_is_verbose() : !failed_pass(fact))
    return;
  if (fact->export)
    log[fact->weight]("export '%s': %s of %s failed: %s (%s)", fact->export,
                      fact->request, who(fact, buf), fact->why, fact->error);
  else
    log[fact->weight]("%s of %s failed: %s (%s)", fact->request,
                      who(fact, buf), fact->why, fact->error);
}

static void
log_left(const struct fact *fact)
{
  const double seconds = (double)fact->nsec / 1e9;
  char buf[WHO_SIZE];

  if (!fact->export) {
    if (log_cause_pass("clients that left without an export: %s", fact->why))
      log_notice("%s has left without an export after %.1f s: %s",
                 who(fact, buf), seconds, fact->why);
  } else if (log_cause_pass("clients of the export '%s' that left: %s",
                            fact->export, fact->why)) {
    log_notice("export '%s': %s has left after %.1f s: %s; read %" PRIu64
               " bytes, wrote %" PRIu64 " bytes, got %" PRIu64 " errors",
               fact->export, who(fact, buf), seconds, fact->why, fact->read,
               fact->written, fact->nfailed);
  }
}

static void
log_fact(const struct fact *fact)
{
  char buf[WHO_SIZE];

  switch (fact->kind) {
  case FACT_CAME:
    if (log_is_verbose())
      log_debug("%s has come", who(fact, buf));
    break;
  case FACT_REFUSED:
    log_refused(fact);
    break;
  case FACT_CHOSE:
    if (log_is_verbose())
      log_debug("export '%s': %s has chosen it", fact->export, who(fact, buf));
    break;
  case FACT_FAILED:
    log_failed(fact);
    break;
  case FACT_LEFT:
    log_left(fact);
    break;
  }
}

/* ---------------------------------------------------------------- counters */

static void
count(struct facts *facts, const struct fact *fact)
{
  const uint32_t number =
    fact->number < FACTS_OTHER_ERRORS ? fact->number : FACTS_OTHER_ERRORS;

  switch (fact->kind) {
  case FACT_CAME:
    atomic_fetch_add(&facts->came, 1);
    break;
  case FACT_REFUSED:
    atomic_fetch_add(&facts->refused[fact->limit], 1);
    break;
  case FACT_CHOSE:
    break;
  case FACT_FAILED:
    atomic_fetch_add(&facts->errors[number], 1);
    break;
  case FACT_LEFT:
    atomic_fetch_add(&facts->left, 1);
    break;
  }
}

void
facts_note(struct facts *facts, const struct fact *fact)
{
  count(facts, fact);
  log_fact(fact);
  if (facts->events)
    events_note(facts->events, fact);
}

void
facts_log(const struct facts *facts)
{
  uint64_t read, written, refused = 0, errors = 0;

  for (unsigned i = 0; i < FACT_NLIMITS; i++)
    refused += atomic_load(&facts->refused[i]);
  for (unsigned i = 0; i < FACTS_ERRORS; i++)
    errors += atomic_load(&facts->errors[i]);
  facts_bytes(facts, &read, &written);
  log_debug("in all: %" PRIu64 " connections, %" PRIu64 " refused, %" PRIu64
            " there still; %" PRIu64 " bytes read, %" PRIu64
            " written, %" PRIu64 " errors",
            (uint64_t)facts->came, refused,
            (uint64_t)(facts->came - facts->left), read, written, errors);
}

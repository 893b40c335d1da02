/* SPDX-License-Identifier: BSD-2-Clause */
/* sessions.c: see sessions.h. */
#include "config.h"

#include "catalog/source/sessions.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct session {
  UT_hash_handle hh; /* in the order in which they were noted */
  char *name;        /* the key */
  uint64_t left_ns;
  bool goes;
};

struct sessions {
  struct session *all;
  uint64_t begun_ns;
};

struct sessions *
sessions_new(uint64_t now_ns)
{
  struct sessions *sessions = calloc(1, sizeof *sessions);

  if (sessions)
    sessions->begun_ns = now_ns;
  return sessions;
}

static void
forget(struct sessions *sessions, struct session *session)
{
  HASH_DEL(sessions->all, session);
  free(session->name);
  free(session);
}

void
sessions_free(struct sessions *sessions)
{
  if (!sessions)
    return;
  while (sessions->all)
    forget(sessions, sessions->all);
  free(sessions);
}

static struct session *
find(const struct sessions *sessions, const char *name)
{
  struct session *session;

  HASH_FIND_STR(sessions->all, name, session);
  return session;
}

static bool
is_past(uint64_t left_ns, uint64_t now_ns, uint64_t linger_ns)
{
  return now_ns - left_ns >= linger_ns;
}

static void
forget_past(struct sessions *sessions, uint64_t now_ns, uint64_t linger_ns)
{
  struct session *session, *next;

  HASH_ITER(hh, sessions->all, session, next) {
    if (!is_past(session->left_ns, now_ns, linger_ns))
      break;
    if (!session->goes)
      forget(sessions, session);
  }
}

/* Where memory is short, who comes again in time boots nevertheless, unless the
 * server is young. */
void
sessions_note(struct sessions *sessions, const char *name, bool goes,
              uint64_t now_ns, uint64_t linger_ns)
{
  struct session *session = find(sessions, name);

  if (session)
    forget(sessions, session);
  forget_past(sessions, now_ns, linger_ns);
  session = calloc(1, sizeof *session);
  if (!session)
    return;
  session->left_ns = now_ns;
  session->goes = goes;
  session->name = strdup(name);
  if (session->name) {
    HASH_ADD_KEYPTR(hh, sessions->all, session->name, strlen(session->name),
                    session);
    if (session->hh.tbl)
      return;
  }
  free(session->name);
  free(session);
}

char *
sessions_take_gone(struct sessions *sessions, uint64_t now_ns,
                   uint64_t linger_ns)
{
  struct session *session = sessions->all;

  while (session && is_past(session->left_ns, now_ns, linger_ns) &&
         !session->goes)
    session = session->hh.next;
  if (!session || !is_past(session->left_ns, now_ns, linger_ns))
    return NULL;
  char *name = session->name;
  HASH_DEL(sessions->all, session);
  free(session);
  return name;
}

bool
sessions_is_over(const struct sessions *sessions, const char *name,
                 uint64_t now_ns, uint64_t linger_ns)
{
  const struct session *session = find(sessions, name);

  return is_past(session ? session->left_ns : sessions->begun_ns, now_ns,
                 linger_ns);
}

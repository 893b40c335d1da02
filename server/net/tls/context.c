/* SPDX-License-Identifier: BSD-2-Clause */
/* context.c: which certificates and keys are in use; see context.h. */
#include "config.h"

#include "net/tls/context.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "net/tls/credentials.h"

#define RETRY_SEC 60
/* How long the end waits for a file that hangs. */
#define END_SEC 2

struct tls_context {
  struct tls_config config;
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t wake;
  struct tls_credentials *newest;
  time_t looked;          /* when a client last had the files looked at */
  bool look, reload, end; /* what the thread is to do */
  pthread_t thread;
  bool started;

  /* Of the thread alone, once there is one. */
  struct keys_source source;
  bool revokes; /* there is a list of revocations */
  bool failed;
  struct timespec again; /* when it is tried again, then */
};

/* ------------------------------------------------------------------ loading */

/* Without the list, whom it has revoked would be back. */
static int
check_revocations(const struct tls_context *context, const struct keys *keys,
                  struct vhd_error *err)
{
  const struct key_bytes *crl = &keys->files[KEY_CRL];

  return context->revokes && !crl->data
           ? fail_argument(err,
                           "TLS: %s is gone (an empty list revokes "
                           "nobody: certtool --generate-crl)",
                           crl->path)
           : 0;
}

static void
note_revocations(struct tls_context *context, bool list)
{
  if (list && !context->revokes && context->config.tell_revokes)
    context->config.tell_revokes(context->config.tell_opaque);
  context->revokes = list;
}

static int
load(struct tls_context *context, struct tls_credentials **credentials,
     struct vhd_error *err)
{
  struct keys keys;

  int r = keys_read(&context->source, &keys, err);
  if (r < 0)
    return r;
  r = check_revocations(context, &keys, err);
  if (r == 0)
    r = tls_credentials_new(&keys, credentials, err);
  if (r == 0) {
    note_revocations(context, keys.files[KEY_CRL].data != NULL);
    keys_warn_of_readers(&context->source);
  }
  keys_clear(&keys);
  return r;
}

static unsigned
retry_sec(const struct tls_context *context)
{
  return context->config.retry_sec > 0 ? context->config.retry_sec : RETRY_SEC;
}

static void
tell(const struct tls_context *context, const char *trouble)
{
  if (context->config.tell)
    context->config.tell(context->config.tell_opaque, trouble,
                         context->newest != NULL);
}

/* An administrator who has revoked a key must not believe that it is. */
static void
shout(struct tls_context *context, const char *why)
{
  clock_gettime(CLOCK_MONOTONIC, &context->again);
  context->again.tv_sec += retry_sec(context);
  context->failed = true;
  log_error(
    "%s; %s.  Mend this and send SIGHUP, or restart; the next attempt "
    "is in %u s",
    why,
    context->newest
      ? "the former certificates and keys stay in use, and whoever was "
        "removed or revoked since then still gets in"
      : "nobody gets in by TLS",
    retry_sec(context));
  tell(context, why);
}

static void
warn_of_no_keys(const struct tls_context *context,
                const struct tls_credentials *credentials)
{
  if (tls_credentials_have_no_psk(credentials)) {
    log_warning("%s holds no key any more: nobody gets in by one",
                context->config.psk);
  }
}

static void
take(struct tls_context *context, struct tls_credentials *credentials)
{
  pthread_mutex_lock(&context->lock);
  struct tls_credentials *former = context->newest;
  context->newest = credentials;
  pthread_mutex_unlock(&context->lock);
  tls_credentials_unref(former);
  log_notice("TLS: loaded certificates and keys again");
  warn_of_no_keys(context, credentials);
  if (context->failed) {
    context->failed = false;
    tell(context, "");
  }
}

static void
load_again(struct tls_context *context)
{
  struct tls_credentials *credentials;
  struct vhd_error err;

  if (load(context, &credentials, &err) < 0)
    shout(context, err.message);
  else
    take(context, credentials);
}

/* The first of all must be good: nobody has been let in yet. */
static int
load_first(struct tls_context *context, struct vhd_error *err)
{
  const char *psk = context->config.psk;
  int r = load(context, &context->newest, err);

  if (r == 0 && !context->config.continues &&
      tls_credentials_have_no_psk(context->newest)) {
    r = fail_argument(err, "%s holds no key: psktool -u NAME -p %s adds one",
                      psk, psk);
  }
  if (!context->config.continues)
    return r;
  if (r < 0)
    shout(context, err->message);
  else
    warn_of_no_keys(context, context->newest);
  return 0;
}

/* --------------------------------------------------------------- the thread */

/* That a revocation cannot be learnt of is better known before there is one. */
static void
try_rights(const struct tls_context *context)
{
  struct keys keys;
  struct vhd_error err;

  if (context->failed)
    return; /* and that has been said */
  if (keys_read(&context->source, &keys, &err) == 0) {
    keys_clear(&keys);
  } else {
    log_warning(
      "%s, now that rights were given up: changes of it, revocations "
      "among them, will need a restart",
      err.message);
  }
}

/* With the lock held: waits for something to do.  Whether to load, unless
 * nothing has changed. */
static bool
await_work(struct tls_context *context)
{
  int r = 0;

  while (!context->look && !context->reload && !context->end &&
         r != ETIMEDOUT) {
    r = context->failed
          ? pthread_cond_timedwait(&context->wake, &context->lock,
                                   &context->again)
          : pthread_cond_wait(&context->wake, &context->lock);
  }
  bool must = context->reload || r == ETIMEDOUT;
  context->look = context->reload = false;
  return must;
}

static void *
watch(void *arg)
{
  struct tls_context *context = arg;

  try_rights(context);
  pthread_mutex_lock(&context->lock);
  for (;;) {
    bool must = await_work(context);
    if (context->end)
      break;
    pthread_mutex_unlock(&context->lock);
    if (keys_have_changed(&context->source) || must)
      load_again(context);
    pthread_mutex_lock(&context->lock);
  }
  pthread_mutex_unlock(&context->lock);
  return NULL;
}

void
tls_context_reload(struct tls_context *context)
{
  pthread_mutex_lock(&context->lock);
  context->reload = true;
  pthread_cond_signal(&context->wake);
  pthread_mutex_unlock(&context->lock);
}

struct tls_credentials *
tls_context_credentials(struct tls_context *context)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  pthread_mutex_lock(&context->lock);
  if (now.tv_sec != context->looked) {
    context->looked = now.tv_sec;
    context->look = true;
    pthread_cond_signal(&context->wake);
  }
  struct tls_credentials *credentials =
    context->newest ? tls_credentials_ref(context->newest) : NULL;
  pthread_mutex_unlock(&context->lock);
  return credentials;
}

/* ------------------------------------------------------------ begin and end */

int
tls_context_new(const struct tls_config *config, struct tls_context **made,
                struct vhd_error *err)
{
  struct tls_context *context = calloc(1, sizeof *context);
  pthread_condattr_t attr;

  *made = NULL;
  if (!context)
    return fail_system(err, ENOMEM, "TLS");
  context->config = *config;
  context->revokes = config->revokes;
  context->source.verify_peer = config->verify_peer;
  context->source.read = config->read;
  context->source.look = config->look;
  context->source.opaque = config->read_opaque;
  pthread_mutex_init(&context->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&context->wake, &attr);
  pthread_condattr_destroy(&attr);
  int r =
    keys_source_init(&context->source, config->certificates, config->psk);
  if (r < 0) {
    r = fail_system(err, ENOMEM, "TLS");
  } else {
    /* Before loading: a change in between is then seen as one. */
    keys_have_changed(&context->source);
    r = load_first(context, err);
  }
  if (r < 0) {
    tls_context_free(context);
    return r;
  }
  *made = context;
  return 0;
}

int
tls_context_start(struct tls_context *context, struct vhd_error *err)
{
  sigset_t all, old;

  /* Signals are the main thread's business. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int r = pthread_create(&context->thread, NULL, watch, context);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  context->started = r == 0;
  if (r != 0)
    return fail_system(err, r, "TLS: cannot start a thread");
  pthread_setname_np(context->thread, "keys");
  return 0;
}

/* Whether the thread has ended. */
static bool
end_thread(struct tls_context *context)
{
  struct timespec until;

  pthread_mutex_lock(&context->lock);
  context->end = true;
  pthread_cond_signal(&context->wake);
  pthread_mutex_unlock(&context->lock);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += END_SEC;
  return pthread_timedjoin_np(context->thread, NULL, &until) == 0;
}

void
tls_context_free(struct tls_context *context)
{
  if (!context)
    return;
  if (context->started && !end_thread(context)) {
    pthread_detach(context->thread);
    return; /* it reads a file that hangs; the process's end frees this */
  }
  tls_credentials_unref(context->newest);
  keys_source_clear(&context->source);
  pthread_cond_destroy(&context->wake);
  pthread_mutex_destroy(&context->lock);
  free(context);
}

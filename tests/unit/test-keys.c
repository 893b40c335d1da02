/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Certificates and keys that are loaded again: when it is tried, what is said
 * of it, and what is in use meanwhile.  The files are of our own making.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "net/tls/context.h"
#include "net/tls/credentials.h"

#define PATIENCE_SEC 30

/* What the file holds, what became of it, and what was told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static const char *text;
static size_t text_len;
static int error;
static unsigned nreads, ntold;
static char told[1024];
static bool has_former;

static void
put(const char *bytes, size_t len, int sys)
{
  pthread_mutex_lock(&lock);
  text = bytes;
  text_len = len;
  error = sys;
  pthread_mutex_unlock(&lock);
}

static void
put_text(const char *string)
{
  put(string, strlen(string), 0);
}

static int
read_text(void *opaque, const char *path, unsigned char **bytes, size_t *n,
          struct vhd_error *err)
{
  (void) opaque;
  assert_string_equal(path, "/nowhere/keys");
  pthread_mutex_lock(&lock);
  int r = -error;
  if (r == 0) {
    *n = text_len;
    *bytes = text_len > 0 ? malloc(text_len) : NULL;
    if (text_len > 0) {
      assert_non_null(*bytes);
      memcpy(*bytes, text, text_len);
    }
  } else {
    err->code = VHD_SYSTEM;
    err->sys = error;
    strcpy(err->message, "what the reader says");
  }
  nreads++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return r;
}

static void
on_told(void *opaque, const char *trouble, bool former)
{
  (void) opaque;
  pthread_mutex_lock(&lock);
  assert_true(strlen(trouble) < sizeof told);
  has_former = former;
  strcpy(told, trouble);
  ntold++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

/* Waits until there were so many, and text was told last (if not NULL). */
static void
await_told(const unsigned *count, unsigned n, const char *last)
{
  struct timespec until;

  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_SEC;
  pthread_mutex_lock(&lock);
  while (*count < n || (last != NULL && strcmp(told, last) != 0)) {
    assert_int_equal(pthread_cond_timedwait(&changed, &lock, &until), 0);
  }
  pthread_mutex_unlock(&lock);
}

static void
await(const unsigned *count, unsigned n)
{
  await_told(count, n, NULL);
}

static struct tls_context *
begin(unsigned retry_sec)
{
  const struct tls_config config = {
    .psk = "/nowhere/keys",
    .read = read_text,
    .tell = on_told,
    .retry_sec = retry_sec,
  };
  struct tls_context *context;
  struct vhd_error err;

  nreads = ntold = 0;
  put_text("alice:00112233445566778899aabbccddeeff\n");
  assert_int_equal(tls_context_new(&config, &context, &err), 0);
  assert_int_equal(tls_context_start(context, &err), 0);
  await(&nreads, 2); /* it has looked whether it still may */
  assert_int_equal(ntold, 0);
  return context;
}

static struct tls_credentials *
newest(struct tls_context *context)
{
  struct tls_credentials *credentials = tls_context_credentials(context);

  tls_credentials_unref(credentials);
  return credentials;
}

static void
failure_is_told_again_and_again(void **state)
{
  struct tls_context *context = begin(1);
  struct tls_credentials *first = newest(context);

  (void) state;
  put(NULL, 0, EACCES);
  tls_context_reload(context);
  await_told(&ntold, 3, "what the reader says");
  assert_ptr_equal(newest(context), first);
  put_text("bob:00112233445566778899aabbccddeeff\n");
  await_told(&ntold, 4, "");
  assert_ptr_not_equal(newest(context), first);
  tls_context_free(context);
}

static void
what_is_wrong_leaves_the_former_in_use(void **state)
{
  static const char *const wrong[] = {
    "alice", "alice:", "alice:0", ":00", "alice:00\nalice:11\n",
  };
  static const char zero[] = "alice:00112233445566778899aabbccddeeff\0more";
  struct tls_context *context = begin(3600);
  struct tls_credentials *first = newest(context);

  (void) state;
  for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    put_text(wrong[i]);
    tls_context_reload(context);
    await(&ntold, i + 1);
    assert_ptr_equal(newest(context), first);
  }
  put(zero, sizeof zero - 1, 0);
  tls_context_reload(context);
  await(&ntold, 6);
  assert_non_null(strstr(told, "zero byte"));
  tls_context_free(context);
}

static void
no_keys_are_keys_once_there_were_some(void **state)
{
  struct tls_context *context = begin(3600);
  struct tls_credentials *first = newest(context);

  (void) state;
  put(NULL, 0, EACCES); /* so that what follows is told */
  tls_context_reload(context);
  await(&ntold, 1);
  put_text("");
  tls_context_reload(context);
  await(&ntold, 2);
  assert_string_equal(told, "");
  assert_ptr_not_equal(newest(context), first);
  assert_true(tls_credentials_have_no_psk(newest(context)));
  tls_context_free(context);
}

static void
the_first_must_be_good(void **state)
{
  const struct tls_config config = {
    .psk = "/nowhere/keys",
    .read = read_text,
  };
  struct tls_context *context;
  struct vhd_error err;

  (void) state;
  put_text("\n");
  assert_int_equal(tls_context_new(&config, &context, &err), -EINVAL);
  assert_non_null(strstr(err.message, "no key"));
  put(NULL, 0, ENOENT);
  assert_int_equal(tls_context_new(&config, &context, &err), -ENOENT);
  assert_string_equal(err.message, "what the reader says");
}

static void
who_continues_begins_without_good_keys(void **state)
{
  const struct tls_config config = {
    .psk = "/nowhere/keys",
    .read = read_text,
    .tell = on_told,
    .continues = true,
    .retry_sec = 3600,
  };
  struct tls_context *context;
  struct vhd_error err;

  (void) state;
  nreads = ntold = 0;
  put(NULL, 0, ENOENT);
  assert_int_equal(tls_context_new(&config, &context, &err), 0);
  assert_string_equal(told, "what the reader says");
  assert_false(has_former);
  assert_null(tls_context_credentials(context));
  assert_int_equal(tls_context_start(context, &err), 0);
  put_text("bob:00112233445566778899aabbccddeeff\n");
  tls_context_reload(context);
  await_told(&ntold, 2, "");
  assert_non_null(newest(context));
  tls_context_free(context);
  put_text("");
  assert_int_equal(tls_context_new(&config, &context, &err), 0);
  assert_int_equal(ntold, 2);
  assert_true(tls_credentials_have_no_psk(newest(context)));
  tls_context_free(context);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(failure_is_told_again_and_again),
    cmocka_unit_test(what_is_wrong_leaves_the_former_in_use),
    cmocka_unit_test(no_keys_are_keys_once_there_were_some),
    cmocka_unit_test(the_first_must_be_good),
    cmocka_unit_test(who_continues_begins_without_good_keys),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

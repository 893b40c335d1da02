/* SPDX-License-Identifier: BSD-2-Clause */
/* starve.c: see starve.h. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "fuzz/starve.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

static _Atomic(pthread_t) spared;
static atomic_bool starving;
static atomic_int passes, failures;

void
starve_begin(unsigned pass, unsigned fail)
{
  atomic_store(&spared, pthread_self());
  atomic_store(&passes, (int)pass);
  atomic_store(&failures, (int)fail);
  atomic_store(&starving, true);
}

void
starve_end(void)
{
  atomic_store(&starving, false);
}

static bool
fails(void)
{
  if (!atomic_load(&starving) ||
      pthread_equal(pthread_self(), atomic_load(&spared)) ||
      atomic_fetch_sub(&passes, 1) > 0 || atomic_fetch_sub(&failures, 1) <= 0)
    return false;
  errno = ENOMEM;
  return true;
}

void *
__wrap_malloc(size_t size)
{
  return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
  return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
  return fails() ? NULL : __real_realloc(p, size);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
  return fails() ? NULL : __real_reallocarray(p, n, size);
}

int
__wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
  return fails() ? ENOMEM : __real_posix_memalign(p, alignment, size);
}

char *
__wrap_strdup(const char *text)
{
  return fails() ? NULL : __real_strdup(text);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Preloaded into vhdkitd: each step of a TLS handshake takes SLOW_TLS_MSEC
 * milliseconds, as if keys were very long, on any machine.
 */
#include "config.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int SSL_do_handshake(void *ssl);

int
SSL_do_handshake(void *ssl)
{
  const char *text = getenv("SLOW_TLS_MSEC");
  const long msec = text ? strtol(text, NULL, 10) : 0;
  const struct timespec time = {
    .tv_sec = msec / 1000,
    .tv_nsec = msec % 1000 * 1000000,
  };
  int (*real)(void *);

  nanosleep(&time, NULL);
  *(void **)&real = dlsym(RTLD_NEXT, "SSL_do_handshake");
  return real(ssl);
}

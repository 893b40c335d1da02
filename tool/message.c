/* SPDX-License-Identifier: BSD-2-Clause */
/* message.c: see message.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "progress.h"
#include "text.h"

static const char *program = "vhdkit";
static const char *verb;
static int copy_fd = -1;

void
message_program(const char *name)
{
  program = name;
}

void
message_verb(const char *name)
{
  verb = name;
}

void
message_copy(int fd)
{
  copy_fd = fd;
}

static void say(const char *fmt, va_list ap, const char *why)
  __attribute__((format(printf, 1, 0)));

static void
say(const char *fmt, va_list ap, const char *why)
{
  char text[4096];

  vsnprintf(text, sizeof text, fmt, ap);
  text_sanitize(text);
  progress_clear();
  fflush(stdout);
  fprintf(stderr, "%s%s%s: %s%s%s\n", program, verb != NULL ? " " : "",
          verb != NULL ? verb : "", text, why != NULL ? ": " : "",
          why != NULL ? why : "");
  if (copy_fd >= 0)
    dprintf(copy_fd, "%s%s%s\n", text, why != NULL ? ": " : "",
            why != NULL ? why : "");
}

void
complain(const char *fmt, ...)
{
  va_list ap;

  va_start(ap, fmt);
  say(fmt, ap, NULL);
  va_end(ap);
}

void
complain_sys(int sys, const char *fmt, ...)
{
  va_list ap;

  exits_note(exits_of_errno(sys));
  va_start(ap, fmt);
  say(fmt, ap, strerror(sys));
  va_end(ap);
}

int
complain_as(int code, const char *fmt, ...)
{
  va_list ap;

  exits_note(code);
  va_start(ap, fmt);
  say(fmt, ap, NULL);
  va_end(ap);
  return EXIT_FAILED;
}

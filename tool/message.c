/* SPDX-License-Identifier: BSD-2-Clause */
/* message.c: see message.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "message.h"
#include "progress.h"
#include "text.h"

static const char *verb;

void
message_verb(const char *name)
{
  verb = name;
}

void
complain(const char *fmt, ...)
{
  char text[4096];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  text_sanitize(text);

  progress_clear();
  fflush(stdout);
  fprintf(stderr, "vhdkit%s%s: %s\n", verb != NULL ? " " : "",
          verb != NULL ? verb : "", text);
}

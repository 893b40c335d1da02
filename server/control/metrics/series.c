/* SPDX-License-Identifier: BSD-2-Clause */
/* series.c: see series.h. */
#include "config.h"

#include "control/metrics/series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void
series_begin(FILE *out, const char *name, const char *type, const char *help)
{
  fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
series_one(FILE *out, const char *name, const char *type, const char *help,
           uint64_t value)
{
  series_begin(out, name, type, help);
  fprintf(out, "%s %" PRIu64 "\n", name, value);
}

void
series_quote(FILE *out, const char *text)
{
  const size_t size = 4 * strlen(text) + 1;
  char *clean = malloc(size);

  fputc('"', out);
  if (clean) {
    log_sanitize(text, clean, (unsigned)size);
    for (const char *p = clean; *p != '\0'; p++) {
      if (*p == '"' || *p == '\\')
        fputc('\\', out);
      fputc(*p, out);
    }
  }
  fputc('"', out);
  free(clean);
}

void
series_labelled(FILE *out, const char *name, const char *label,
                const char *text, uint64_t value)
{
  fprintf(out, "%s{%s=", name, label);
  series_quote(out, text);
  fprintf(out, "} %" PRIu64 "\n", value);
}

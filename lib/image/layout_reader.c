/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_reader.c: see layout_reader.h: telling what was found, and the list of
 * what lies where: invariant 1 of layout.c. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arith.h"
#include "base/error.h"
#include "image/layout_reader.h"

#define LAYOUT_TEXT 1024 /* bytes of a sentence */

/* ----------------------------------------------------------------- telling */

/* The sentence, into text[LAYOUT_TEXT], and who hears it. */
static void vtell(struct layout_sink *sink, enum vhd_severity severity,
                  int code, char *text, const char *fmt, va_list args)
  __attribute__((format(printf, 5, 0)));

static void
vtell(struct layout_sink *sink, enum vhd_severity severity, int code,
      char *text, const char *fmt, va_list args)
{
  vsnprintf(text, LAYOUT_TEXT, fmt, args);
  if (sink)
    sink->found(sink, severity, code, text);
}

void
layout_tell(struct layout_sink *sink, enum vhd_severity severity, int code,
            const char *fmt, ...)
{
  char text[LAYOUT_TEXT];
  va_list args;

  va_start(args, fmt);
  vtell(sink, severity, code, text, fmt, args);
  va_end(args);
}

int
reader_report(struct reader *r, enum vhd_severity severity, int code,
              const char *fmt, ...)
{
  char text[LAYOUT_TEXT];
  va_list args;

  va_start(args, fmt);
  vtell(r->sink, severity, code, text, fmt, args);
  va_end(args);
  if (severity != VHD_BROKEN || (r->sink && r->sink->keep_going))
    return 0;
  return vhd_fail(r->err, code, EINVAL, "%s: %s", r->file->path, text);
}

/* ------------------------------------------------------------------ regions */

/* The metadata that lies over part of this stretch, or NULL. */
const struct region *
layout_region_over(const struct layout *l, uint64_t off, uint64_t len)
{
  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *o = &l->region[i];
    if (off < o->off + o->len && o->off < off + len)
      return o;
  }
  return NULL;
}

const struct region *
layout_locator_region(const struct layout *l, unsigned i)
{
  const struct locator *locator = &l->locator[i];
  const struct region *region = locator->code == LOCATOR_NONE
                                  ? NULL
                                  : layout_region_over(l, locator->off, 1);

  return region && region->off == locator->off ? region : NULL;
}

/* Invariant 1. */
int
reader_add_region(struct reader *r, const char *what, int code, uint64_t off,
                  uint64_t len)
{
  struct layout *l = r->l;
  int e;

  if (!range_fits(off, len, l->footer_off)) {
    e = reader_report(r, VHD_BROKEN, code,
                      "the %s (%" PRIu64 " bytes at %" PRIu64 ") does not lie "
                      "in the file, whose footer is at %" PRIu64, what, len,
                      off, l->footer_off);
    return e < 0 ? e : 1;
  }
  const struct region *o = layout_region_over(l, off, len);
  if (o) {
    e = reader_report(r, VHD_BROKEN, code,
                      "the %s (%" PRIu64 " bytes at %" PRIu64 ") overlaps the "
                      "%s (%" PRIu64 " bytes at %" PRIu64 ")", what, len, off,
                      o->what, o->len, o->off);
    return e < 0 ? e : 1;
  }
  l->region[l->nregion++] = (struct region){ off, len, what };
  return 0;
}

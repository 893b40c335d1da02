/* SPDX-License-Identifier: BSD-2-Clause */
/* check_report.c: counting and telling what a check finds; see check.h. */
#include "config.h"

#include "ops/check.h"

void
checker_hear(struct layout_sink *sink, enum vhd_severity severity, int code,
             const char *message)
{
  checker_tell((struct checker *)sink, severity, code, message);
}

void
checker_tell(struct checker *c, enum vhd_severity severity, int code,
             const char *message)
{
  struct vhd_finding finding = {
    .severity = severity,
    .code = code,
    .path = c->path,
    .message = message,
  };

  switch (severity) {
  case VHD_NOTE:
    c->result->notes++;
    break;
  case VHD_LEAKED:
    c->result->leaks++;
    break;
  case VHD_BROKEN:
    c->result->errors++;
    break;
  case VHD_DOUBTFUL:
    c->result->doubts++;
    break;
  }
  if (c->found != NULL)
    c->found(c->opaque, &finding);
}

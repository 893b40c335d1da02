/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx_parts.c: what the parts of the reader of VHDX files share; see
 * layout_vhdx_reader.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/error.h"
#include "image/layout_vhdx_reader.h"

int
vhdx_add_extent(struct vhdx_reader *v, uint64_t off, uint64_t len,
                const char *what)
{
  if (v->nextent == v->room) {
    size_t room = MAX(2 * v->room, 16);
    struct vhdx_extent *more = realloc(v->extent, room * sizeof *more);
    if (!more)
      return vhd_fail_sys(v->r.err, ENOMEM, "%s", v->r.l->path);
    v->extent = more;
    v->room = room;
  }
  v->extent[v->nextent++] = (struct vhdx_extent){
    off / VHDX_UNIT, DIV_ROUND_UP(len, VHDX_UNIT), what,
  };
  return 0;
}

void
layout_vhdx_free(struct layout_vhdx *x)
{
  if (!x)
    return;
  patched_free(&x->over);
  free(x->chunk);
  for (size_t i = 0; i < VHDX_PATHS; i++)
    free(x->path[i]);
  free(x->parent_name);
  free(x);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ending.c: see ending.h. */
#include "config.h"

#include "attach/ending.h"

#include "attach/folder.h"
#include "attach/session.h"
#include "interrupt.h"
#include "message.h"

int
ending_run(const char *name, bool mounted, bool force)
{
  struct folder folder;
  struct entry entry;
  struct attachment a;

  /* What has begun is carried through. */
  interrupt_catch();
  if (folder_open(&folder, false) < 0)
    return -1;
  int r = folder_take(&folder, name, &entry, &a);
  if (r == 0) {
    if (mounted && !a.folder) {
      complain("%s: is attached, not mounted; vhdkit detach takes it away",
               name);
      r = -1;
    } else
      r = session_end(&entry, &a, force);
    entry_close(&entry);
    attachment_free(&a);
  }
  folder_close(&folder);
  interrupt_obey();
  return r;
}

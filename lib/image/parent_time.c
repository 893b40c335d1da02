/* SPDX-License-Identifier: BSD-2-Clause */
/* parent_time.c: see parent_time.h. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arith.h"
#include "image/parent_time.h"
#include "store/times.h"

/* Within the second that is recorded, in which the child's file was made: after
 * that?  Only where one clock gave both times (parent_time_outlast()). */
static bool
changed_after_birth(const struct layer *child, const struct layer *parent,
                    struct file_time changed)
{
  struct file_times own;

  return child->file->dev == parent->file->dev &&
         file_times(child->file, &own) == 0 &&
         own.born.sec == changed.sec && own.born.nsec < changed.nsec;
}

void
parent_time_outlast(const struct layer *parent, int child)
{
  struct file_times times;

  if (file_times(parent->file, &times) == 0 &&
      !file_birth_tells(child, parent->file))
    file_time_outlast(times.changed.sec);
}

/* Some creators record when the parent was made, which says nothing. */
static bool
is_recorded(const struct layer *child, const struct layer *parent)
{
  uint32_t recorded = child->header.parent_timestamp;
  bool mtime = memcmp(child->footer.creator, "win ", 4) == 0;

  return recorded != 0 && (mtime || recorded != parent->footer.timestamp);
}

uint32_t
parent_time_record(int64_t changed)
{
  return (uint32_t)MIN(MAX(changed - VHD_EPOCH, 1), UINT32_MAX);
}

enum parent_time
parent_time(const struct layer *child, const struct layer *parent, char *text,
            size_t size)
{
  uint32_t recorded = child->header.parent_timestamp;
  struct file_times times;

  if (!is_recorded(child, parent) || file_times(parent->file, &times) < 0)
    return PARENT_AS_RECORDED;
  uint32_t changed = parent_time_record(times.changed.sec);
  if (changed < recorded) {
    snprintf(text, size, "the parent '%.200s' is older than recorded: perhaps "
             "it was put back from a copy, as it was at another time",
             parent->path);
    return PARENT_OLDER;
  }
  if (changed == recorded &&
      !changed_after_birth(child, parent, times.changed))
    return PARENT_AS_RECORDED;
  snprintf(text, size, "the parent '%.200s' was changed after this child was "
           "made: what the child takes from it may be wrong.  If its content "
           "is what it was (it was copied, say), give it back its time: "
           "touch -d @%" PRId64, parent->path, (int64_t)recorded + VHD_EPOCH);
  return PARENT_CHANGED;
}

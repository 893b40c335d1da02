/* SPDX-License-Identifier: BSD-2-Clause */
/* output.c: vhd_output_open() and its sisters: a file of the caller's making
 * that takes its place among images with the care that images are due.  A thin
 * cover of store/newfile.h; owns it.  One thread an output. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "ops/children.h"
#include "store/newfile.h"
#include "vhdkit.h"

struct vhd_output {
  struct newfile file;
};

int
vhd_output_open(const char *path, uint32_t flags, struct vhd_output **output,
                struct vhd_error *err)
{
  if (flags & ~(uint32_t)VHD_CREATE_OVERWRITE)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL, "%s: unknown flags", path);

  struct vhd_output *out = malloc(sizeof *out);
  if (out == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  int r = newfile_open(&out->file, path, flags & VHD_CREATE_OVERWRITE, err);
  if (r < 0) {
    free(out);
    return r;
  }
  if (out->file.old != NULL)
    r = children_refuse_loss(out->file.old, err);
  if (r < 0)
    vhd_output_close(out);
  else
    *output = out;
  return r;
}

int
vhd_output_fd(const struct vhd_output *output)
{
  return output->file.fd;
}

int
vhd_output_commit(struct vhd_output *output, struct vhd_error *err)
{
  return newfile_commit(&output->file, err);
}

void
vhd_output_close(struct vhd_output *output)
{
  if (output == NULL)
    return;
  newfile_close(&output->file);
  free(output);
}

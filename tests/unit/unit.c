/* SPDX-License-Identifier: BSD-2-Clause */
/* unit.c: what the unit tests share. */
#include "config.h"

#include <sys/wait.h>

#include "unit/unit.h"

/* Each whose own copy is sound; NULL at the end. */
const char *const unit_images[] = {
  "dfvfs-fat-differential", "govhd-qemu",
  "govhd-vbox",             "govhd-win8-child",
  "govhd-win8.1-1GB",       "govhd-win8",
  "govhd-xapi",             "nodevhd-dynamic",
  "qemu72-force",           "vhdtool-win7dyn",
  "xen-base",               "xen-child",
  "xen-grandchild",         NULL,
};

uint32_t
unit_random(void)
{
  static uint64_t state = 0x9e3779b97f4a7c15;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static FILE *
open_image(const char *name)
{
  const char *folder = getenv("VHDKIT_IMAGES");
  assert_non_null(folder);
  char command[1024];
  snprintf(command, sizeof command, "exec xz -dc -- '%s/%s.vhd.xz'", folder,
           name);
  FILE *pipe = popen(command, "re");
  assert_non_null(pipe);
  return pipe;
}

static void
close_image(FILE *pipe, const char *name)
{
  if (pclose(pipe) != 0)
    fail_msg("%s: xz failed", name);
}

uint8_t *
unit_image(const char *name, size_t *size)
{
  FILE *pipe = open_image(name);
  uint8_t *data = NULL;
  size_t n = 1, room = 0;
  for (*size = 0; n > 0; *size += n) {
    if (*size == room) {
      room = room * 2 + 65536;
      data = realloc(data, room);
      assert_non_null(data);
    }
    n = fread(data + *size, 1, room - *size, pipe);
  }
  close_image(pipe, name);
  return data;
}

void
unit_image_file(const char *name, const char *path)
{
  FILE *pipe = open_image(name);
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  char buf[65536];
  size_t n;
  while ((n = fread(buf, 1, sizeof buf, pipe)) > 0)
    assert_int_equal(fwrite(buf, 1, n, file), n);
  assert_int_equal(fclose(file), 0);
  close_image(pipe, name);
}

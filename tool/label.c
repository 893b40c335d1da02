/* SPDX-License-Identifier: BSD-2-Clause */
/* label.c: see label.h.  libfdisk writes the table to a file in memory that is
 * as long as the disk, and all of it but the table is a hole; it is told of no
 * sector but those of 512 bytes.  What the table takes is known by its kind. */
#include "config.h"

#include <errno.h>
#include <libfdisk/libfdisk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "label.h"
#include "message.h"

#define SECTOR 512
/* A header and 128 entries of 128 bytes; before the first lies a sector that
 * says that the disk is not empty. */
#define GPT_SECTORS 33
#define MBR_MOST ((uint64_t)UINT32_MAX * SECTOR)

/* 0 or -errno. */
static int
write_table(struct fdisk_context *fdisk, int fd, enum label_kind kind)
{
  int r = fdisk_disable_dialogs(fdisk, 1);

  if (r == 0)
    r = fdisk_save_user_sector_size(fdisk, SECTOR, SECTOR);
  if (r == 0)
    r = fdisk_assign_device_by_fd(fdisk, fd, "disk", 0);
  if (r == 0)
    r = fdisk_create_disklabel(fdisk, kind == LABEL_GPT ? "gpt" : "dos");
  if (r == 0)
    r = fdisk_write_disklabel(fdisk);
  return r;
}

static int
take(int fd, struct vhd_content *part, uint64_t off, size_t len)
{
  void *buf = malloc(len);

  *part = (struct vhd_content){ .off = off, .len = len, .buf = buf };
  if (buf == NULL)
    return -ENOMEM;
  return pread(fd, buf, len, (off_t)off) == (ssize_t)len ? 0 : -EIO;
}

static int
take_all(int fd, enum label_kind kind, uint64_t size,
         struct vhd_content parts[LABEL_PARTS], size_t *n)
{
  const size_t len = GPT_SECTORS * SECTOR;

  *n = kind == LABEL_GPT ? 2 : 1;
  if (kind == LABEL_MBR)
    return take(fd, &parts[0], 0, SECTOR);
  int r = take(fd, &parts[0], 0, SECTOR + len);
  return r < 0 ? r : take(fd, &parts[1], size - len, len);
}

static int
make(int fd, enum label_kind kind, uint64_t size,
     struct vhd_content parts[LABEL_PARTS], size_t *n)
{
  struct fdisk_context *fdisk = fdisk_new_context();

  if (fdisk == NULL)
    return -ENOMEM;
  int r = ftruncate(fd, (off_t)size) < 0 ? -errno
                                         : write_table(fdisk, fd, kind);
  fdisk_unref_context(fdisk);
  return r < 0 ? r : take_all(fd, kind, size, parts, n);
}

void
label_free(struct vhd_content parts[LABEL_PARTS], size_t n)
{
  for (size_t i = 0; i < n; i++)
    free((void *)(uintptr_t)parts[i].buf);
}

int
label_make(enum label_kind kind, uint64_t size,
           struct vhd_content parts[LABEL_PARTS], size_t *n)
{
  /* As large as two tables and what is between them, at least. */
  if (kind == LABEL_GPT && size < (uint64_t)4 << 20) {
    complain_usage("--label gpt: the disk needs 4 MiB at least");
    return -1;
  }
  if (kind == LABEL_MBR && size > MBR_MOST) {
    complain_usage("--label mbr: such a table reaches no further than 2 TiB; "
                   "--label gpt does");
    return -1;
  }
  const int fd = memfd_create("vhdkit-label", MFD_CLOEXEC);
  const int r = fd < 0 ? -errno : make(fd, kind, size, parts, n);
  if (fd >= 0)
    close(fd);
  if (r < 0)
    complain_sys(-r, "cannot make the partition table");
  return r < 0 ? -1 : 0;
}

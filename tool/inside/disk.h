/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: what a disk holds, as far as libblkid knows: its partitions, and what
 * is in each.  A plain struct, so that one process can look and another be told
 * what it saw.  Texts come from the disk: they may hold anything. */
#ifndef TOOL_INSIDE_DISK_H
#define TOOL_INSIDE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_PARTS 256

/* clang-format off */
struct disk_part {
  unsigned number;  /* as the kernel counts them; 0: the disk itself */
  uint64_t off, len;
  char type[40];    /* what the table says it is for: "0x83", or a UUID; "" */
  char name[80];    /* in the table; or "" */
  char content[32]; /* "ext4", "ntfs", "LVM2_member"; "": not known */
  bool filesystem;  /* that is a file system */
  bool extended;    /* it is there to have others in it */
  char label[80], uuid[40]; /* of what it holds; or "" */
};
/* clang-format on */

struct disk {
  char table[16]; /* "gpt", "dos"; "": it has none */
  unsigned n;
  struct disk_part part[DISK_PARTS]; /* without a table: the disk itself */
};

/* Was vhdkit built with libblkid? */
bool disk_can_look(void);

/* Looks at a disk of so many bytes.  0, or -errno: -ENOTSUP where it was built
 * without. */
int disk_look(int fd, uint64_t size, struct disk *disk);

/* The same for what is in one part: the file is that part, and no more. */
int disk_look_at_part(int fd, struct disk_part *part);

/* The part of that number; NULL where there is none. */
const struct disk_part *disk_part(const struct disk *disk, unsigned number);

#endif

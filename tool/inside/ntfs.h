/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs.h: what an NTFS does not use.  A reader of our own for the little that
 * takes:
 *
 *   ntfs_record.c   the boot sector; records of the master file table (MFT) and
 *                   the attributes in them
 *   ntfs_stream.c   the clusters of an attribute, its bytes
 *   ntfs_state.c    may the bitmap be believed?
 *   ntfs_names.c    is the root folder's hiberfil.sys that of a hibernated one?
 *   ntfs.c          the bitmap
 *
 * Everything is hostile: each length is held against what it lies in, each
 * cluster against the volume, and each loop ends with what it goes through. */
#ifndef TOOL_INSIDE_NTFS_H
#define TOOL_INSIDE_NTFS_H

#include "inside/usage.h"

extern const struct usage_reader ntfs_reader;

/* ------------------------------------------------------- among these files */

#define NTFS_SECTOR 512U        /* records are torn and mended by these */
#define NTFS_RECORD_MOST 65536U /* bytes */
#define NTFS_CLUSTER_MOST (2U << 20)
#define NTFS_RUNS_MOST (1U << 20)

/* What Windows does about it, which alone knows all of NTFS. */
#define NTFS_CHKDSK "chkdsk /f in Windows mends that"

enum ntfs_record {
  NTFS_MFT = 0,
  NTFS_LOG = 2,
  NTFS_VOLUME = 3,
  NTFS_ROOT = 5,
  NTFS_BITMAP = 6,
};

enum ntfs_type {
  NTFS_LIST = 0x20,
  NTFS_INFORMATION = 0x70,
  NTFS_DATA = 0x80,
  NTFS_INDEX_ROOT = 0x90,
  NTFS_INDEX = 0xa0,
  NTFS_INDEX_USED = 0xb0,
};

#define NTFS_BOOT 512U

/* What its first sector says. */
struct ntfs_boot {
  uint64_t sectors, cluster; /* how many there are, the bytes of a cluster */
  uint32_t sector;           /* and of a sector */
  uint32_t record;           /* of a record of the MFT, */
  uint64_t mft_lcn;          /* and in which cluster the first begins */
};

/* False: it is none, or odd. */
bool ntfs_parse_boot(const uint8_t boot[NTFS_BOOT], struct ntfs_boot *parsed);

struct ntfs_run {
  uint64_t vcn, lcn, len; /* clusters; vcn: counted in the stream */
};

/* The bytes of an attribute. */
struct ntfs_stream {
  struct ntfs_run *run;
  size_t n, room;
  uint8_t *resident; /* the bytes themselves, or NULL */
  uint64_t size;
};

struct ntfs {
  uint64_t clusters, cluster; /* how many there are, and their bytes */
  uint32_t record;
  uint64_t mft_lcn;
  struct ntfs_stream mft, bitmap, log;
  uint8_t *buf; /* a record */
};

/* An attribute in a record. */
struct ntfs_attr {
  uint32_t type;
  const uint8_t *at;   /* all of it */
  uint32_t len;
  bool nonresident;
  const uint8_t *name; /* UTF-16 */
  unsigned name_len;
  const uint8_t *value; /* resident: what it holds; else how its clusters lie */
  uint32_t value_len;
};

/* Reads the boot sector. */
int ntfs_read_boot(struct usage *usage, struct ntfs *fs);

/* Makes sense of a record of size bytes that begins with these four letters:
 * its sectors are mended.  -EUCLEAN where they do not belong together. */
int ntfs_mend_record(uint8_t *record, uint32_t size, const char *magic);

/* Reads a record of the MFT that is in use; base: it is that of its file. */
int ntfs_read_record(struct usage *usage, uint64_t number, bool base,
                     uint8_t *record);

/* The next attribute after *attr, whose .at is NULL at first.  1, 0 at the end,
 * or -EUCLEAN. */
int ntfs_next_attr(const uint8_t *record, uint32_t size,
                   struct ntfs_attr *attr);

/* The first of that type with that name of ASCII.  As above. */
int ntfs_find_attr(const uint8_t *record, uint32_t size, uint32_t type,
                   const char *name, struct ntfs_attr *attr);

bool ntfs_has_name(const uint8_t *utf16, unsigned len, const char *name);

/* An attribute of a file, in whatever records it is told of.  1, 0 where the
 * file has none, or -errno. */
int ntfs_open_stream(struct usage *usage, uint64_t file, uint32_t type,
                     const char *name, struct ntfs_stream *stream);
/* From the record of the MFT itself, before it can be read. */
int ntfs_open_mft(struct usage *usage);
void ntfs_close_stream(struct ntfs_stream *stream);
/* -EUCLEAN beyond its end. */
int ntfs_read_stream(struct usage *usage, const struct ntfs_stream *stream,
                     void *buf, size_t len, uint64_t off);

/* Refuses what was not unmounted in order. */
int ntfs_check_state(struct usage *usage);
/* Refuses one whose Windows sleeps. */
int ntfs_check_hibernation(struct usage *usage);

#endif

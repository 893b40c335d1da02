/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdkit_manage.h: the part of vhdkit.h that makes, checks and changes whole
 * images: what is done to files, not to the disks in them.  Programs include
 * vhdkit.h, whose conventions hold here too. */
#ifndef VHDKIT_MANAGE_H
#define VHDKIT_MANAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdkit_image.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* ------------------------------------------------------------- operations */

enum vhd_create_flags {
  VHD_CREATE_FULL = 1 << 0,      /* preallocate everything */
  VHD_CREATE_OVERWRITE = 1 << 1, /* replace an existing regular file */
  VHD_CREATE_ABSOLUTE = 1 << 2,  /* child: record no relative path */
};

/* What a part of a disk holds: whole sectors. */
struct vhd_content {
  uint64_t off;
  size_t len;
  const void *buf;
  uint64_t reserved[2];
};

struct vhd_create_options {
  enum vhd_type type;   /* 0: dynamic, or differencing where parent is set */
  uint64_t size;        /* multiple of 512; 0 with parent: the parent's */
  uint32_t block_size;  /* 0: 2 MiB, or the parent's */
  const char *parent;   /* path of the parent: makes a differencing image */
  uint32_t flags;       /* enum vhd_create_flags */
  /* The parent's own parents are looked for as in vhd_open(). */
  const char *const *roots;
  size_t nroots;
  struct vhd_progress progress;
  /* What the disk holds from the beginning, in order; the rest is zeros, or the
   * parent's. */
  const struct vhd_content *content;
  size_t ncontent;
  uint64_t reserved[6];
};

/* Creates an image; either the whole image is there afterwards, durable, or
 * nothing is. */
int vhd_create(const char *path, const struct vhd_create_options *opt,
               struct vhd_error *err);

enum vhd_convert_flags {
  /* Set aside all space, and leave no holes: Windows takes no sparse file.  Of
   * a dynamic target those blocks that have data. */
  VHD_CONVERT_FULL = 1 << 0,
  VHD_CONVERT_OVERWRITE = 1 << 1, /* replace an existing regular file */
  /* Fixed, and of a size that Azure takes: whole MiB, at least 20. */
  VHD_CONVERT_AZURE = 1 << 2,
};

struct vhd_convert_options {
  struct vhd_open_options open; /* the source; VHD_OPEN_RAW: it is raw */
  enum vhd_type type;  /* of the target: 0 or dynamic, fixed, raw */
  uint64_t size;       /* not below the source's; 0: that */
  uint32_t block_size; /* dynamic; 0: 2 MiB */
  uint32_t flags;      /* enum vhd_convert_flags */
  struct vhd_progress progress;
  /* The content goes there, raw, and the target is what messages call it; it
   * must be as large at least.  NULL: to a new file. */
  const struct vhd_disk *disk;
  uint64_t reserved[7];
};

/* Makes a new image or raw file with the content of a disk, parents and all.
 * What holds no data in the source, or only zeros, takes no space there.  The
 * whole is there afterwards, durable, or nothing is.  The source is held as
 * its readers hold it, so that neither it nor a parent of it can be the
 * target.
 *
 * To a disk it writes in place: one that is not known to be all zeros takes
 * VHD_CONVERT_OVERWRITE, and what fails half way leaves some of each.  What it
 * has more than the source becomes zeros. */
int vhd_convert(const char *source, const char *target,
                const struct vhd_convert_options *opt, struct vhd_error *err);

struct vhd_measure_result {
  uint64_t size;            /* of the disk that the target would have */
  uint64_t required;        /* bytes of its file; raw and fixed: with data */
  uint64_t fully_allocated; /* the most that it could come to */
  uint64_t reserved[4];
};

/* How large the target of a conversion would be, from the source's metadata
 * alone: zeros that have space count as data. */
int vhd_measure(const char *source, const struct vhd_convert_options *opt,
                struct vhd_measure_result *result, struct vhd_error *err);

enum vhd_compare_flags {
  VHD_COMPARE_SIZES = 1 << 0, /* disks of different sizes differ; without it,
                               * what one has more must be zeros */
};

struct vhd_compare_options {
  struct vhd_open_options open[2];
  uint32_t flags; /* enum vhd_compare_flags */
  struct vhd_progress progress;
  uint64_t reserved[8];
};

enum vhd_difference {
  VHD_DIFFER_NOT,
  VHD_DIFFER_CONTENT,
  VHD_DIFFER_SIZE,
};

struct vhd_compare_result {
  enum vhd_difference differ;
  uint64_t offset; /* of the first byte that differs */
  uint64_t size[2];
  uint64_t reserved[4];
};

/* Compares the content of two disks of any kind.  0: could; see *result. */
int vhd_compare(const char *one, const char *other,
                const struct vhd_compare_options *opt,
                struct vhd_compare_result *result, struct vhd_error *err);

/* A file of the caller's, of any content, that appears under its name whole
 * and durable, or not at all.  One thread. */
struct vhd_output;

/* Begins one.  A file of that name is refused; with VHD_CREATE_OVERWRITE (the
 * only flag) it is replaced at the commit, and until then stays as it is, and
 * locked: it must be a regular file that nobody has in use, or the error is
 * VHD_BUSY and names who has. */
int vhd_output_open(const char *path, uint32_t flags,
                    struct vhd_output **output, struct vhd_error *err);
/* The file, empty, to read and write; it stays the output's. */
int vhd_output_fd(const struct vhd_output *output);
/* Makes the file durable and gives it its name.  After a failure nothing has
 * changed, unless it was the very last step, the sync of the folder. */
int vhd_output_commit(struct vhd_output *output, struct vhd_error *err);
/* Frees it; what was not committed vanishes.  NULL is none. */
void vhd_output_close(struct vhd_output *output);

/* ------------------------------------------------------------------ chains */

/* Options of what is done to images of a chain. */
struct vhd_chain_options {
  struct vhd_open_options open; /* .flags must be 0 */
  uint32_t flags; /* of each function; 0 where none are named */
  struct vhd_progress progress; /* where it takes long */
  uint64_t reserved[8];
};

/* Freezes the image as it is, under the free name `frozen` of the same file
 * system, and puts a new, empty child of it in its place, by one rename.  At
 * each moment there is an image of that name, of the same content.  One that
 * has children beside it is refused: they look for it by its name. */
int vhd_snapshot(const char *path, const char *frozen,
                 const struct vhd_chain_options *opt, struct vhd_error *err);

/* Puts an empty child of the same parent in the place of a child, by one
 * rename: what was written to that is gone, all of it or, after a crash,
 * nothing. */
int vhd_revert(const char *path, const struct vhd_chain_options *opt,
               struct vhd_error *err);

enum vhd_rebase_flags {
  VHD_REBASE_COPY = 1 << 0,      /* what differs is copied into the child */
  VHD_REBASE_UNCHECKED = 1 << 1, /* nothing is compared: the child's disk
                                  * becomes what the new parent makes of it */
};

/* Gives a child another parent, or the same in another place.  Where the child
 * holds nothing, the two must hold the same, or it is left alone (VHD_STATE);
 * see the flags. */
int vhd_rebase(const char *path, const char *parent,
               const struct vhd_chain_options *opt, struct vhd_error *err);

enum vhd_merge_flags {
  /* Do it though the parent has other children, which become worthless. */
  VHD_MERGE_SPOIL_OTHERS = 1 << 0,
};

/* What a child holds becomes its parent's, and the child goes; its own children
 * are its parent's from then on.  What is interrupted, by whatever, loses
 * nothing and is finished by the same call. */
int vhd_merge(const char *path, const struct vhd_chain_options *opt,
              struct vhd_error *err);

enum vhd_list_flags {
  VHD_LIST_RECURSIVE = 1 << 0, /* folders in the folder too; no links to some */
};

struct vhd_list_options {
  struct vhd_open_options open; /* .flags must be 0; roots: where none are given
                                 * parents may lie below the folder */
  uint32_t flags;               /* enum vhd_list_flags */
  uint32_t padding;
  uint64_t reserved[8];
};

/* Of an image; strings are valid during the call. */
struct vhd_list_item {
  const char *path;
  enum vhd_type type;      /* 0: it could not be read, see .code */
  int code;                /* enum vhd_code: what is wrong with it or with what
                            * it says of its parent; VHD_OK: nothing is */
  const char *message;     /* the same as a sentence; or NULL */
  uint64_t size;           /* of the virtual disk */
  uint64_t file_size, actual_size; /* actual: what it takes of the host's */
  uint64_t device, inode;
  char id_text[37];
  char parent_id_text[37]; /* "" where it has no parent */
  const char *parent_name; /* as stored; or NULL */
  const char *parent;      /* where its parent was found; or NULL */
  uint64_t parent_device, parent_inode;
  enum vhd_holders held;   /* by others, now */
  const char *holder;      /* "vhdkitd (pid 123)"; NULL: nobody */
  enum vhd_format format;
  uint64_t reserved[7];
};

/* Calls found for each VHD or VHDX in a folder, or for the one at path, until
 * it returns not 0, in no order.  Files in a folder that are certainly neither,
 * or are still being made, are left out; one that is damaged, or cannot be
 * read, is told of and hides none of the others.  What found returned, 0, or
 * -errno. */
int vhd_list(const char *path, const struct vhd_list_options *opt,
             int (*found)(void *opaque, const struct vhd_list_item *item),
             void *opaque, struct vhd_error *err);

enum vhd_severity {
  VHD_NOTE,   /* unusual, harmless */
  VHD_LEAKED, /* space that nothing refers to */
  VHD_BROKEN,
  VHD_DOUBTFUL, /* perhaps wrong, and nothing could tell: the parent has been
                 * changed, as far as its file's time says */
};

struct vhd_finding {
  enum vhd_severity severity;
  int code;            /* enum vhd_code */
  const char *path;    /* of the file it is in */
  const char *message; /* valid during the call */
};

struct vhd_check_result {
  uint32_t notes, leaks, errors;
  uint64_t leaked; /* bytes */
  uint64_t nblk_allocated;
  uint32_t doubts;
  uint64_t reserved[8];
};

/* The options of what is done with an image that is there: how it and its
 * parents are opened, and how far it is. */
struct vhd_check_options {
  struct vhd_open_options open;
  struct vhd_progress progress;
  uint64_t reserved[8];
};

/* Looks at everything that can be wrong with an image and its chain, and
 * calls found for each finding.  0: could look; see *result.  Negative errno:
 * could not. */
int vhd_check(const char *path, const struct vhd_check_options *opt,
              void (*found)(void *opaque, const struct vhd_finding *finding),
              void *opaque, struct vhd_check_result *result,
              struct vhd_error *err);

/* ----------------------------------------------- changing images in place */

struct vhd_compact_options {
  struct vhd_open_options open;
  struct vhd_progress progress;
  /* Or NULL: what nobody counts on, because the file systems inside do not use
   * it.  Tells of the first such stretch of the disk that reaches beyond
   * `from`; the image is open and locked, and may be read meanwhile.  1; 0:
   * there is none; or -errno and *err, which ends it before anything has
   * changed if that is what the first call returns. */
  int (*next_free)(void *opaque, struct vhd_image *image, uint64_t from,
                   uint64_t *off, uint64_t *len, struct vhd_error *err);
  void *opaque;
  uint64_t reserved[6];
};

struct vhd_compact_result {
  uint64_t file_size_before, file_size; /* bytes */
  uint64_t nblk_dropped; /* blocks without which the disk reads the same */
  uint64_t nblk_moved;
  uint64_t reserved[8];
};

/* Makes the file of a dynamic or differencing image as short as may be: blocks
 * of zeros lose their place, in a child only where its ancestors read as zeros
 * too or it says nothing; then blocks are moved from the end into free places,
 * and the file is cut.  What the disk reads as stays the same, and so does the
 * time of the file's last change, which children go by.  With .next_free,
 * blocks of which all is free or zeros go too, if what is free reads as zeros
 * afterwards: never does what an ancestor holds come to show; an image with
 * children beside it is refused then (VHD_STATE).  Whenever it ends, be
 * it by a power cut, the image is sound, and another call goes on.  result may
 * be NULL; it is filled also on failure. */
int vhd_compact(const char *path, const struct vhd_compact_options *opt,
                struct vhd_compact_result *result, struct vhd_error *err);

enum vhd_resize_flags {
  VHD_RESIZE_SHRINK = 1 << 0,   /* it may become smaller */
  VHD_RESIZE_FULL = 1 << 1,     /* fixed: all new space is set aside */
  VHD_RESIZE_CHILDREN = 1 << 2, /* it may have children */
};

struct vhd_resize_options {
  struct vhd_open_options open;
  struct vhd_progress progress;
  uint32_t flags; /* enum vhd_resize_flags */
  uint32_t padding;
  uint64_t reserved[8];
};

/* Gives the disk another size, a multiple of 512.  What is new reads as zeros.
 * What goes must read as zeros, and may only go where the flags say so.  The
 * image is as before, or as after, whenever it ends; though blocks of it may
 * have been moved out of the way. */
int vhd_resize(const char *path, uint64_t size,
               const struct vhd_resize_options *opt, struct vhd_error *err);

enum vhd_repair_flags {
  VHD_REPAIR_UNDO = 1 << 0, /* puts back what a repair has changed */
};

struct vhd_repair_options {
  struct vhd_open_options open; /* how it is looked for what is to come first */
  struct vhd_progress progress;
  uint32_t flags; /* enum vhd_repair_flags */
  uint32_t padding;
  uint64_t reserved[8];
};

struct vhd_repair_result {
  uint32_t repaired, left; /* faults; left: those that the reader stops at */
  uint64_t reserved[8];
};

/* Makes good what an image says of itself where the rest of it tells what it
 * should be, and calls found for each; what it changes goes into the new file
 * PATH.vhdkit-undo before.  No block is guessed at, no entry of a table that
 * leads to one cleared. */
int vhd_repair(const char *path, const struct vhd_repair_options *opt,
               void (*found)(void *opaque, const struct vhd_finding *finding),
               void *opaque, struct vhd_repair_result *result,
               struct vhd_error *err);

enum vhd_set_flags {
  VHD_SET_ID = 1 << 0,       /* .id, or a new one */
  VHD_SET_VERSION = 1 << 1,  /* .creator_version */
  VHD_SET_GEOMETRY = 1 << 2, /* .cylinders and so on; all 0: by the size */
  VHD_SET_TIME = 1 << 3,     /* .timestamp */
  VHD_SET_CHILDREN = 1 << 4, /* id and time: it may have children */
};

struct vhd_set_options {
  struct vhd_open_options open; /* .flags must be 0 */
  uint32_t flags;               /* enum vhd_set_flags */
  uint32_t creator_version;     /* major << 16 | minor */
  const char *id;               /* a UUID; NULL: a new one */
  const char *creator, *creator_os; /* 1 to 4 characters; NULL: as it is */
  const char *parent; /* where its parent lies now; NULL: as it is */
  int64_t timestamp;  /* seconds since 1970 */
  uint32_t cylinders, heads, sectors_per_track;
  uint32_t padding;
  uint64_t reserved[8];
};

/* Changes what an image says of itself beside its disk, all of it or nothing.
 * The file keeps the time of its last change. */
int vhd_set(const char *path, const struct vhd_set_options *opt,
            struct vhd_error *err);

enum vhd_relink_flags {
  VHD_RELINK_RECURSIVE = 1 << 0, /* folders in the folders too */
  VHD_RELINK_DRY_RUN = 1 << 1,   /* nothing is changed */
};

struct vhd_relink_options {
  struct vhd_open_options open; /* .flags must be 0 */
  struct vhd_progress progress;
  const char *const *parents; /* images that go before others of their id */
  size_t nparents;
  uint32_t flags; /* enum vhd_relink_flags */
  uint32_t padding;
  uint64_t reserved[8];
};

/* A child whose parent was not where it says, or what could not be read; valid
 * during the call. */
struct vhd_relink_item {
  const char *path;
  const char *parent;  /* where it lies; NULL: not found, or not the only one */
  int code;            /* enum vhd_code; VHD_OK: the child says so now */
  const char *message; /* else why not */
  uint64_t reserved[4];
};

struct vhd_relink_result {
  uint32_t relinked, left;
  uint64_t reserved[8];
};

/* Has each child in the folders whose parent is not where it says name the
 * image in them that has its parent's id, and calls found for each.  Each is
 * changed wholly or not at all, and another call goes on, which first finishes
 * what was interrupted.  What cannot be read is told of, and counts as left.
 * result may be NULL. */
int vhd_relink(const char *const *folders, size_t n,
               const struct vhd_relink_options *opt,
               void (*found)(void *opaque, const struct vhd_relink_item *item),
               void *opaque, struct vhd_relink_result *result,
               struct vhd_error *err);

/* ------------------------------------------------------- damaged images */

/* What there is of a part of an image. */
enum vhd_part {
  VHD_PART_MISSING,
  VHD_PART_BAD,     /* it is there, and damaged; what makes sense counts */
  VHD_PART_GOOD,    /* footer, header: by its checksum; table: by where its
                     * entries lead to */
  VHD_PART_GUESSED, /* made up from what else is there */
};

/* What there is of an image that need not be sound. */
struct vhd_remains {
  enum vhd_type type;     /* as far as it is known */
  enum vhd_part end_footer, start_footer, header, table; /* of what has them */
  bool sure;              /* what says which block lies where is proven */
  bool size_guessed;
  uint64_t size;          /* of the disk */
  uint64_t file_size;
  uint64_t table_offset;
  uint32_t block_size;    /* 0: it has none */
  uint32_t nblk;          /* of the disk; all of the following come to that: */
  uint32_t nblk_unused;   /* the table says that there are none */
  uint32_t nblk_placed;   /* lie where the table says, and nothing else does */
  uint32_t nblk_shared;   /* something else claims part of their place */
  uint32_t nblk_found;    /* lost to the table, and found by their place */
  uint32_t nblk_lost;     /* to the table, or with the file's end */
  uint32_t nstray;        /* blocks in the file that the table does not lead to,
                           * the found ones among them */
  uint64_t reserved[8];
};

/* Looks at what there is, and calls found for each fault, and for each guess
 * that was made in its place.  .open.flags: VHD_OPEN_UNLOCKED alone.  0: could
 * look; an error where the file is of another known format. */
int vhd_examine(const char *path, const struct vhd_check_options *opt,
                void (*found)(void *opaque, const struct vhd_finding *finding),
                void *opaque, struct vhd_remains *remains,
                struct vhd_error *err);

enum vhd_rescued {
  VHD_RESCUED_GOOD,     /* what the disk has there, proven as far as can be */
  VHD_RESCUED_DOUBTFUL, /* perhaps */
  VHD_RESCUED_LOST,     /* zeros in the place of what is not there */
};

enum vhd_rescue_flags {
  VHD_RESCUE_FULL = 1 << 0,      /* as VHD_CONVERT_FULL */
  VHD_RESCUE_OVERWRITE = 1 << 1, /* replace an existing regular file */
  VHD_RESCUE_PROVEN = 1 << 2,    /* zeros in the place of what is doubtful */
};

struct vhd_rescue_options {
  struct vhd_open_options open; /* .flags: VHD_OPEN_UNLOCKED alone */
  enum vhd_type type;  /* of the target: 0 or dynamic, fixed, raw */
  uint32_t block_size; /* dynamic; 0: 2 MiB */
  uint32_t flags;      /* enum vhd_rescue_flags */
  uint32_t padding;
  /* For each fault and guess; or NULL. */
  void (*found)(void *opaque, const struct vhd_finding *finding);
  /* For each stretch of the disk, from its beginning to its end, none of the
   * same state as the one before; or NULL.  Not 0 ends it with that. */
  int (*state)(void *opaque, uint64_t off, uint64_t len,
               enum vhd_rescued state);
  void *opaque; /* of both */
  struct vhd_progress progress;
  uint64_t reserved[8];
};

struct vhd_rescue_result {
  uint64_t size;                 /* of the disk */
  uint64_t good, doubtful, lost; /* bytes, which come to that */
  uint64_t reserved[8];
};

/* Makes a new image or raw file of what can be read of a damaged image, and of
 * its parents, which must be sound.  The image itself is only read, and read
 * errors end nothing.  The whole is there afterwards, durable, or nothing is.
 * result may be NULL. */
int vhd_rescue(const char *path, const char *target,
               const struct vhd_rescue_options *opt,
               struct vhd_rescue_result *result, struct vhd_error *err);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif

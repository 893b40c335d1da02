/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdkit_image.h: the part of vhdkit.h that opens an image and reads, writes
 * and maps the disk in it; and what all of the library's interface speaks of.
 * Programs include vhdkit.h, which says what holds everywhere. */
#ifndef VHDKIT_IMAGE_H
#define VHDKIT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* These names, and those of vhdkit_manage.h, are all that the library
 * exports. */
#pragma GCC visibility push(default)

#define VHD_SECTOR_SIZE 512
/* No image has more ancestors than this; a longer chain is refused. */
#define VHD_MAX_DEPTH 128
/* The largest dynamic or differencing disk: 2040 GiB. */
#define VHD_MAX_DYNAMIC_SIZE (2040ULL << 30)

struct vhd_image;
struct vhd_file;

/* ------------------------------------------------------------------ errors */

/* Codes below 0x100 are the low byte of the error that Windows gives for the
 * same fault (facility 0x3A, 0xC03A00xx). */
enum vhd_code {
  VHD_OK = 0,
  VHD_FOOTER_MISSING = 0x01,
  VHD_FOOTER_CHECKSUM = 0x02,
  VHD_FOOTER_CORRUPT = 0x03,
  VHD_FORMAT_UNKNOWN = 0x04,
  VHD_FORMAT_VERSION = 0x05,
  VHD_HEADER_CHECKSUM = 0x06,
  VHD_HEADER_VERSION = 0x07,
  VHD_HEADER_CORRUPT = 0x08,
  VHD_ALLOCATION_FAILED = 0x09,
  VHD_BAT_CORRUPT = 0x0a,
  VHD_BLOCK_SIZE = 0x0b,
  VHD_BITMAP_MISMATCH = 0x0c,
  VHD_PARENT_MISSING = 0x0d,
  VHD_PARENT_ID = 0x0e,
  VHD_PARENT_TIMESTAMP = 0x0f,
  VHD_METADATA_READ = 0x10,
  VHD_METADATA_WRITE = 0x11,
  VHD_SIZE = 0x12,
  VHD_FILE_SIZE = 0x13,
  VHD_PARENT_DENIED = 0x16,
  VHD_PARENT_SIZE = 0x17,
  VHD_CHAIN_CYCLE = 0x18,
  VHD_CHAIN_PARENT = 0x19,
  VHD_LIMIT = 0x1a,
  VHD_TYPE = 0x1b,
  VHD_STATE = 0x1c,
  /* Ours, without a Windows counterpart. */
  VHD_SYSTEM = 0x100, /* a system call failed; see .sys */
  VHD_BUSY = 0x101,   /* another program holds the image */
  VHD_READ_ONLY = 0x102,
  VHD_ARGUMENT = 0x103, /* the caller asked for something impossible */
  VHD_LOCATOR = 0x104,  /* a parent locator is malformed */
  VHD_BATMAP = 0x105,   /* Xen's batmap is malformed or untrue */
  VHD_LEAK = 0x106,     /* space that nothing refers to */
  VHD_JOURNAL = 0x107,  /* what a killed server left cannot be replayed */
  VHD_CANCELED = 0x108, /* .report of a struct vhd_progress wanted no more */
};

struct vhd_error {
  int code; /* enum vhd_code */
  int sys;  /* errno, 0 where none applies */
  char message[1024];
  uint64_t reserved[2];
};

/* A short fixed name such as "bat-corrupt"; "unknown" for other values. */
const char *vhd_code_name(int code);

/* ---------------------------------------------------------------- progress */

/* How far an operation is, and whether it is to go on.  The thread that called
 * the operation calls .report, without locks, at least once for each 64 MiB
 * that it reads or writes, and a first time before it has changed anything.
 * done never goes back, and is total when all is done; total is 0 while it is
 * not known, and can grow.  Both count bytes, of what is the operation's own
 * affair: they are for a bar.
 *
 * Not 0 cancels: the operation ends with VHD_CANCELED and that value, if it is
 * negative, else -ECANCELED.  It leaves what a failure at that point would: of
 * a new file nothing; of an image that it changes in place what is said there.
 * Once it can no longer be undone, an operation does not ask. */
struct vhd_progress {
  int (*report)(void *opaque, uint64_t done, uint64_t total); /* or NULL */
  void *opaque;
  uint64_t reserved[2];
};

/* ----------------------------------------------------------------- opening */

enum vhd_type {
  VHD_FIXED = 2,
  VHD_DYNAMIC = 3,
  VHD_DIFFERENCING = 4,
  VHD_RAW = 0x100, /* no VHD: a file opened with VHD_OPEN_RAW, or the parent
                    * that VHD_OPEN_RAW_PARENT allows */
};

/* What a file is.  A raw file, which is opened as one, has none. */
enum vhd_format {
  VHD_FORMAT_VHD,
  VHD_FORMAT_VHDX, /* only read */
};

enum vhd_open_flags {
  /* Never write; other readers are welcome, writers are kept out. */
  VHD_OPEN_READONLY = 1 << 0,
  /* Take the size from the geometry (C*H*S), as old Virtual PC did, instead
   * of from current_size. */
  VHD_OPEN_SIZE_CHS = 1 << 1,
  /* Accept a differencing disk whose parent id is all zero as having a raw
   * parent (a Xen extension).  The parent's bytes are then whatever the
   * locator names: only for images you trust. */
  VHD_OPEN_RAW_PARENT = 1 << 2,
  /* Take no lock: for looking at an image that another program holds.  What
   * is read may be torn.  Needs VHD_OPEN_READONLY. */
  VHD_OPEN_UNLOCKED = 1 << 3,
  /* Do not open the parents; such an image can be inspected, not read.
   * Needs VHD_OPEN_READONLY. */
  VHD_OPEN_NO_PARENT = 1 << 4,
  /* The file is no VHD but the bytes of the disk itself, whatever they are:
   * what looks like a footer is data.  Never guessed, for who writes to such a
   * disk could then choose what it is next time.  Not for vhd_check(). */
  VHD_OPEN_RAW = 1 << 5,
};

/* A disk that is no file of this machine, but of the caller's making: bytes
 * that lie behind a network protocol, say.  The functions get .opaque first,
 * return 0 or -errno, and are called by the threads that use what the disk was
 * given to.  Ranges lie within its size. */
struct vhd_disk {
  void *opaque;
  uint64_t size;
  int (*read)(void *opaque, void *buf, size_t len, uint64_t off);
  /* Where the next byte from off on lies that is not known to be zero: off
   * itself where nothing is known, UINT64_MAX where there is none.  Or NULL. */
  uint64_t (*next_data)(void *opaque, uint64_t off);
  /* Of a disk that is written to: */
  int (*write)(void *opaque, const void *buf, size_t len, uint64_t off);
  int (*zero)(void *opaque, uint64_t len, uint64_t off);
  int (*flush)(void *opaque); /* what was written before is durable */
  void (*reserved[8])(void);
};

struct vhd_open_options {
  uint32_t flags; /* enum vhd_open_flags */
  /* Parents must lie below one of these folders, of which some may be missing.
   * With none given, the folder that holds the image itself. */
  const char *const *roots;
  size_t nroots;
  /* Where the journal of acknowledged but not yet ordered metadata is kept, so
   * that a killed process loses nothing; a tmpfs.  NULL chooses one of
   * $VHDKIT_JOURNAL_DIR, /run/vhdkit, /dev/shm/vhdkit-UID and
   * $XDG_RUNTIME_DIR/vhdkit; where none can be used, or the image lies on a
   * file system that other machines may share, each write that changes metadata
   * is made durable before it is acknowledged. */
  const char *journal_dir;
  /* With VHD_OPEN_RAW and _READONLY: the bytes are this disk's, which outlives
   * the image, and the path is what messages call it.  NULL: they are in the
   * file of that path. */
  const struct vhd_disk *disk;
  uint64_t reserved[7];
};

/* Opens an image and its parents.  A NULL opt means all defaults: read and
 * write.  On success *image is the caller's to vhd_close(). */
int vhd_open(const char *path, const struct vhd_open_options *opt,
             struct vhd_image **image, struct vhd_error *err);

/* Makes everything durable, gives unused space at the end of the file back,
 * and frees the image, whatever it returns; an error means that something
 * acknowledged since the last good flush may not survive a power cut.  No
 * request may be in flight.  NULL is no error. */
int vhd_close(struct vhd_image *image, struct vhd_error *err);

/* Calls back for each folder in which a journal may be kept, or be looked for,
 * until it returns not 0, which is then returned: for programs that confine
 * themselves.  make: sees to it first that one of them can be used. */
int vhd_journal_places(bool make,
                       int (*each)(void *opaque, const char *folder),
                       void *opaque);

/* A change of an image that was interrupted is written down beside it, in a
 * file of the image's name and this.  Who opens the image for writing finishes
 * the change: that file is opened by its whole name, written to, and removed.
 */
#define VHD_COMPANION_SUFFIX ".vhdkit-redo"

/* How files are reached by their names, for a program that confines itself to
 * what cannot, and lets another process do it.  Each may be called by any
 * thread, and block.  folder: a descriptor that .open gave, or AT_FDCWD. */
struct vhd_host {
  void *opaque;
  /* As openat(2), unlinkat(2), renameat(2) within a folder, and mkdir(2): a
   * descriptor, with O_CLOEXEC, or 0; -errno. */
  int (*open)(void *opaque, int folder, const char *path, int flags,
              unsigned mode);
  int (*unlink)(void *opaque, int folder, const char *name);
  int (*rename)(void *opaque, int folder, const char *from, const char *to);
  int (*mkdir)(void *opaque, const char *path, unsigned mode);
  /* Writes into text[size] who has the file of fd open, but for descriptor
   * `number` of the process pid: "qemu-img (pid 123)".  False: nobody is to be
   * seen, and the text says "another program". */
  bool (*holder)(void *opaque, int fd, long pid, int number, char *text,
                 size_t size);
  void (*reserved[8])(void);
};

/* The one in use; at first it is the C library's. */
const struct vhd_host *vhd_host(void);
/* Uses another, which must outlive all images; NULL is the C library's.  Before
 * anything is opened. */
void vhd_set_host(const struct vhd_host *host);

/* --------------------------------------------------------------- inspecting */

/* How other opens of the file hold it, in this process or another. */
enum vhd_holders {
  VHD_HELD_BY_NOBODY,
  VHD_HELD_READING, /* they would keep a writer out */
  VHD_HELD_WRITING, /* they would keep a reader out, too */
};

/* What an image is, as far as its file alone tells; of a raw file what makes no
 * sense is 0 or "".  Sizes are bytes. */
struct vhd_info {
  /* As opened.  These strings live as long as the image. */
  const char *path;
  /* As stored in the image, in UTF-8; "" where it has no parent, or none by
   * name. */
  const char *parent_name;
  enum vhd_type type;
  /* Of the virtual disk, now; what the image said of it when it was made. */
  uint64_t size;
  uint64_t original_size;
  /* The length of the file, when it was opened. */
  uint64_t file_size;
  /* What the geometry comes to: C*H*S*512. */
  uint64_t geometry_size;
  uint32_t cylinders, heads, sectors_per_track;
  /* Bytes of a block, blocks of the disk, those of them that have a place in
   * the file now, and entries that the block table says it has, which may be
   * more than the disk's.  0 for fixed and raw. */
  uint32_t block_size;
  uint32_t nblk;
  uint32_t nblk_allocated;
  uint32_t bat_entries;
  /* The image's own and its parent's, as stored; these are compared.  The text
   * is in that order of the bytes, Windows' or RFC 4122's, which makes a valid
   * UUID; "" where there is no parent. */
  unsigned char id[16];
  unsigned char parent_id[16];
  char id_text[37];
  char parent_id_text[37];
  /* The order of id_text is Windows'. */
  bool id_little_endian;
  /* The program that made it and its system, as that calls itself.  What cannot
   * be printed is '?'; there are no blanks or NULs at the end. */
  char creator[5];
  char creator_os[5];
  uint32_t creator_version; /* major << 16 | minor */
  uint32_t features;        /* of the footer */
  /* When it was made, and when its parent had last been changed then: seconds
   * since 1970; the latter 0 where it is not recorded. */
  int64_t timestamp;
  int64_t parent_timestamp;
  bool saved_state; /* a machine's state goes with it */
  bool read_only;   /* so it was opened */
  bool aligned;     /* every block's data lies on 4 KiB */
  bool batmap;      /* it carries Xen's batmap */
  unsigned depth;   /* number of ancestors that are open */
  /* How others hold the file, now; no lock is taken to see it. */
  enum vhd_holders held;
  /* Of the open file, as stat() tells them: they stay when its name comes to
   * lead elsewhere. */
  uint64_t device, inode;
  /* What the file takes on its file system, now: less than its length where it
   * has holes.  0 where that cannot be told. */
  uint64_t actual_size;
  /* To this the disk can be made smaller without a look at its content: behind
   * it no block table of the chain leads to a block.  Of a fixed or raw disk,
   * and of one with such an ancestor, all of that counts; one sector at least.
   * 0: not known, the parents are not open (VHD_OPEN_NO_PARENT). */
  uint64_t minimum_size;
  /* Of a VHDX .id is the one that a child names, which changes with the
   * content, and there is no geometry, creator, time nor feature. */
  enum vhd_format format;
  /* Of the virtual disk; the latter 0 where it is not said, as by a VHD. */
  uint32_t sector_size;
  uint32_t physical_sector_size;
  char disk_id_text[37]; /* VHDX: of all files of a chain; else "" */
  uint64_t reserved[7];
};

void vhd_get_info(struct vhd_image *image, struct vhd_info *info);
uint64_t vhd_size(const struct vhd_image *image);

/* The parent in the chain, or NULL; lives as long as the child does. */
struct vhd_image *vhd_parent(struct vhd_image *image);

/* How many files a search for children looks at, where one must not take
 * long. */
#define VHD_FIND_LIMIT 1000

/* Calls found with the path of each differencing image in the folder (NULL: the
 * image's own) whose parent this image is, until it returns not 0; at most
 * `limit` names of the folder are looked at.  The parent is the file with the
 * id that the child names in a place that the child names, and no copy of it;
 * where no such file lies in any of them, whatever has the id counts.  Writing
 * to an image that has children makes them worthless.  What found returned, 0,
 * or a negative errno if the folder cannot be read. */
int vhd_find_children(const struct vhd_image *image, const char *folder,
                      unsigned limit,
                      int (*found)(void *opaque, const char *path),
                      void *opaque);

#define VHD_MAX_LOCATORS 8

/* A parent locator: one of the places where a child says its parent lies. */
struct vhd_locator {
  char code[5];    /* "W2ru" and the like, printable */
  bool relative;
  uint64_t off;    /* in the image's file */
  uint32_t len;    /* bytes of the path there */
  uint32_t space;  /* bytes set aside for it; 0: not said */
  char path[6200]; /* as a POSIX path, UTF-8; "" where it makes no sense */
  uint64_t reserved[4];
};

/* Fills *locator from the image's i-th locator.  -ENOENT for one that is not
 * in use, and beyond the last. */
int vhd_get_locator(struct vhd_image *image, unsigned i,
                    struct vhd_locator *locator);

/* What opening noticed that does no harm by itself, for instance a parent
 * whose timestamp has changed: a sentence, or NULL past the last. */
const char *vhd_warning(const struct vhd_image *image, unsigned i);

/* ------------------------------------------------------------ plain calls */

enum vhd_request_flags {
  VHD_FUA = 1 << 0,     /* write, zero, trim: durable before it is done */
  VHD_NO_HOLE = 1 << 1, /* zero: keep or provision the space */
  /* zero: -ENOTSUP at once, with nothing changed, unless it is quicker than
   * writing zeros would be */
  VHD_FAST_ZERO = 1 << 2,
  /* map: the runs stay valid until vhd_request_end() */
  VHD_PIN = 1 << 3,
  /* map: only one run, no longer than was asked */
  VHD_ONE_RUN = 1 << 4,
};

/* Reads and writes in the calling thread; they block.  Ranges beyond the
 * disk's end are -EINVAL (-ENOSPC for a write or zero); a write to a read-only
 * image is -EROFS.  flags: enum vhd_request_flags. */
int vhd_pread(struct vhd_image *image, void *buf, size_t len, uint64_t off);
int vhd_pwrite(struct vhd_image *image, const void *buf, size_t len,
               uint64_t off, uint32_t flags);
/* The range reads as zeros afterwards. */
int vhd_zero(struct vhd_image *image, uint64_t len, uint64_t off,
             uint32_t flags);
/* The content is no longer needed; what can be given back is. */
int vhd_trim(struct vhd_image *image, uint64_t len, uint64_t off,
             uint32_t flags);
/* Everything that was done before survives a power cut afterwards. */
int vhd_flush(struct vhd_image *image);

/* Where a range lies. */
enum vhd_run_kind {
  VHD_RUN_DATA, /* in .file at .file_off */
  VHD_RUN_ZERO, /* an image of the chain says: zeros; of a VHD with space set
                 * aside */
  VHD_RUN_HOLE, /* no image of the chain holds it: reads as zeros */
};

struct vhd_run {
  uint64_t len;      /* of the virtual disk */
  uint64_t file_off; /* DATA */
  struct vhd_file *file; /* DATA */
  int fd;            /* DATA: of the file, or -1 where it has none */
  uint16_t kind;     /* enum vhd_run_kind */
  uint16_t depth;    /* the image that decided: 0 this one, 1 its parent...;
                      * of a hole the deepest */
  uint32_t reserved[2];
};

/* Fills at most *nruns runs that begin at off, end within len, follow each
 * other and differ in kind, depth or place from their neighbour, and sets
 * *nruns (at least 1 where len is not 0). */
int vhd_map(struct vhd_image *image, uint64_t len, uint64_t off,
            struct vhd_run *runs, unsigned *nruns);

/* ----------------------------------------------------------- step machine */

enum vhd_io_kind {
  VHD_IO_READ,     /* fill buf; a short read is -EIO */
  VHD_IO_WRITE,    /* all of buf */
  VHD_IO_SYNC,     /* fdatasync: what was completed before is durable after */
  VHD_IO_PUNCH,    /* the range reads as zeros and uses no space; but see
                    * VHD_IO_GIVE_BACK */
  VHD_IO_ZERO,     /* the range reads as zeros and keeps its space */
  VHD_IO_EXTEND,   /* the file grows to off + len, new bytes read as zeros; but
                    * see VHD_IO_RESERVE */
  VHD_IO_TRUNCATE, /* the file ends at off */
};

enum vhd_io_flags {
  /* WRITE: on stable storage when complete, and so is the size of the file that
   * it made; what else was written may still be on its way. */
  VHD_IO_DURABLE = 1 << 0,
  /* EXTEND: the range gets its space, also beyond the end, which stays where it
   * is; a write there moves it.  What fails leaves nothing behind the end. */
  VHD_IO_RESERVE = 1 << 1,
  /* PUNCH: it is for its space, and fails where a full file system, which may
   * need some for that, can give none back.  Without this, zeros will do. */
  VHD_IO_GIVE_BACK = 1 << 2,
  /* Set with the result of a durable WRITE that failed: not it did, but the
   * sync after it, and as after any such sync what was written before may be
   * lost. */
  VHD_IO_LOST = 1 << 3,
};

/* One I/O that a step asks for.  The caller sets .result, to 0 or a negative
 * errno, before the next step. */
struct vhd_io {
  struct vhd_file *file;
  void *buf;
  uint64_t off, len;
  int fd; /* for engines of the caller's own; -1: only vhd_io_perform() */
  int result;
  uint8_t kind;  /* enum vhd_io_kind */
  uint8_t flags; /* enum vhd_io_flags */
  uint8_t reserved[6];
};

/* Carries out one I/O with blocking system calls and sets its result.  Any
 * thread, without order between I/Os of one step. */
void vhd_io_perform(struct vhd_io *io);

enum vhd_op {
  VHD_READ,
  VHD_WRITE,
  VHD_ZERO,
  VHD_TRIM,
  VHD_FLUSH,
  VHD_MAP,
  VHD_RECLAIM, /* see vhd_has_background() */
};

enum vhd_step {
  VHD_STEP_DONE,   /* .result says how */
  VHD_STEP_IO,     /* carry out .io[0 .. nio-1], then step again */
  VHD_STEP_PARKED, /* step again once .wake has been called */
};

#define VHD_REQUEST_IOS 8
#define VHD_REQUEST_WORDS 200

/* The caller owns and embeds it; nothing else is allocated for a request. */
struct vhd_request {
  /* Set by vhd_request_start(). */
  struct vhd_image *image;
  uint64_t off, len;
  void *buf;      /* READ: filled; WRITE: only read.  Must last until done. */
  uint32_t flags; /* enum vhd_request_flags */
  uint8_t op;     /* enum vhd_op */
  /* While it is parked: it has been woken already, and is about to do for
   * others what it does for itself.  More may join it until its next step,
   * which can wait a little for them, and be taken by another thread. */
  bool leads;
  /* Set by the caller after vhd_request_start(), before the first step. */
  /* MAP: where to put the runs, how many fit; nruns says how many came. */
  struct vhd_run *runs;
  unsigned max_runs;
  /* A parked request may go on.  Called once for each PARKED, from whichever
   * thread unparked it, perhaps before the parking step has returned, inside a
   * step of another request, without locks held; must not step or block. */
  void (*wake)(struct vhd_request *);
  void *opaque; /* the caller's own */
  /* The answers. */
  unsigned nruns;
  int result;
  unsigned nio;
  struct vhd_io io[VHD_REQUEST_IOS];
  uint64_t reserved[4];
  /* The machine's own. */
  uint64_t machine[VHD_REQUEST_WORDS];
};

/* Begins a request.  Returns 0, or a negative errno when the arguments are
 * refused (then it must not be stepped).  off and len are checked here; a MAP
 * or READ past the end, and an unknown flag, is -EINVAL. */
int vhd_request_start(struct vhd_request *req, struct vhd_image *image,
                      enum vhd_op op, uint64_t off, uint64_t len, void *buf,
                      uint32_t flags);

/* Takes the request one step on.  Never blocks on I/O. */
enum vhd_step vhd_request_step(struct vhd_request *req);

/* Lets the pinned runs of a request go (VHD_PIN); no-op otherwise. */
void vhd_request_end(struct vhd_request *req);

/* Is there work that no request waits for: space to be given back, which blocks
 * have left?  A VHD_RECLAIM (off and len 0) does some of it, a few holes at a
 * time; it can be run beside any other request, and again while this is true.
 * It is best asked after a request that changed or flushed something.  Whoever
 * never does keeps that space until a change cannot go on without, or until
 * vhd_close().  Any thread, cheap. */
bool vhd_has_background(const struct vhd_image *image);

/* Steps a request to its end with vhd_io_perform(), waiting where it is
 * parked; uses .wake and .opaque.  Returns .result. */
int vhd_request_run(struct vhd_request *req);

/* "10G", "512", "64KiB", "1.5TB": powers of two, whichever way the unit is
 * written: K, KiB, KB, for K M G T P E in either case, or B.  A fraction where
 * it comes to whole bytes.  0 or -EINVAL, -ERANGE. */
int vhd_parse_size(const char *text, uint64_t *size);

const char *vhd_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif

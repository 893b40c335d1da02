/* SPDX-License-Identifier: BSD-2-Clause */
/* message.h: what is said between the worker, which can open nothing, and a
 * helper process that opens for it: a request, and its answer, each one packet
 * of a SOCK_SEQPACKET socket and of fixed size, each with at most one
 * descriptor.
 *
 * What the worker sends is hostile: it may have been taken over.  A request
 * says what is wanted in words of its own, not in the kernel's flags.
 *
 * The worker, any thread, a channel at a time; the helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_MESSAGE_H
#define SERVER_KEEPER_BROKER_MESSAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define BROKER_MAX_KEY (8 << 20) /* bytes of a file of keys */

enum broker_op {
  /* By .path alone; the answer carries the descriptor. */
  BROKER_READ = 1,         /* a regular file */
  BROKER_WRITE,            /* the same, for reading and writing */
  BROKER_LIST,             /* a folder, to read the names in it */
  BROKER_KEY,              /* a file of keys, as named on the command line */
  BROKER_UNLINK_COMPANION, /* what an interrupted change left beside an image */
  /* In the folder whose descriptor comes with it: .path is a plain name. */
  BROKER_READ_JOURNAL,
  BROKER_MAKE_JOURNAL, /* a new, empty one */
  BROKER_UNLINK_JOURNAL,
  BROKER_RENAME_JOURNAL, /* to .to */
  BROKER_MAKE_PLACE,     /* a folder for journals */
  /* Of the image .path, which may be written, as a whole; the answer has an
   * error's code and text.  .to is the name of a new file beside it. */
  BROKER_LOOK,     /* looks for its children, as the next two do */
  BROKER_SNAPSHOT, /* freezes it as .to */
  BROKER_RESIZE,   /* to .size */
  BROKER_COMPACT,  /* until .msec have gone by */
  BROKER_FLATTEN,  /* .to gets what its parent holds */
  BROKER_REBASE,   /* .to, which holds that, becomes its parent */
  /* Who holds the file whose descriptor comes with it? */
  BROKER_HOLDER,
};

struct broker_request {
  uint32_t op;
  int32_t pid, number; /* HOLDER: a descriptor that does not count */
  uint64_t size;
  uint32_t msec;
  char path[PATH_MAX]; /* terminated within */
  char to[NAME_MAX + 1];
};

struct broker_answer {
  int32_t result;  /* 0, or -errno; HOLDER: 1 if somebody was found */
  int32_t code;    /* enum vhd_code */
  char text[1024]; /* terminated within */
};

/* What is asked of whole disks, or done to them, said in names: where they lie
 * a helper knows by the configuration, and it takes no name that the parsers of
 * server/provision do not.  Each verb can be asked for once more, whatever
 * became of it: it was carried out or was not, and nothing else. */
enum broker_verb {
  BROKER_CHILD = 1, /* .client's child of .disk is to be there; .fresh: another
                     * than before, which is thrown away */
  /* As enum disk_wish (provision/disk_order.h) has them: */
  BROKER_STATE,    /* the answer has .links, and as items the versions */
  BROKER_CHILDREN, /* as items */
  BROKER_NEW_VERSION,
  BROKER_TEST,
  BROKER_PROMOTE,
  BROKER_SCHEDULE,
  BROKER_PROMOTE_DUE,
  BROKER_ROLLBACK,
  BROKER_DELETE,
  BROKER_APPLY,
  BROKER_DESCRIBE,
  BROKER_REMOVE, /* .client's child is not to be there */
};

struct broker_order {
  uint32_t verb;
  bool fresh;
  char disk[65]; /* each terminated within */
  char client[129];
  char version[33]; /* CHILD: of the disk, for a new child */
  char line[256];   /* what is said of a version */
  uint32_t number;  /* of a version */
  int64_t when;     /* seconds since 1970 */
};

struct broker_report {
  int32_t result;  /* 0 or -errno */
  int32_t code;    /* enum vhd_code */
  char text[1024]; /* why, for a person; terminated within */
  uint32_t number; /* of a version */
  struct {
    uint32_t production, test, maintenance, previous;
    uint32_t scheduled;
    int64_t when;
  } links;
  /* So many packets of that size follow, each an item. */
  uint32_t nitems, item_size;
};

/* No answer has more: a disk has fewer versions, and fewer clients. */
#define BROKER_MAX_ITEMS (1 << 17)

/* What a worker asks of the keeper itself: a helper, a byte of this; the answer
 * is an errno as a byte, 0 with the channel to the helper. */
enum broker_helper {
  BROKER_FILES = 'f', /* with the rights of --user */
  BROKER_KEYS = 'k',  /* with the rights of the start; reads keys alone */
  BROKER_CHANGES =
    'c',              /* with the rights of --user; changes images as a whole,
                         * and does nothing else */
  BROKER_DISKS = 'd', /* with the rights of --user; takes orders alone */
};

/* Does a text end within what it was given? */
static inline bool
message_is_terminated(const char *text, size_t size)
{
  return memchr(text, '\0', size) != NULL;
}

/* fd: -1 for none.  0 or -errno. */
int message_send(int channel, const void *data, size_t size, int fd);
/* The size of the packet, cut to what has room; 0 at the end; -errno.  *fd: the
 * caller's to close, -1 for none, -EMFILE for one that the process has no room
 * for. */
ssize_t message_receive(int channel, void *data, size_t size, int *fd);

#endif

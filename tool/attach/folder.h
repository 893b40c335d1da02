/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.h: what is attached, as files.  A folder of the user's holds a folder
 * for each attachment, an entry, by a number:
 *
 *   record   what it is: see struct attachment
 *   socket   where its server listens
 *   log      what its server has said
 *   client   what its client has said
 *   driver   what the driver of the file system has said
 *   notify   where its server says that it is ready
 *   disk     where nbdfuse shows the disk
 *
 * The folder must belong to the user and be open to nobody else: nothing in it
 * is believed otherwise.  Whoever attaches or detaches holds a lock of the
 * entry; the folder's own is held while entries are looked through to make or
 * to take one.  A record is replaced as a whole. */
#ifndef TOOL_ATTACH_FOLDER_H
#define TOOL_ATTACH_FOLDER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "attach/process.h"

enum attach_with { WITH_AUTO, WITH_NBD, WITH_FUSE, WITH_SOCKET };

/* "nbd", "fuse", "socket" */
const char *attach_with_name(enum attach_with with);

/* Strings are to be freed. */
struct attachment {
  char *image;    /* absolute */
  dev_t dev;
  ino_t ino;
  enum attach_with with;
  char *device;   /* what is used: a device, a file or a socket */
  uint64_t off, len; /* of the disk, what the device is; len 0: all of it */
  unsigned part;     /* which partition that is; 0: none */
  bool allow_root;   /* root may use the device, too; not in the record */
  bool readonly;
  bool complete;  /* it was attached; else that has not ended, or died */
  struct process server;
  struct process client; /* who makes a device of the socket */
  char *folder;     /* where the file system in the device is; NULL: nowhere */
  dev_t folder_dev; /* of the folder, as long as it is not there */
  struct process driver;
};

struct entry {
  char *path;
  int fd; /* which holds the lock, where one was asked for */
};

struct folder {
  char *path;
  int fd; /* -1: there is none, so nothing is attached */
};

/* Opens the folder; make: makes it where there is none.  Complains and returns
 * -1 where it cannot be had, or cannot be trusted. */
int folder_open(struct folder *folder, bool make);
void folder_close(struct folder *folder);

/* Makes an entry for what is to be attached, with its lock and record, unless
 * that image is attached already; a device that is NULL becomes the file of the
 * entry.  Complains and returns -1 otherwise. */
int folder_add(const struct folder *folder, struct attachment *a,
               struct entry *entry);

/* Takes the entry of an image or device, with its lock.  Complains and returns
 * -1 where there is none, or somebody else has it. */
int folder_take(const struct folder *folder, const char *name,
                struct entry *entry, struct attachment *a);

/* Calls seen() for each, in the order of their numbers; busy: somebody is
 * attaching or detaching it.  The record is freed afterwards. */
void folder_list(const struct folder *folder,
                 void (*seen)(void *opaque, const struct entry *entry,
                              const struct attachment *a, bool busy),
                 void *opaque);

/* Writes the record; complains and returns -1 where that fails. */
int entry_write(const struct entry *entry, const struct attachment *a);
/* Removes all of it. */
void entry_remove(const struct entry *entry);
/* The path of a file in it, to be freed. */
char *entry_path(const struct entry *entry, const char *name);
void entry_close(struct entry *entry);

void attachment_free(struct attachment *a);

#endif

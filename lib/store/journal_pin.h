/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_pin.h: one file of a folder that others may own, told from whatever
 * they put under its name later.
 *
 * A journal is removed or renamed long after it was looked at, and its path may
 * lead elsewhere by then: to a file that its user could not have removed.  The
 * pin keeps which file in which folder it was, and no descriptor.  Blocks; any
 * thread. */
#ifndef STORE_JOURNAL_PIN_H
#define STORE_JOURNAL_PIN_H

#include <sys/stat.h>
#include <sys/types.h>

struct journal_pin {
  dev_t dev;
  ino_t folder, file;
};

/* Opens the folder of a path, to be named by; *name: the rest of the path.
 * -errno. */
int journal_folder(const char *path, const char **name);

/* What is in that folder, by descriptor. */
int journal_pin(struct journal_pin *pin, int folder, const struct stat *file);

/* If the path still leads to what was pinned: 0 or -errno. */
int journal_pin_unlink(const struct journal_pin *pin, const char *path);
/* name: within the same folder. */
int journal_pin_rename(const struct journal_pin *pin, const char *path,
                       const char *name);

#endif

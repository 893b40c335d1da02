/* SPDX-License-Identifier: BSD-2-Clause */
/* locator.h: parent locators, and the paths in them.  No I/O. */
#ifndef FORMAT_LOCATOR_H
#define FORMAT_LOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCATOR_COUNT 8
#define LOCATOR_SIZE 24

#define LOCATOR_NONE 0
#define LOCATOR_W2RU 0x57327275 /* UTF-16LE, relative */
#define LOCATOR_W2KU 0x57326B75 /* UTF-16LE, absolute */
#define LOCATOR_WI2R 0x57693272 /* ANSI, relative; deprecated */
#define LOCATOR_WI2K 0x5769326B /* ANSI, absolute; deprecated */
#define LOCATOR_MACX 0x4D616358 /* UTF-8 file URL */
#define LOCATOR_MAC  0x4D616320 /* alias, never used */

/* Longer paths are refused (data_len is hostile). */
#define LOCATOR_MAX_LEN 4096

struct locator {
  uint32_t code;
  uint32_t space; /* bytes set aside, whichever unit the file used */
  bool sectors;   /* the file used sectors: kept for writing it back */
  uint32_t len;   /* bytes of the path */
  uint64_t off;   /* in the file */
};

/* Can it be followed at all?  0, or -EINVAL for a space that is neither sectors
 * (< 512) nor a multiple of 512 bytes, a length greater than the space (a space
 * of 0 says nothing), a length over LOCATOR_MAX_LEN, or a place beyond 2^62;
 * *why is then the predicate of a sentence ("is too long"), constant.  Whether
 * it lies within the file is not known here. */
int locator_check(const struct locator *locator, const char **why);

/* The 24 bytes; they always become a struct, which locator_check() may not
 * like. */
void locator_parse(const uint8_t *buf, struct locator *locator);
void locator_format(const struct locator *locator, uint8_t *buf);

/* Turns the raw bytes of a locator into a POSIX path: decoded by its code,
 * '\' to '/', a drive letter and a file URL's scheme and host dropped, %XX of a
 * URL decoded.  Sets *relative as the code or the text says (a W2ku may hold a
 * relative path).  NULs at the end are left out.  0; -ENOENT for an unknown or
 * empty code or an empty path; -EINVAL for half a character, NULs, newlines or
 * control characters in it; -ENAMETOOLONG where it does not fit. */
int locator_path(uint32_t code, const uint8_t *data, size_t len, char *path,
                 size_t size, bool *relative);

/* The other way, for what we write (W2RU, W2KU, MACX): path is POSIX, UTF-8, of
 * the kind (relative or absolute) that code asks for.  Returns bytes, or
 * -EINVAL where the path cannot be said so (a backslash in a name), -EILSEQ,
 * -ENAMETOOLONG. */
long locator_encode(uint32_t code, const char *path, uint8_t *data,
                    size_t size);

#endif

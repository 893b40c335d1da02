/* SPDX-License-Identifier: BSD-2-Clause */
/* locator.h: parent locators, and the paths in them.  No I/O. */
#ifndef FORMAT_LOCATOR_H
#define FORMAT_LOCATOR_H

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

/* Longer paths are refused: (data_len is hostile). */
#define LOCATOR_MAX_LEN 4096

struct locator {
  uint32_t code;
  uint32_t space; /* bytes set aside, whichever unit the file used */
  uint32_t len;   /* bytes of the path */
  uint64_t off;   /* in the file */
};

/* The 24 bytes.  0, or -EINVAL for a space that is neither sectors (< 512) nor
 * a multiple of 512 bytes, a length greater than the space (when both are set),
 * or a length over LOCATOR_MAX_LEN; *locator is then filled all the same, and
 * *why a constant sentence fragment. */
int locator_parse(const uint8_t *buf, struct locator *locator,
                  const char **why);
void locator_format(const struct locator *locator, uint8_t *buf);

/* Turns the raw bytes of a locator into a POSIX path: decoded by its code,
 * '\' to '/', a drive letter and a file URL's scheme and host dropped, %XX of a
 * URL decoded.  Sets *relative as the code or the text says (a W2ku may hold a
 * relative path).  0; -ENOENT for an unknown or empty code or an empty path;
 * -EINVAL for NULs, newlines or control characters in it. */
int locator_path(uint32_t code, const uint8_t *data, size_t len, char *path,
                 size_t size, int *relative);

/* The other way, for what we write: path is POSIX, of the kind (relative or
 * absolute) that code asks for.  Returns bytes, or -errno. */
long locator_encode(uint32_t code, const char *path, uint8_t *data,
                    size_t size);

#endif

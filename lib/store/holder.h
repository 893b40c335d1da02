/* SPDX-License-Identifier: BSD-2-Clause */
/* holder.h: who has a file open.  Owns nothing; any thread; blocks. */
#ifndef STORE_HOLDER_H
#define STORE_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Writes into text[size] who has the file of fd open, as far as the system
 * shows it: "qemu-img (pid 123)".  Descriptor `number` of the process pid, and,
 * where that is another one, all of this process do not count.  False: nobody
 * is to be seen, and the text says "another program". */
bool holder_find(int fd, long pid, int number, char *text, size_t size);

#endif

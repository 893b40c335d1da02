/* SPDX-License-Identifier: BSD-2-Clause */
/* starve.h: memory that cannot be had, for what is linked with
 * -Wl,--wrap=malloc and so on (see nbd.mk).  The thread that calls these
 * functions is spared: it is the others that are to be tried. */
#ifndef FUZZ_STARVE_H
#define FUZZ_STARVE_H

/* Lets so many allocations pass, then so many fail, then all pass again. */
void starve_begin(unsigned pass, unsigned fail);
void starve_end(void);

#endif

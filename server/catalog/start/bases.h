/* SPDX-License-Identifier: BSD-2-Clause */
/* bases.h: images that are served for writing though others stand on them. */
#ifndef SERVER_CATALOG_START_BASES_H
#define SERVER_CATALOG_START_BASES_H

struct catalog;

/* At start.  Looks once into each folder that holds images which stay open for
 * writing, at VHD_FIND_LIMIT files of it that are not served, and warns of
 * those that are worth nothing once their parent is written to.  Any of these
 * files may lie on a disk that hangs: it is not waited for much longer than
 * LOOKS_PATIENCE_MSEC, and may warn later. */
void warn_of_bases(struct catalog *catalog);

#endif

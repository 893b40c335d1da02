/* SPDX-License-Identifier: BSD-2-Clause */
/* strings.h: strings that live as long as the catalog, each once: names, paths
 * and descriptions of configurations that have come and gone, to which clients
 * may refer still.  However often the configuration changes, they are as many
 * as were ever written in it.
 *
 * One thread at a time. */
#ifndef SERVER_CATALOG_SOURCE_STRINGS_H
#define SERVER_CATALOG_SOURCE_STRINGS_H

struct strings;

/* NULL where memory is short. */
struct strings *strings_new(void);
/* NULL is fine. */
void strings_free(struct strings *strings);

/* The same text; NULL where memory is short. */
const char *strings_keep(struct strings *strings, const char *text);

#endif

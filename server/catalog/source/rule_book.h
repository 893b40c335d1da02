/* SPDX-License-Identifier: BSD-2-Clause */
/* rule_book.h: what the configuration says of clients of disks, where that has
 * been read again. */
#ifndef SERVER_CATALOG_SOURCE_RULE_BOOK_H
#define SERVER_CATALOG_SOURCE_RULE_BOOK_H

struct provision_config;
struct strings;

/* Rules of our own, with their lists; strings are kept by others. */
struct rule_book;

/* Under the catalog's lock, as is all that reads config: from now on it says
 * what `now` says, but for the folders.  *own: what was made before, or NULL.
 * 1: it is something else than before; 0; -ENOMEM, and all is as before. */
int rule_book_change(struct provision_config *config, struct rule_book **own,
                     struct strings *strings,
                     const struct provision_config *now);
/* NULL is fine. */
void rule_book_free(struct rule_book *clients);

#endif

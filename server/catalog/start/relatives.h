/* SPDX-License-Identifier: BSD-2-Clause */
/* relatives.h: files, and for each the name of an export that stands on it.
 * One thread at a time. */
#ifndef SERVER_CATALOG_START_RELATIVES_H
#define SERVER_CATALOG_START_RELATIVES_H

#include "catalog/generation.h"

struct relatives;

struct relatives *relatives_new(void);
void relatives_free(struct relatives *relatives);

/* The child's name must outlive it.  Who is there already stays.  0 or
 * -ENOMEM. */
int relatives_add(struct relatives *relatives, const struct file_id *file,
                  const char *child);
/* NULL: none. */
const char *relatives_find(struct relatives *relatives,
                           const struct file_id *file);

#endif

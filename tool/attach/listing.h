/* SPDX-License-Identifier: BSD-2-Clause */
/* listing.h: what is attached, for people or as JSON. */
#ifndef TOOL_ATTACH_LISTING_H
#define TOOL_ATTACH_LISTING_H

#include <stdbool.h>

/* Complains and returns -1 where the folder cannot be looked at. */
int listing_print(bool json);

#endif

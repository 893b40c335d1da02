/* SPDX-License-Identifier: BSD-2-Clause */
/* container.h: from a part to the struct that it is embedded in. */
#ifndef SERVER_BASE_CONTAINER_H
#define SERVER_BASE_CONTAINER_H

#include <stddef.h>

/* clang-format off */
#define CONTAINER_OF(pointer, type, member) \
  ((type *)((char *)(pointer) - offsetof(type, member)))
/* clang-format on */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* fact.c: see fact.h. */
#include "config.h"

#include "client/fact.h"

const char *
fact_limit_word(enum fact_limit limit)
{
  static const char *const word[FACT_NLIMITS] = {
    [FACT_LIMIT_CONNECTIONS] = "connections",
    [FACT_LIMIT_ADDRESS] = "address",
    [FACT_LIMIT_PROCESS_FILES] = "process-files",
    [FACT_LIMIT_SYSTEM_FILES] = "system-files",
    [FACT_LIMIT_MEMORY] = "memory",
    [FACT_LIMIT_STOPPING] = "stopping",
    [FACT_LIMIT_DRAINING] = "draining",
  };

  return word[limit];
}

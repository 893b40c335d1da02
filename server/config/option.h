/* SPDX-License-Identifier: BSD-2-Clause */
/* option.h: vhdkitd's options as a table: each one's name, argument, help text,
 * the member of struct options that it fills, and how.  The command line and
 * the configuration file are read by it, --help is printed from it, and a test
 * compares it with the manual page.  The main thread, once, at start-up. */
#ifndef SERVER_CONFIG_OPTION_H
#define SERVER_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/command_line_exports.h"

struct option;
typedef int option_parser(struct options *opt, const struct option *option,
                          const char *value, struct complaint *complaint);

struct option {
  const char *name;
  const char *argument; /* NULL: takes none */
  const char *help;
  option_parser *parse; /* NULL: whoever reads it does it himself */
  size_t member;
  unsigned min, max; /* of a number */
  const char *const
    *words; /* of which one is chosen: the index is the value */
};

/* The words for enum options_tls. */
extern const char *const option_tls_words[];

/* In the order of --help; NULL behind the last. */
const struct option *option_at(size_t i);
/* Names are matched whole: an abbreviation that is unique today would break the
 * scripts that use it when an option is added.  NULL: none. */
const struct option *option_find(const char *name, size_t len);
/* May be said several times, each time of another thing. */
bool option_is_repeatable(const struct option *option);
/* Is it said of single exports? */
bool option_is_of_export(const struct option *option);

/* Does what it says hold, where it is read again, for all who come then? */
bool option_is_live(const struct option *option);

/* "20G", "4096": bytes.  0, -EINVAL or -ERANGE. */
int option_size(const char *value, uint64_t *size);

/* Is one of them the same in both? */
bool option_is_same(const struct option *option, const struct options *a,
                    const struct options *b);

#endif

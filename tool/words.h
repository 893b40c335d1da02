/* SPDX-License-Identifier: BSD-2-Clause */
/* words.h: the words of a line, quoted as in a shell.  Pure.
 *
 * Blanks part words.  '...' is taken as it is; in "..." a backslash takes away
 * the meaning of a quote or a backslash behind it, and outside of quotes that
 * of any character.  A # at the beginning of a word begins a comment.  Nothing
 * else has a meaning: no variables, no patterns, no continued lines. */
#ifndef TOOL_WORDS_H
#define TOOL_WORDS_H

#include <stddef.h>

/* Splits a line in place: `words` gets what it holds and a NULL, at most max
 * pointers.  Returns how many words there are; -1: none of them can be used,
 * and *fault, a constant, says why. */
int words_split(char *line, char **words, size_t max, const char **fault);

#endif

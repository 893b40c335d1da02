/* SPDX-License-Identifier: BSD-2-Clause */
/* words.c: see words.h.  What was read of a word is written to its own place,
 * which is never ahead of what is read. */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "words.h"

/* Of a file from Windows, CR ends each line. */
static bool
is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct reader {
  const char *from;
  char *to;
};

static const char *
read_single(struct reader *r)
{
  const char *end = strchr(r->from, '\'');

  if (end == NULL)
    return "a ' is not closed";
  const size_t len = (size_t)(end - r->from);
  memmove(r->to, r->from, len);
  r->to += len;
  r->from = end + 1;
  return NULL;
}

static const char *
read_double(struct reader *r)
{
  while (*r->from != '"') {
    if (r->from[0] == '\\' && (r->from[1] == '"' || r->from[1] == '\\'))
      r->from++;
    if (*r->from == '\0')
      return "a \" is not closed";
    *r->to++ = *r->from++;
  }
  r->from++;
  return NULL;
}

/* What is wrong with the word, or NULL. */
static const char *
read_word(struct reader *r)
{
  const char *fault = NULL;

  while (fault == NULL && *r->from != '\0' && !is_blank(*r->from)) {
    const char c = *r->from++;
    if (c == '\'')
      fault = read_single(r);
    else if (c == '"')
      fault = read_double(r);
    else if (c != '\\')
      *r->to++ = c;
    else if (strchr("\r\n", *r->from) != NULL) /* or the end */
      fault = "a \\ has nothing behind it";
    else
      *r->to++ = *r->from++;
  }
  return fault;
}

int
words_split(char *line, char **words, size_t max, const char **fault)
{
  struct reader r = { line, line };
  size_t n = 0;

  for (;;) {
    while (is_blank(*r.from))
      r.from++;
    if (*r.from == '\0' || *r.from == '#')
      break;
    if (n + 1 >= max) {
      *fault = "too many words";
      return -1;
    }
    words[n++] = r.to;
    *fault = read_word(&r);
    if (*fault != NULL)
      return -1;
    /* The blank that ended it may lie where its end goes. */
    const bool more = *r.from != '\0';
    *r.to++ = '\0';
    r.from += more;
  }
  words[n] = NULL;
  return (int)n;
}

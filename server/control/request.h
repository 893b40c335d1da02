/* SPDX-License-Identifier: BSD-2-Clause */
/* request.h: a line of the control socket to a request: hostile bytes in,
 * checked JSON out.  Pure.
 *
 *   {"id": 7, "verb": "disconnect", "args": {"clients": [12]}}
 *
 * A member of another name is an error: nobody shall believe that something was
 * heeded which was not. */
#ifndef SERVER_CONTROL_REQUEST_H
#define SERVER_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of a line, without its end. */
#define REQUEST_MAX_LINE ((size_t)64 << 10)
#define REQUEST_MAX_ID 64

struct request {
  json_t *id;   /* a string or an integer; NULL: none */
  json_t *args; /* an object; NULL: none */
  char verb[32];
};

/* For request_clear(), whatever is returned.  False: why says, to who asked,
 * what is wrong; .id is there if it could be read. */
bool request_parse(const char *line, size_t len, struct request *request,
                   char *why, size_t size);
void request_clear(struct request *request);

/* One that a verb takes. */
struct request_arg {
  const char *name; /* NULL ends a table */
  enum {
    REQUEST_STRING,
    REQUEST_ID,     /* of a request */
    REQUEST_NUMBER, /* not negative */
    REQUEST_BOOLEAN,
    REQUEST_NUMBERS, /* an array of such */
  } kind;
  bool needed;
};

/* Are they as the table wants them?  NULL: there are none. */
bool request_check(const json_t *args, const struct request_arg *table,
                   char *why, size_t size);

#endif

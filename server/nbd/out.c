/* SPDX-License-Identifier: BSD-2-Clause */
/* out.c: the growable, bounded send buffer.  See out.h. */
#include "config.h"

#include "nbd/out.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 512

unsigned char *
nbd_out_reserve(struct nbd_out *out, size_t n)
{
  if (out->failed)
    return NULL;
  if (!nbd_out_has_room(out, n)) {
    out->failed = true;
    return NULL;
  }
  if (n > out->cap - out->len) {
    size_t cap = out->cap ? out->cap : FIRST_SIZE;
    while (cap < out->len + n)
      cap *= 2;
    unsigned char *data = realloc(out->data, cap);
    if (!data) {
      out->failed = true;
      return NULL;
    }
    out->data = data;
    out->cap = cap;
  }
  unsigned char *p = out->data + out->len;
  out->len += n;
  return p;
}

bool
nbd_out_put(struct nbd_out *out, const void *bytes, size_t n)
{
  if (n == 0)
    return !out->failed;
  unsigned char *p = nbd_out_reserve(out, n);
  if (!p)
    return false;
  memcpy(p, bytes, n);
  return true;
}

bool
nbd_out_has_room(const struct nbd_out *out, size_t n)
{
  return out->len <= out->max && n <= out->max - out->len;
}

void
nbd_out_consume(struct nbd_out *out, size_t n)
{
  assert(n <= out->len);
  if (n == out->len) {
    bool failed = out->failed;
    nbd_out_free(out);
    out->failed = failed;
    return;
  }
  memmove(out->data, out->data + n, out->len - n);
  out->len -= n;
}

void
nbd_out_free(struct nbd_out *out)
{
  free(out->data);
  *out = (struct nbd_out){ .max = out->max };
}

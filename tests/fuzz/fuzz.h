/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz.h: what a fuzz target is: one function that takes any bytes.
 *
 * It finds crashes, leaks and hangs by itself (sanitizers, time limits), and
 * whatever it knows to hold by FUZZ_ASSERT.  Under libFuzzer its main()
 * comes from there; otherwise from replay.c, which feeds it the corpus. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(condition)                                        \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,    \
              #condition);                                            \
      abort();                                                        \
    }                                                                 \
  } while (0)

/* Takes numbers off the front of the input; zeros when it is used up. */
struct fuzz_input {
  const uint8_t *data;
  size_t size;
};

static inline uint64_t
fuzz_take(struct fuzz_input *in, unsigned bytes)
{
  uint64_t v = 0;
  for (; bytes > 0; bytes--) {
    v <<= 8;
    if (in->size > 0) {
      v |= *in->data++;
      in->size--;
    }
  }
  return v;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* hello.c: records, and the messages that lie across them; see hello.h. */
#include "config.h"

#include "net/tls/hello.h"

#include <errno.h>

enum {
  RECORD_CHANGE_CIPHER_SPEC = 20,
  RECORD_ALERT = 21,
  RECORD_HANDSHAKE = 22,
};

/* The head of a record is there.  TLS 1.3 has a change of the cipher that means
 * nothing, behind which a second hello may come; which of the two it is cannot
 * be told before the server has chosen, and nobody sends it earlier. */
static int
begin_record(struct hello *h, enum hello_phase phase)
{
  h->record_left = (unsigned)h->record[3] << 8 | h->record[4];
  if (h->record_left == 0)
    h->record_have = 0;
  switch (h->record[0]) {
  case RECORD_HANDSHAKE:
  case RECORD_ALERT:
    return 0;
  case RECORD_CHANGE_CIPHER_SPEC:
    h->over = phase == HELLO_TLS_1_2;
    return phase == HELLO_FIRST ? -EPROTO : 0;
  default:
    h->over = true; /* encrypted, or no TLS */
    return 0;
  }
}

/* Takes bytes of a message.  How many. */
static size_t
take_message(struct hello *h, const unsigned char *bytes, size_t len)
{
  if (h->message_have == sizeof h->message) {
    size_t n = len < h->message_left ? len : h->message_left;
    h->message_left -= (unsigned)n;
    if (h->message_left == 0)
      h->message_have = 0;
    return n;
  }
  h->message[h->message_have++] = bytes[0];
  if (h->message_have == sizeof h->message) {
    h->message_left = (unsigned)h->message[1] << 16 |
                      (unsigned)h->message[2] << 8 | h->message[3];
    if (h->message_left == 0)
      h->message_have = 0;
  }
  return 1;
}

/* Takes bytes of a record.  How many. */
static size_t
take_record(struct hello *h, const unsigned char *bytes, size_t len)
{
  size_t n = len < h->record_left ? len : h->record_left;

  if (h->record[0] == RECORD_HANDSHAKE)
    n = take_message(h, bytes, n);
  h->record_left -= (unsigned)n;
  if (h->record_left == 0)
    h->record_have = 0;
  return n;
}

int
hello_check(struct hello *h, const unsigned char *bytes, size_t len,
            enum hello_phase phase)
{
  int r = 0;

  while (r == 0 && len > 0 && !h->over) {
    size_t n = 1;
    if (h->record_have < sizeof h->record) {
      h->record[h->record_have++] = bytes[0];
      if (h->record_have == sizeof h->record)
        r = begin_record(h, phase);
    } else {
      n = take_record(h, bytes, len);
      r = h->message_left > HELLO_MAX ? -EMSGSIZE : 0;
    }
    bytes += n;
    len -= n;
  }
  return r;
}

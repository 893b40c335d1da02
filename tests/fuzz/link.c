/* SPDX-License-Identifier: BSD-2-Clause */
/* link.c: see link.h. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/link.h"
#include "fuzz/tls_client.h"

#define PIECES 64 /* that are waited for in a link's life */
#define GATHER ((size_t)64 << 10)
#define HELD_MAX ((size_t)1 << 20)

/* -------------------------------------------------------------------- bytes */

static uint8_t *
bytes_reserve(struct bytes *b, size_t n)
{
  if (b->room - b->n < n) {
    b->room = 2 * b->room > b->n + n ? 2 * b->room : b->n + n;
    b->p = realloc(b->p, b->room);
    FUZZ_ASSERT(b->p);
  }
  return b->p + b->n;
}

static void
bytes_add(struct bytes *b, const void *p, size_t n)
{
  if (n > 0)
    memcpy(bytes_reserve(b, n), p, n);
  b->n += n;
}

static void
bytes_drop(struct bytes *b, size_t n)
{
  FUZZ_ASSERT(n <= b->n);
  if (n > 0 && n < b->n)
    memmove(b->p, b->p + n, b->n - n);
  b->n -= n;
}

/* ------------------------------------------------------------- open, closed */

void
link_open(struct link *l, int fd)
{
  *l = (struct link){.fd = fd, .barriers = PIECES};
}

void
link_close(struct link *l)
{
  if (l->fd >= 0)
    close(l->fd);
  l->fd = -1;
  tls_client_free(l->tls);
  l->tls = NULL;
  free(l->raw.p);
  free(l->came.p);
  free(l->held.p);
  l->raw = l->came = l->held = (struct bytes){0};
  l->ended = l->shut = true;
}

/* ------------------------------------------------------------------ receive */

/* Decrypts what was fed; takes note of the end. */
static void
decrypt(struct link *l)
{
  ssize_t n;

  do {
    n = tls_client_get(l->tls, bytes_reserve(&l->came, GATHER), GATHER);
    if (n > 0 && !l->deaf)
      l->came.n += (size_t)n;
  } while (n > 0);
  if (n == TLS_CLIENT_GOODBYE)
    l->goodbye = true;
  if (n == TLS_CLIENT_BROKEN)
    l->broken = true;
}

/* Below TLS.  False: there is nothing. */
static bool
receive(struct link *l, struct bytes *to)
{
  const ssize_t n = recv(l->fd, bytes_reserve(to, GATHER), GATHER, 0);

  if (n > 0) {
    to->n += (size_t)n;
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  /* The server need not read what comes after the end. */
  FUZZ_ASSERT(n == 0 || errno == ECONNRESET);
  l->ended = true;
  return false;
}

static void
gather(struct link *l)
{
  struct bytes records = {0};

  if (l->ended)
    return;
  if (!l->tls || l->deaf) {
    while (receive(l, &l->came))
      if (l->deaf)
        l->came.n = 0;
    return;
  }
  while (receive(l, &records)) {
    tls_client_feed(l->tls, records.p, records.n);
    records.n = 0;
    decrypt(l);
  }
  free(records.p);
}

void
link_gather(struct link *l)
{
  link_uncork(l);
  gather(l);
}

void
link_consume(struct link *l, size_t n)
{
  bytes_drop(&l->came, n);
}

/* Waits for input; with writable, for room in the socket too. */
static void
wait_for(struct link *l, bool writable)
{
  struct pollfd p = {
    .fd = l->fd,
    .events = (short)(POLLIN | (writable ? POLLOUT : 0)),
  };
  int r;

  do
    r = poll(&p, 1, HOUSE_PATIENCE_MSEC);
  while (r < 0 && errno == EINTR);
  FUZZ_ASSERT(r > 0); /* the server hangs */
}

void
link_wait(struct link *l)
{
  link_uncork(l);
  if (l->ended)
    return;
  wait_for(l, false);
  gather(l);
}

/* --------------------------------------------------------------------- send */

static void
send_all(struct link *l, const uint8_t *p, size_t n)
{
  while (n > 0 && !l->shut) {
    const ssize_t done = send(l->fd, p, n, MSG_NOSIGNAL);
    if (done > 0) {
      p += done;
      n -= (size_t)done;
      l->sent += (uint64_t)done;
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      l->shut = true; /* the server has closed; reading shows why */
      return;
    }
    /* It may only be slow; or it waits for us to take its answers. */
    house_barrier();
    gather(l);
    if (!l->ended)
      wait_for(l, true);
  }
}

static void
send_pieces(struct link *l, const uint8_t *p, size_t n)
{
  while (l->piece > 0 && l->piece < n && l->barriers > 0 && !l->shut) {
    send_all(l, p, l->piece);
    p += l->piece;
    n -= l->piece;
    l->barriers--;
    house_barrier();
  }
  send_all(l, p, n);
}

/* The byte at p, and those behind it, wrongly. */
static void
corrupt(struct link *l, const uint8_t *p, size_t n)
{
  const uint8_t other = *p ^ (l->corrupt_how | 1);

  l->corrupt_at = 0;
  l->corrupted = true;
  switch (l->corrupt_how & 3) {
  case 0: /* is left out */
    break;
  case 1: /* is another one */
    send_pieces(l, &other, 1);
    break;
  case 2: /* comes twice */
    send_pieces(l, p, 1);
    send_pieces(l, p, 1);
    break;
  case 3: /* is the last one */
    send_pieces(l, p, 1);
    link_shut(l);
    break;
  }
  send_pieces(l, p + 1, n - 1);
}

void
link_send_raw(struct link *l, const void *bytes, size_t n)
{
  const uint8_t *p = bytes;

  if (l->corked && l->held.n + n <= HELD_MAX) {
    bytes_add(&l->held, p, n);
    return;
  }
  link_uncork(l);
  if (l->corrupt_at == 0 || l->corrupt_at >= l->sent + n ||
      l->corrupt_at < l->sent) {
    send_pieces(l, p, n);
    return;
  }
  const size_t good = (size_t)(l->corrupt_at - l->sent);
  send_pieces(l, p, good);
  if (!l->shut)
    corrupt(l, p + good, n - good);
}

void
link_uncork(struct link *l)
{
  struct bytes held = l->held;

  l->corked = false;
  l->held = (struct bytes){0};
  if (held.n > 0)
    link_send_raw(l, held.p, held.n);
  free(held.p);
}

void
link_flush(struct link *l)
{
  size_t n;

  if (!l->tls)
    return;
  while ((n = tls_client_take(l->tls, bytes_reserve(&l->raw, GATHER),
                              GATHER)) > 0)
    l->raw.n += n;
  link_send_raw(l, l->raw.p, l->raw.n);
  l->raw.n = 0;
}

void
link_send(struct link *l, const void *p, size_t n)
{
  if (!l->tls) {
    link_send_raw(l, p, n);
    return;
  }
  if (!tls_client_put(l->tls, p, n))
    l->shut = true;
  link_flush(l);
}

void
link_shut(struct link *l)
{
  link_uncork(l);
  shutdown(l->fd, SHUT_WR);
  l->shut = true;
}

/* ---------------------------------------------------------------------- TLS */

/* Sends the first half of the greeting alone. */
static void
send_half(struct link *l)
{
  uint8_t p[4096];
  const size_t n = tls_client_take(l->tls, p, sizeof p);

  link_send_raw(l, p, n / 2);
}

/* Hands what the server says to TLS; false: nothing. */
static bool
feed(struct link *l)
{
  struct bytes records = {0};

  /* What was corrupted may leave the server waiting for more. */
  if (l->corrupted)
    house_barrier();
  else
    wait_for(l, false);
  const bool some = receive(l, &records);
  if (some)
    tls_client_feed(l->tls, records.p, records.n);
  free(records.p);
  return some;
}

bool
link_secure(struct link *l, unsigned kind, bool half)
{
  int r;

  FUZZ_ASSERT(!l->tls && l->came.n == 0);
  l->tls = tls_client_new((enum tls_kind)kind);
  while ((r = tls_client_step(l->tls)) == TLS_CLIENT_NOTHING) {
    if (half) {
      send_half(l);
      return false;
    }
    link_flush(l);
    if (!feed(l))
      break;
  }
  link_flush(l); /* the last words, or the alert */
  if (r == 1)
    decrypt(l);
  return r == 1;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tls: OpenSSL over a socket, in whole batches. See tls.h.
 *
 * OpenSSL alone would make a system call of every 16 KiB record. On the way in
 * its own read-ahead buffer is made large; on the way out a buffering BIO sits
 * between the records and the socket and is flushed once a batch.
 */

#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "fail.h"
#include "tls.h"

#define BATCH_SIZE (256 * 1024)  /* plain bytes encrypted at once */
#define PSK_MAX 64

struct tls_context {
  SSL_CTX *ssl_ctx;
  char *host_name;
  char psk_name[128];
  unsigned char psk[PSK_MAX];
  unsigned psk_len;
};

struct tls {
  SSL *ssl;
  BIO *out;  /* the buffering BIO; owned by ssl */
  int fd;
  unsigned char *batch;  /* plain bytes taken, made on first use */
  size_t batch_len;
  size_t batch_done;  /* of these, encrypted */
  bool unflushed;
  bool drained;  /* OpenSSL has seen all that the socket had */
};

/* Find NAME's key in FILE, or the first key. */
static void
load_psk(struct tls_context *context, const char *file, const char *name)
{
  char line[512], hex[2 * PSK_MAX + 2];
  FILE *f = fopen(file, "r");

  if (!f)
    fail(FAIL_USAGE, "%s: %s", file, strerror(errno));
  while (fgets(line, sizeof line, f)) {
    if (line[0] == '#' ||
        sscanf(line, "%127[^:]:%129[0-9a-fA-F]", context->psk_name, hex) != 2)
      continue;
    if (name && strcmp(name, context->psk_name) != 0)
      continue;
    size_t len = strlen(hex) / 2;
    if (len == 0 || len > PSK_MAX)
      fail(FAIL_USAGE, "%s: a key of %zu bytes", file, len);
    for (size_t i = 0; i < len; i++)
      sscanf(hex + 2 * i, "%2hhx", &context->psk[i]);
    context->psk_len = len;
    fclose(f);
    return;
  }
  fail(FAIL_USAGE, "%s: no key for %s", file, name ? name : "anyone");
}

static unsigned
give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
         unsigned char *psk, unsigned psk_max)
{
  const struct tls_context *context = SSL_get_app_data(ssl);

  (void)hint;
  if (strlen(context->psk_name) >= identity_max || context->psk_len > psk_max)
    return 0;
  strcpy(identity, context->psk_name);
  memcpy(psk, context->psk, context->psk_len);
  return context->psk_len;
}

struct tls_context *
tls_context_new(const struct tls_options *options)
{
  struct tls_context *context = xcalloc(1, sizeof *context);
  SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

  if (!ssl_ctx)
    fail(FAIL_SYSTEM, "OpenSSL: %s", tls_error());
  context->ssl_ctx = ssl_ctx;
  SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
  SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ssl_ctx, 1);
  SSL_CTX_set_default_read_buffer_len(ssl_ctx, BATCH_SIZE);
  SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
  if (options->ciphers && !SSL_CTX_set_ciphersuites(ssl_ctx, options->ciphers))
    fail(FAIL_USAGE, "TLS ciphers %s: %s", options->ciphers, tls_error());

  if (options->psk_file) {
    load_psk(context, options->psk_file, options->psk_name);
    SSL_CTX_set_psk_client_callback(ssl_ctx, give_psk);
  } else if (options->ca_file) {
    if (!SSL_CTX_load_verify_file(ssl_ctx, options->ca_file))
      fail(FAIL_USAGE, "%s: %s", options->ca_file, tls_error());
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    context->host_name = strdup(options->host_name ? options->host_name
                                                   : "localhost");
  }
  return context;
}

void
tls_context_free(struct tls_context *context)
{
  if (!context)
    return;
  SSL_CTX_free(context->ssl_ctx);
  free(context->host_name);
  free(context);
}

struct tls *
tls_new(struct tls_context *context, int fd)
{
  struct tls *tls = xcalloc(1, sizeof *tls);

  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  tls->fd = fd;
  tls->ssl = SSL_new(context->ssl_ctx);
  tls->out = BIO_new(BIO_f_buffer());
  BIO *in = BIO_new_socket(fd, BIO_NOCLOSE);
  BIO *socket = BIO_new_socket(fd, BIO_NOCLOSE);
  if (!tls->ssl || !tls->out || !in || !socket ||
      BIO_set_write_buffer_size(tls->out, BATCH_SIZE + BATCH_SIZE / 8) != 1)
    fail(FAIL_SYSTEM, "OpenSSL: %s", tls_error());
  SSL_set_bio(tls->ssl, in, BIO_push(tls->out, socket));
  SSL_set_app_data(tls->ssl, context);
  if (context->host_name) {
    SSL_set_tlsext_host_name(tls->ssl, context->host_name);
    SSL_set1_host(tls->ssl, context->host_name);
  }
  SSL_set_connect_state(tls->ssl);
  return tls;
}

void
tls_free(struct tls *tls)
{
  if (!tls)
    return;
  SSL_free(tls->ssl);
  free(tls->batch);
  free(tls);
}

int
tls_handshake(struct tls *tls)
{
  ERR_clear_error();
  int r = SSL_do_handshake(tls->ssl);

  BIO_flush(tls->out);
  if (r == 1)
    return 0;
  return SSL_get_error(tls->ssl, r) == SSL_ERROR_WANT_READ ? -EAGAIN : -EPROTO;
}

/* One record's worth: bytes, 0, -EAGAIN, -EPROTO. */
static ssize_t
recv_record(struct tls *tls, void *buf, size_t len)
{
  size_t n;

  ERR_clear_error();
  tls->drained = SSL_read_ex(tls->ssl, buf, len, &n) != 1;
  if (!tls->drained)
    return (ssize_t)n;
  switch (SSL_get_error(tls->ssl, 0)) {
  case SSL_ERROR_WANT_READ:
    return -EAGAIN;
  case SSL_ERROR_ZERO_RETURN:
    return 0;
  default:
    return -EPROTO;
  }
}

ssize_t
tls_recv(struct tls *tls, void *buf, size_t len, bool wait)
{
  ssize_t n = recv_record(tls, buf, len);

  while (n == -EAGAIN && wait) {
    struct pollfd readable = {.fd = tls->fd, .events = POLLIN};
    if (poll(&readable, 1, 30000) != 1)
      return -EAGAIN;
    n = recv_record(tls, buf, len);
  }
  if (n <= 0)
    return n;

  size_t total = n;
  while (total < len && SSL_has_pending(tls->ssl)) {
    n = recv_record(tls, (char *)buf + total, len - total);
    if (n <= 0)
      break;  /* an end or an error comes again with the next call */
    total += n;
  }
  return (ssize_t)total;
}

bool
tls_has_input(const struct tls *tls)
{
  return !tls->drained && SSL_has_pending(tls->ssl);
}

int
tls_flush(struct tls *tls)
{
  ERR_clear_error();
  while (tls->batch_done < tls->batch_len) {
    size_t n;
    if (SSL_write_ex(tls->ssl, tls->batch + tls->batch_done,
                     tls->batch_len - tls->batch_done, &n) == 1) {
      tls->batch_done += n;
      tls->unflushed = true;
    } else {
      return SSL_get_error(tls->ssl, 0) == SSL_ERROR_WANT_WRITE ? -EAGAIN
                                                                : -EPROTO;
    }
  }
  tls->batch_len = tls->batch_done = 0;
  if (tls->unflushed && BIO_flush(tls->out) != 1)
    return BIO_should_retry(tls->out) ? -EAGAIN : -EPROTO;
  tls->unflushed = false;
  return 0;
}

bool
tls_has_output(const struct tls *tls)
{
  return tls->batch_done < tls->batch_len || tls->unflushed;
}

ssize_t
tls_send(struct tls *tls, const struct iovec *iov, int count)
{
  size_t taken = 0;

  if (tls_has_output(tls))
    return -EAGAIN;
  if (!tls->batch)
    tls->batch = xcalloc(1, BATCH_SIZE);
  for (int i = 0; i < count && tls->batch_len < BATCH_SIZE; i++) {
    size_t n = BATCH_SIZE - tls->batch_len;
    if (n > iov[i].iov_len)
      n = iov[i].iov_len;
    memcpy(tls->batch + tls->batch_len, iov[i].iov_base, n);
    tls->batch_len += n;
    taken += n;
  }
  int r = tls_flush(tls);
  return r < 0 && r != -EAGAIN ? r : (ssize_t)taken;
}

void
tls_shutdown(struct tls *tls)
{
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  BIO_flush(tls->out);
}

const char *
tls_error(void)
{
  static char text[256];
  unsigned long code = ERR_peek_error();

  if (!code)
    return "the connection was closed";
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

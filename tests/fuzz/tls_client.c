/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_client.c: see tls_client.h. */
#include "config.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/tls_client.h"

struct tls_client {
  SSL *ssl;
  BIO *in, *out; /* the session's own */
  enum tls_kind kind;
};

static const struct kind {
  int version;
  const char *ciphers; /* of TLS 1.2 */
  const char *identity, *key;
} kinds[] = {
  [TLS_KIND_13] = {TLS1_3_VERSION, NULL, HOUSE_IDENTITY, HOUSE_KEY},
  [TLS_KIND_12] = {TLS1_2_VERSION, "kECDHEPSK:kDHEPSK", HOUSE_IDENTITY,
                   HOUSE_KEY},
  [TLS_KIND_12_PLAIN] = {TLS1_2_VERSION, "kPSK", HOUSE_IDENTITY, HOUSE_KEY},
  [TLS_KIND_ANY] = {0, "PSK", HOUSE_IDENTITY, HOUSE_KEY},
  [TLS_KIND_WRONG_KEY] = {TLS1_3_VERSION, NULL, HOUSE_IDENTITY,
                          "0123456789abcdef"},
  [TLS_KIND_STRANGER] = {TLS1_3_VERSION, NULL, "stranger", HOUSE_KEY},
  [TLS_KIND_NO_KEY] = {TLS1_3_VERSION, NULL, NULL, NULL},
  [TLS_KIND_12_WRONG_KEY] = {TLS1_2_VERSION, "kPSK", HOUSE_IDENTITY,
                             "0123456789abcdef"},
};

static const struct kind *
kind_of(SSL *ssl)
{
  const struct tls_client *t = SSL_get_app_data(ssl);
  return &kinds[t->kind];
}

/* TLS 1.2. */
static unsigned
on_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_size,
       unsigned char *key, unsigned key_size)
{
  const struct kind *kind = kind_of(ssl);

  (void)hint;
  FUZZ_ASSERT(key_size >= HOUSE_KEY_LEN);
  snprintf(identity, identity_size, "%s", kind->identity);
  memcpy(key, kind->key, HOUSE_KEY_LEN);
  return HOUSE_KEY_LEN;
}

/* TLS 1.3. */
static int
on_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **id,
               size_t *id_len, SSL_SESSION **session)
{
  static const unsigned char suite[2] = {0x13, 0x01};
  const struct kind *kind = kind_of(ssl);

  (void)md;
  *id = (const unsigned char *)kind->identity;
  *id_len = kind->identity ? strlen(kind->identity) : 0;
  *session = NULL;
  if (!kind->identity)
    return 1;
  *session = SSL_SESSION_new();
  return *session &&
         SSL_SESSION_set1_master_key(*session,
                                     (const unsigned char *)kind->key,
                                     HOUSE_KEY_LEN) &&
         SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, suite)) &&
         SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
}

static SSL_CTX *client_ctx;

static void
free_ctx(void)
{
  SSL_CTX_free(client_ctx);
}

static void
make_ctx(void)
{
  client_ctx = SSL_CTX_new(TLS_client_method());
  FUZZ_ASSERT(client_ctx);
  SSL_CTX_set_psk_use_session_callback(client_ctx, on_psk_session);
  SSL_CTX_set_verify(client_ctx, SSL_VERIFY_NONE, NULL);
  atexit(free_ctx);
}

struct tls_client *
tls_client_new(enum tls_kind kind)
{
  struct tls_client *t = calloc(1, sizeof *t);

  if (!client_ctx)
    make_ctx();
  FUZZ_ASSERT(t && (t->ssl = SSL_new(client_ctx)) != NULL);
  t->kind = kind;
  t->in = BIO_new(BIO_s_mem());
  t->out = BIO_new(BIO_s_mem());
  FUZZ_ASSERT(t->in && t->out);
  BIO_set_mem_eof_return(t->in, -1);
  SSL_set_bio(t->ssl, t->in, t->out);
  SSL_set_app_data(t->ssl, t);
  SSL_set_connect_state(t->ssl);
  SSL_set_min_proto_version(t->ssl, kinds[kind].version);
  SSL_set_max_proto_version(t->ssl, kinds[kind].version);
  if (kinds[kind].ciphers) {
    FUZZ_ASSERT(SSL_set_cipher_list(t->ssl, kinds[kind].ciphers));
    SSL_set_psk_client_callback(t->ssl, on_psk);
  }
  return t;
}

void
tls_client_free(struct tls_client *t)
{
  if (!t)
    return;
  SSL_free(t->ssl);
  free(t);
  ERR_clear_error();
}

int
tls_client_step(struct tls_client *t)
{
  ERR_clear_error();
  const int r = SSL_do_handshake(t->ssl);

  if (r == 1)
    return 1;
  return SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ ? TLS_CLIENT_NOTHING
                                                         : TLS_CLIENT_BROKEN;
}

void
tls_client_feed(struct tls_client *t, const void *p, size_t n)
{
  FUZZ_ASSERT(BIO_write(t->in, p, (int)n) == (int)n);
}

size_t
tls_client_take(struct tls_client *t, void *p, size_t n)
{
  const int r = BIO_read(t->out, p, (int)n);

  return r > 0 ? (size_t)r : 0;
}

bool
tls_client_put(struct tls_client *t, const void *p, size_t n)
{
  ERR_clear_error();
  return n == 0 || SSL_write(t->ssl, p, (int)n) == (int)n;
}

ssize_t
tls_client_get(struct tls_client *t, void *p, size_t n)
{
  ERR_clear_error();
  const int r = SSL_read(t->ssl, p, (int)n);

  if (r > 0)
    return r;
  switch (SSL_get_error(t->ssl, r)) {
  case SSL_ERROR_WANT_READ:
    return TLS_CLIENT_NOTHING;
  case SSL_ERROR_ZERO_RETURN:
    return TLS_CLIENT_GOODBYE;
  default:
    return TLS_CLIENT_BROKEN;
  }
}

bool
tls_client_update(struct tls_client *t, bool ask)
{
  ERR_clear_error();
  if (SSL_version(t->ssl) != TLS1_3_VERSION ||
      !SSL_key_update(t->ssl, ask ? SSL_KEY_UPDATE_REQUESTED
                                  : SSL_KEY_UPDATE_NOT_REQUESTED))
    return false;
  return SSL_do_handshake(t->ssl) == 1;
}

void
tls_client_renegotiate(struct tls_client *t)
{
  ERR_clear_error();
  if (SSL_version(t->ssl) == TLS1_2_VERSION && SSL_renegotiate(t->ssl))
    SSL_do_handshake(t->ssl);
}

void
tls_client_goodbye(struct tls_client *t)
{
  ERR_clear_error();
  SSL_shutdown(t->ssl);
}

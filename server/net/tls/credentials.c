/* SPDX-License-Identifier: BSD-2-Clause */
/* credentials.c: certificates and keys made OpenSSL's, out of bytes; see
 * credentials.h.
 *
 * Choices, and what for:
 * - TLS 1.2 is the oldest version; only suites with AES-GCM or ChaCha20, ours
 *   in our order.  AES-128-GCM comes first: it is the fastest, and its SHA-256
 *   is the hash that external pre-shared keys are bound to in TLS 1.3, so that
 *   they work beside certificates.
 * - No session tickets, no session cache, no renegotiation: kernels that do TLS
 *   for their nbd client stop at records that come after the handshake.
 * - Buffers are given back when empty: most connections are idle.
 * - Bytes are read ahead, so that one system call brings many small records. */
#include "config.h"

#include "net/tls/credentials.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "net/tls/keys.h"

#define CIPHERSUITES \
  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CERTIFICATE_CIPHERS \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
  "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:"
/* Those with forward secrecy first. */
#define PSK_CIPHERS \
  "DHE-PSK-AES128-GCM-SHA256:DHE-PSK-AES256-GCM-SHA384:" \
  "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-CHACHA20-POLY1305:" \
  "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-CHACHA20-POLY1305:"
#define MAX_CERTIFICATES 32768 /* bytes that a stranger may announce */
#define SECURITY_LEVEL 2       /* 112 bits: RSA and DH from 2048 on */

static const unsigned char aes_128_gcm_sha256[2] = { 0x13, 0x01 };

struct tls_credentials {
  SSL_CTX *ssl_ctx;
  struct psk_file *psk;                   /* NULL: none */
  unsigned char nobodys_key[PSK_MAX_KEY]; /* see claim_key() */
  atomic_uint refs;
};

void
tls_reason(char *buf, size_t size)
{
  unsigned long code = ERR_get_error();
  const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

  if (reason)
    snprintf(buf, size, "%s", reason);
  else if (ERR_SYSTEM_ERROR(code))
    snprintf(buf, size, "%s", strerror(ERR_GET_REASON(code)));
  else
    snprintf(buf, size, "error %lx", code);
  ERR_clear_error();
}

static int
fail_tls(struct vhd_error *err, const char *what, const char *path)
{
  char reason[256];
  tls_reason(reason, sizeof reason);
  return fail_argument(err, "TLS: %s %s: %s", what, path, reason);
}

/* ---------------------------------------------------------- pre-shared keys */

/* The key of identity, noted as the client's claim.  Whom we do not know gets a
 * key that nobody has, and fails where a wrong key does, in the same way, after
 * the same work.  NULL for what is no identity, as anybody can see. */
static const unsigned char *
claim_key(SSL *ssl, const void *identity, size_t identity_len, size_t *key_len)
{
  const struct tls_credentials *credentials =
    SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  struct tls_claim *claim = SSL_get_app_data(ssl);

  claim->identity[0] = '\0';
  claim->unknown = false;
  if (identity_len == 0 || identity_len > PSK_MAX_IDENTITY ||
      memchr(identity, '\0', identity_len) != NULL)
    return NULL;
  memcpy(claim->identity, identity, identity_len);
  claim->identity[identity_len] = '\0';
  const unsigned char *key =
    psk_find(credentials->psk, identity, identity_len, key_len);
  if (!key) {
    claim->unknown = true;
    key = credentials->nobodys_key;
    *key_len = psk_usual_length(credentials->psk);
  }
  return key;
}

/* TLS 1.2. */
static unsigned
on_psk(SSL *ssl, const char *identity, unsigned char *buf, unsigned size)
{
  size_t len;
  const unsigned char *key =
    identity != NULL ? claim_key(ssl, identity, strlen(identity), &len) : NULL;
  if (!key || len > size)
    return 0;
  memcpy(buf, key, len);
  return (unsigned)len;
}

/* TLS 1.3, where a pre-shared key is a session that never was. */
static int
on_psk_session(SSL *ssl, const unsigned char *identity, size_t identity_len,
               SSL_SESSION **session)
{
  size_t len;
  const unsigned char *key = claim_key(ssl, identity, identity_len, &len);

  *session = NULL;
  if (!key)
    return 1;
  SSL_SESSION *made = SSL_SESSION_new();
  if (!made || !SSL_SESSION_set1_master_key(made, key, len) ||
      !SSL_SESSION_set_cipher(made,
                              SSL_CIPHER_find(ssl, aes_128_gcm_sha256)) ||
      !SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION)) {
    SSL_SESSION_free(made);
    return 0;
  }
  *session = made;
  return 1;
}

static int
use_psk(struct tls_credentials *credentials, const struct key_bytes *bytes,
        struct vhd_error *err)
{
  int r =
    psk_parse(bytes->path, bytes->data, bytes->len, &credentials->psk, err);
  if (r == 0 && RAND_priv_bytes(credentials->nobodys_key,
                                sizeof credentials->nobodys_key) != 1)
    r = fail_tls(err, "no random bytes for", bytes->path);
  if (r == 0) {
    SSL_CTX_set_psk_server_callback(credentials->ssl_ctx, on_psk);
    SSL_CTX_set_psk_find_session_callback(credentials->ssl_ctx,
                                          on_psk_session);
    SSL_CTX_set_dh_auto(credentials->ssl_ctx, 1);
  }
  return r;
}

/* ------------------------------------------------------------- certificates */

/* A server has nobody to ask for a pass phrase. */
static int
no_pass_phrase(char *buf, int size, int writing, void *opaque)
{
  (void)buf;
  (void)size;
  (void)writing;
  (void)opaque;
  return -1;
}

static BIO *
open_bytes(const struct key_bytes *bytes)
{
  return BIO_new_mem_buf(bytes->data, (int)bytes->len);
}

/* Was there no more to read, rather than something that is no PEM? */
static bool
is_at_end(void)
{
  unsigned long code = ERR_peek_last_error();
  bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM &&
                ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

  if (at_end)
    ERR_clear_error();
  return at_end;
}

static void
warn_of_dates(const X509 *cert, const char *path)
{
  if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
    log_warning("%s has expired: clients will refuse it", path);
  else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
    log_warning("%s is not valid yet: clients will refuse it", path);
}

/* The first certificate is the server's; those behind lead to the authority. */
static bool
read_chain(SSL_CTX *ssl_ctx, BIO *bio, const char *path)
{
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, NULL);
  bool good = cert != NULL && SSL_CTX_use_certificate(ssl_ctx, cert) == 1;

  if (good)
    warn_of_dates(cert, path);
  X509_free(cert);
  while (good &&
         (cert = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL)) != NULL) {
    good = SSL_CTX_add0_chain_cert(ssl_ctx, cert) == 1;
    if (!good)
      X509_free(cert);
  }
  return good && is_at_end();
}

static bool
read_private(SSL_CTX *ssl_ctx, BIO *bio)
{
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
  bool good = key != NULL && SSL_CTX_use_PrivateKey(ssl_ctx, key) == 1;

  EVP_PKEY_free(key);
  return good;
}

static int
use_own(SSL_CTX *ssl_ctx, const struct keys *keys, struct vhd_error *err)
{
  const struct key_bytes *cert = &keys->files[KEY_CERT];
  const struct key_bytes *key = &keys->files[KEY_PRIVATE];

  BIO *bio = open_bytes(cert);
  bool good = bio != NULL && read_chain(ssl_ctx, bio, cert->path);
  BIO_free(bio);
  if (!good)
    return fail_tls(err, "cannot load the certificate", cert->path);
  bio = open_bytes(key);
  good = bio != NULL && read_private(ssl_ctx, bio);
  BIO_free(bio);
  return good ? 0 : fail_tls(err, "cannot load the private key", key->path);
}

static void
warn_of_old_list(const X509_CRL *crl, const char *path)
{
  const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

  if (next && X509_cmp_current_time(next) < 0) {
    log_warning("%s has expired: clients' certificates will be refused until "
                "there is a new one",
                path);
  }
}

/* Clients are told the authorities' names, so that they know which of their
 * certificates to show. */
static bool
trust_one(SSL_CTX *ssl_ctx, const X509_INFO *info, bool tell)
{
  X509_STORE *store = SSL_CTX_get_cert_store(ssl_ctx);

  return (!info->x509 ||
          (X509_STORE_add_cert(store, info->x509) == 1 &&
           (!tell || SSL_CTX_add_client_CA(ssl_ctx, info->x509) == 1))) &&
         (!info->crl || X509_STORE_add_crl(store, info->crl) == 1);
}

/* Certificates and lists of revocations in any order, at least so many. */
static bool
trust_all(SSL_CTX *ssl_ctx, const struct key_bytes *bytes, int min_certs,
          int min_crls, bool tell)
{
  BIO *bio = open_bytes(bytes);
  STACK_OF(X509_INFO) *all =
    bio != NULL ? PEM_X509_INFO_read_bio(bio, NULL, no_pass_phrase, NULL)
                : NULL;
  bool good = all != NULL;

  for (int i = 0; good && i < sk_X509_INFO_num(all); i++) {
    const X509_INFO *info = sk_X509_INFO_value(all, i);
    min_certs -= info->x509 != NULL;
    min_crls -= info->crl != NULL;
    if (info->crl)
      warn_of_old_list(info->crl, bytes->path);
    good = trust_one(ssl_ctx, info, tell);
  }
  sk_X509_INFO_pop_free(all, X509_INFO_free);
  BIO_free(bio);
  if (good && (min_certs > 0 || min_crls > 0)) {
    ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
    good = false;
  }
  return good;
}

/* Whom to trust, and whom no more. */
static int
use_trust(SSL_CTX *ssl_ctx, const struct keys *keys, struct vhd_error *err)
{
  const struct key_bytes *ca = &keys->files[KEY_CA];
  const struct key_bytes *crl = &keys->files[KEY_CRL];

  if (ca->data && !trust_all(ssl_ctx, ca, 1, 0, keys->verify_peer))
    return fail_tls(err, "cannot load the authorities in", ca->path);
  if (!keys->verify_peer)
    return 0;
  SSL_CTX_set_verify(ssl_ctx,
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  if (!crl->data)
    return 0;
  if (!trust_all(ssl_ctx, crl, 0, 1, false))
    return fail_tls(err, "cannot load the revocations in", crl->path);
  X509_STORE_set_flags(SSL_CTX_get_cert_store(ssl_ctx),
                       X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return 0;
}

/* -------------------------------------------------------------- credentials */

static SSL_CTX *
make_ssl_ctx(bool certificates, bool psk)
{
  static const unsigned char id[] = "vhdkitd";
  char ciphers[sizeof CERTIFICATE_CIPHERS + sizeof PSK_CIPHERS];
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

  if (!ctx)
    return NULL;
  snprintf(ciphers, sizeof ciphers, "%s%s",
           certificates ? CERTIFICATE_CIPHERS : "", psk ? PSK_CIPHERS : "");
  SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                             SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE |
                             SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
                          SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_max_cert_list(ctx, MAX_CERTIFICATES);
  if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
      !SSL_CTX_set_max_proto_version(ctx, 0) ||
      !SSL_CTX_set_num_tickets(ctx, 0) ||
      !SSL_CTX_set_ciphersuites(ctx, CIPHERSUITES) ||
      !SSL_CTX_set_cipher_list(ctx, ciphers) ||
      !SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1)) {
    SSL_CTX_free(ctx);
    return NULL;
  }
  return ctx;
}

void
tls_credentials_unref(struct tls_credentials *credentials)
{
  if (credentials && --credentials->refs == 0) {
    SSL_CTX_free(credentials->ssl_ctx);
    psk_close(credentials->psk);
    explicit_bzero(credentials->nobodys_key, sizeof credentials->nobodys_key);
    free(credentials);
  }
}

static int
use_all(struct tls_credentials *credentials, const struct keys *keys,
        struct vhd_error *err)
{
  bool certificates = keys->files[KEY_CERT].data != NULL;
  bool psk = keys->files[KEY_PSK].data != NULL;
  int r = 0;

  credentials->ssl_ctx = make_ssl_ctx(certificates, psk);
  if (!credentials->ssl_ctx)
    return fail_tls(err, "cannot set up", "OpenSSL");
  SSL_CTX_set_app_data(credentials->ssl_ctx, credentials);
  if (certificates) {
    r = use_own(credentials->ssl_ctx, keys, err);
    if (r == 0)
      r = use_trust(credentials->ssl_ctx, keys, err);
  }
  if (r == 0 && psk)
    r = use_psk(credentials, &keys->files[KEY_PSK], err);
  return r;
}

int
tls_credentials_new(const struct keys *keys,
                    struct tls_credentials **credentials,
                    struct vhd_error *err)
{
  *credentials = calloc(1, sizeof **credentials);
  if (!*credentials)
    return fail_system(err, ENOMEM, "TLS");
  (*credentials)->refs = 1;
  ERR_clear_error();
  int r = use_all(*credentials, keys, err);
  if (r < 0) {
    tls_credentials_unref(*credentials);
    *credentials = NULL;
  }
  ERR_clear_error();
  return r;
}

struct tls_credentials *
tls_credentials_ref(struct tls_credentials *credentials)
{
  credentials->refs++;
  return credentials;
}

bool
tls_credentials_have_no_psk(const struct tls_credentials *credentials)
{
  return credentials->psk != NULL && psk_count(credentials->psk) == 0;
}

struct ssl_st *
tls_credentials_session(struct tls_credentials *credentials,
                        struct tls_claim *claim)
{
  SSL *ssl = SSL_new(credentials->ssl_ctx);
  if (ssl) {
    *claim = (struct tls_claim){ .identity = "" };
    SSL_set_app_data(ssl, claim);
    SSL_set_accept_state(ssl);
  }
  return ssl;
}

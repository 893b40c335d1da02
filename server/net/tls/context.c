/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loading certificates and keys into OpenSSL; see context.h.
 *
 * Choices, and what for:
 * - TLS 1.2 is the oldest version; only suites with AES-GCM or ChaCha20, ours
 *   in our order.  AES-128-GCM comes first: it is the fastest, and its SHA-256
 *   is the hash that external pre-shared keys are bound to in TLS 1.3, so that
 *   they work beside certificates.
 * - No session tickets, no session cache, no renegotiation: kernels that do TLS
 *   for their nbd client stop at records that come after the handshake.
 * - Buffers are given back when empty: most connections are idle.
 * - Bytes are read ahead, so that one system call brings many small records.
 */
#include "config.h"

#include "net/tls/context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

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
#define SECURITY_LEVEL 2 /* 112 bits: RSA and DH from 2048 on */

static const unsigned char aes_128_gcm_sha256[2] = {0x13, 0x01};

enum {
  FILE_CA,
  FILE_CERT,
  FILE_KEY,
  FILE_CRL,
  FILE_PSK,
  NFILES,
};

static const char *const file_names[] = {
  [FILE_CA] = "ca-cert.pem",
  [FILE_CERT] = "server-cert.pem",
  [FILE_KEY] = "server-key.pem",
  [FILE_CRL] = "ca-crl.pem",
};

/* Tells one content of a file from the next without reading it. */
struct stamp {
  bool exists;
  ino_t ino;
  off_t size;
  struct timespec mtime;
  struct timespec ctime;
};

struct tls_credentials {
  SSL_CTX *ssl_ctx;
  struct psk_file *psk; /* NULL: none */
  atomic_uint refs;
};

struct tls_context {
  struct tls_config config;
  char *paths[NFILES]; /* NULL: not used */
  pthread_mutex_t lock; /* of what follows */
  struct tls_credentials *newest;
  struct stamp stamps[NFILES];
  time_t looked; /* when the stamps were compared last */
};

void
tls_reason(char *buf, size_t size)
{
  unsigned long code = ERR_get_error();
  const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

  if (reason != NULL) {
    snprintf(buf, size, "%s", reason);
  } else if (ERR_SYSTEM_ERROR(code)) {
    snprintf(buf, size, "%s", strerror(ERR_GET_REASON(code)));
  } else {
    snprintf(buf, size, "error %lx", code);
  }
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

/* The key of identity, noted as the client's claim. */
static const unsigned char *
claim_key(SSL *ssl, const void *identity, size_t identity_len,
          size_t *key_len)
{
  const struct tls_credentials *credentials =
    SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  struct tls_claim *claim = SSL_get_app_data(ssl);
  const unsigned char *key =
    psk_find(credentials->psk, identity, identity_len, key_len);

  if (key == NULL) {
    claim->identity[0] = '\0';
  } else {
    memcpy(claim->identity, identity, identity_len);
    claim->identity[identity_len] = '\0';
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
  if (key == NULL || len > size) {
    return 0;
  }
  memcpy(buf, key, len);
  return (unsigned) len;
}

/* TLS 1.3, where a pre-shared key is a session that never was. */
static int
on_psk_session(SSL *ssl, const unsigned char *identity, size_t identity_len,
               SSL_SESSION **session)
{
  size_t len;
  const unsigned char *key = claim_key(ssl, identity, identity_len, &len);

  *session = NULL;
  if (key == NULL) {
    return 1;
  }
  SSL_SESSION *made = SSL_SESSION_new();
  if (made == NULL || !SSL_SESSION_set1_master_key(made, key, len) ||
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
load_psk(struct tls_credentials *credentials, const char *path,
         struct vhd_error *err)
{
  int r = psk_open(path, &credentials->psk, err);
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
  (void) buf;
  (void) size;
  (void) writing;
  (void) opaque;
  return -1;
}

static void
warn_of_dates(SSL_CTX *ssl_ctx, const char *path)
{
  const X509 *cert = SSL_CTX_get0_certificate(ssl_ctx);
  if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
    log_warning("%s has expired: clients will refuse it", path);
  } else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
    log_warning("%s is not valid yet: clients will refuse it", path);
  }
}

static int
load_own(SSL_CTX *ssl_ctx, const char *cert, const char *key,
         struct vhd_error *err)
{
  struct stat st;

  if (access(cert, R_OK) < 0 || access(key, R_OK) < 0) {
    return fail_system(err, errno, "TLS: cannot read %s and %s", cert, key);
  }
  if (stat(key, &st) == 0 && (st.st_mode & S_IRWXO) != 0) {
    log_warning("%s: everybody can read this private key; chmod o= %s", key,
                key);
  }
  if (SSL_CTX_use_certificate_chain_file(ssl_ctx, cert) != 1) {
    return fail_tls(err, "cannot load the certificate", cert);
  }
  warn_of_dates(ssl_ctx, cert);
  if (SSL_CTX_use_PrivateKey_file(ssl_ctx, key, SSL_FILETYPE_PEM) != 1) {
    return fail_tls(err, "cannot load the private key", key);
  }
  return 0;
}

/* Whom to trust, and whom no more. */
static int
load_trust(SSL_CTX *ssl_ctx, const char *ca, const char *crl, bool verify,
           struct vhd_error *err)
{
  if (access(ca, R_OK) < 0) {
    return !verify && errno == ENOENT
             ? 0
             : fail_system(err, errno, "TLS: cannot read %s", ca);
  }
  if (SSL_CTX_load_verify_file(ssl_ctx, ca) != 1) {
    return fail_tls(err, "cannot load the authorities in", ca);
  }
  if (!verify) {
    return 0;
  }
  SSL_CTX_set_client_CA_list(ssl_ctx, SSL_load_client_CA_file(ca));
  SSL_CTX_set_verify(ssl_ctx,
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  if (access(crl, F_OK) < 0) {
    return errno == ENOENT ? 0
                           : fail_system(err, errno, "TLS: cannot read %s",
                                         crl);
  }
  X509_STORE *store = SSL_CTX_get_cert_store(ssl_ctx);
  X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  if (lookup == NULL ||
      X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) < 1) {
    return fail_tls(err, "cannot load the revocations in", crl);
  }
  X509_STORE_set_flags(store,
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

  if (ctx == NULL) {
    return NULL;
  }
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
  SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
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
  if (credentials != NULL && --credentials->refs == 0) {
    SSL_CTX_free(credentials->ssl_ctx);
    psk_close(credentials->psk);
    free(credentials);
  }
}

static int
load_all(const struct tls_context *context,
         struct tls_credentials *credentials, struct vhd_error *err)
{
  char *const *paths = context->paths;
  int r = 0;

  credentials->ssl_ctx =
    make_ssl_ctx(paths[FILE_CERT] != NULL, paths[FILE_PSK] != NULL);
  if (credentials->ssl_ctx == NULL) {
    return fail_tls(err, "cannot set up", "OpenSSL");
  }
  SSL_CTX_set_app_data(credentials->ssl_ctx, credentials);
  if (paths[FILE_CERT] != NULL) {
    r = load_own(credentials->ssl_ctx, paths[FILE_CERT], paths[FILE_KEY], err);
    if (r == 0) {
      r = load_trust(credentials->ssl_ctx, paths[FILE_CA], paths[FILE_CRL],
                     context->config.verify_peer, err);
    }
  }
  if (r == 0 && paths[FILE_PSK] != NULL) {
    r = load_psk(credentials, paths[FILE_PSK], err);
  }
  return r;
}

static int
load_credentials(const struct tls_context *context,
                 struct tls_credentials **credentials, struct vhd_error *err)
{
  *credentials = calloc(1, sizeof **credentials);
  if (*credentials == NULL) {
    return fail_system(err, ENOMEM, "TLS");
  }
  (*credentials)->refs = 1;
  ERR_clear_error();
  int r = load_all(context, *credentials, err);
  if (r < 0) {
    tls_credentials_unref(*credentials);
    *credentials = NULL;
  }
  ERR_clear_error();
  return r;
}

struct ssl_st *
tls_credentials_session(struct tls_credentials *credentials,
                        struct tls_claim *claim)
{
  SSL *ssl = SSL_new(credentials->ssl_ctx);
  if (ssl != NULL) {
    claim->identity[0] = '\0';
    SSL_set_app_data(ssl, claim);
    SSL_set_accept_state(ssl);
  }
  return ssl;
}

/* ------------------------------------------------------------------ context */

static void
take_stamps(const struct tls_context *context, struct stamp *stamps)
{
  struct stat st;

  memset(stamps, 0, NFILES * sizeof *stamps); /* compared by memcmp() */
  for (int i = 0; i < NFILES; i++) {
    if (context->paths[i] != NULL && stat(context->paths[i], &st) == 0) {
      stamps[i].exists = true;
      stamps[i].ino = st.st_ino;
      stamps[i].size = st.st_size;
      stamps[i].mtime = st.st_mtim;
      stamps[i].ctime = st.st_ctim;
    }
  }
}

/* Under the lock.  What does not load now is not tried again until it changes
 * again. */
static void
reload(struct tls_context *context)
{
  struct tls_credentials *credentials;
  struct vhd_error err;

  if (load_credentials(context, &credentials, &err) < 0) {
    log_warning("%s; the former certificates and keys stay in use",
                err.message);
    return;
  }
  tls_credentials_unref(context->newest);
  context->newest = credentials;
  log_notice("TLS: loaded certificates and keys again");
}

void
tls_context_reload(struct tls_context *context)
{
  pthread_mutex_lock(&context->lock);
  take_stamps(context, context->stamps);
  reload(context);
  pthread_mutex_unlock(&context->lock);
}

struct tls_credentials *
tls_context_credentials(struct tls_context *context)
{
  struct stamp stamps[NFILES];
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  pthread_mutex_lock(&context->lock);
  if (now.tv_sec != context->looked) {
    context->looked = now.tv_sec;
    take_stamps(context, stamps);
    if (memcmp(stamps, context->stamps, sizeof stamps) != 0) {
      memcpy(context->stamps, stamps, sizeof stamps);
      reload(context);
    }
  }
  struct tls_credentials *credentials = context->newest;
  credentials->refs++;
  pthread_mutex_unlock(&context->lock);
  return credentials;
}

static int
make_paths(struct tls_context *context)
{
  const struct tls_config *config = &context->config;

  for (int i = 0; config->certificates != NULL && i < FILE_PSK; i++) {
    if (asprintf(&context->paths[i], "%s/%s", config->certificates,
                 file_names[i]) < 0) {
      context->paths[i] = NULL;
      return -ENOMEM;
    }
  }
  if (config->psk != NULL) {
    context->paths[FILE_PSK] = strdup(config->psk);
    return context->paths[FILE_PSK] != NULL ? 0 : -ENOMEM;
  }
  return 0;
}

int
tls_context_new(const struct tls_config *config, struct tls_context **made,
                struct vhd_error *err)
{
  struct tls_context *context = calloc(1, sizeof *context);

  *made = NULL;
  if (context == NULL) {
    return fail_system(err, ENOMEM, "TLS");
  }
  context->config = *config;
  pthread_mutex_init(&context->lock, NULL);
  int r = make_paths(context) < 0 ? fail_system(err, ENOMEM, "TLS") : 0;
  if (r == 0) {
    /* Before loading: a change in between is then seen as one. */
    take_stamps(context, context->stamps);
    r = load_credentials(context, &context->newest, err);
  }
  if (r < 0) {
    tls_context_free(context);
    return r;
  }
  *made = context;
  return 0;
}

void
tls_context_free(struct tls_context *context)
{
  if (context != NULL) {
    tls_credentials_unref(context->newest);
    for (int i = 0; i < NFILES; i++) {
      free(context->paths[i]);
    }
    pthread_mutex_destroy(&context->lock);
    free(context);
  }
}

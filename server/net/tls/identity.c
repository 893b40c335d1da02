/* SPDX-License-Identifier: BSD-2-Clause */
/* identity.c: from a session to a name; see identity.h. */
#include "config.h"

#include "net/tls/identity.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls/credentials.h"

#define IDENTITY_SIZE 256

/* The common name, or the first alternative name of a kind that is text.  A
 * name with a zero byte in it is none. */
static bool
certificate_name(X509 *cert, char *buf, size_t size)
{
  const X509_NAME *subject = X509_get_subject_name(cert);
  int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  bool found = false;

  if (i >= 0) {
    const ASN1_STRING *data =
      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    unsigned char *text;
    int len = ASN1_STRING_to_UTF8(&text, data);
    if (len >= 0) {
      found = len > 0 && (size_t)len < size &&
              strlen((char *)text) == (size_t)len;
      if (found)
        memcpy(buf, text, (size_t)len + 1);
      OPENSSL_free(text);
      return found;
    }
  }
  GENERAL_NAMES *names =
    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
    int type;
    const ASN1_STRING *data =
      GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) {
      size_t len = (size_t)ASN1_STRING_length(data);
      const unsigned char *text = ASN1_STRING_get0_data(data);
      found = len > 0 && len < size && memchr(text, '\0', len) == NULL;
      if (found) {
        memcpy(buf, text, len);
        buf[len] = '\0';
      }
    }
  }
  GENERAL_NAMES_free(names);
  return found;
}

/* A pre-shared key was used, not only named, if the handshake counts as the
 * continuation of a session, or, in TLS 1.2, by the suite. */
static bool
used_psk(const SSL *ssl)
{
  return SSL_version(ssl) >= TLS1_3_VERSION
           ? SSL_session_reused(ssl)
           : SSL_get_psk_identity(ssl) != NULL;
}

bool
tls_identity_is_impossible(const SSL *ssl, const struct tls_claim *claim)
{
  return claim->unknown && used_psk(ssl);
}

/* NULL: memory is short. */
static char *
issuer_name(const X509 *cert)
{
  BIO *bio = BIO_new(BIO_s_mem());
  char *bytes, *name = NULL;

  if (bio && X509_NAME_print_ex(bio, X509_get_issuer_name(cert), 0,
                                XN_FLAG_RFC2253) >= 0) {
    const long n = BIO_get_mem_data(bio, &bytes);
    name = n >= 0 ? strndup(n > 0 ? bytes : "", (size_t)n) : NULL;
  }
  BIO_free(bio);
  return name;
}

static char *
certificate_identity(const SSL *ssl, char **issuer)
{
  char name[IDENTITY_SIZE], *identity;
  X509 *cert = SSL_get0_peer_certificate(ssl);

  if (!cert || SSL_get_verify_result(ssl) != X509_V_OK ||
      !certificate_name(cert, name, sizeof name))
    return NULL;
  *issuer = issuer_name(cert);
  if (*issuer && asprintf(&identity, "x509:%s", name) >= 0)
    return identity;
  free(*issuer);
  *issuer = NULL;
  return NULL;
}

char *
tls_identity_find(const SSL *ssl, const struct tls_claim *claim, char **issuer)
{
  char *identity = NULL;

  *issuer = NULL;
  if (used_psk(ssl)) {
    if (claim->identity[0] != '\0' &&
        asprintf(&identity, "psk:%s", claim->identity) < 0)
      identity = NULL;
    return identity;
  }
  return certificate_identity(ssl, issuer);
}

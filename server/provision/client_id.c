/* SPDX-License-Identifier: BSD-2-Clause */
/* client_id.c: see client_id.h. */
#include "config.h"

#include "provision/client_id.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/sha256.h"

#define HEX "0123456789abcdef"
#define LONG "long+"
/* Hexadecimal digits of the issuer's hash: nobody makes two that meet. */
#define ISSUER_DIGITS 32
/* An address, and a scope behind it. */
#define ADDRESS_SIZE (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE)

/* In rules, and before a file's name. */
static const struct {
  const char *word, *prefix;
} kinds[] = {
  [CLIENT_BY_CERTIFICATE] = { "cn", "cn+" },
  [CLIENT_BY_PSK] = { "psk", "psk+" },
  [CLIENT_BY_NAME] = { "name", "" },
  [CLIENT_BY_ADDRESS] = { "address", "ip+" },
};

const char *
client_id_word(enum client_id_kind kind)
{
  return kinds[kind].word;
}

/* ---------------------------------------------------------------- addresses */

int
client_id_address(const char *text, char *out, size_t size)
{
  static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
  char copy[ADDRESS_SIZE], plain[INET6_ADDRSTRLEN];
  unsigned char address[16];
  const size_t len = strlen(text), scope = strcspn(text, "%");
  int family = strchr(text, ':') ? AF_INET6 : AF_INET;

  if (len >= sizeof copy || len - scope == 1)
    return -EINVAL;
  memcpy(copy, text, scope);
  copy[scope] = '\0';
  if (inet_pton(family, copy, address) != 1)
    return -EINVAL;
  const unsigned char *at = address;
  if (family == AF_INET6 && memcmp(address, mapped, sizeof mapped) == 0) {
    family = AF_INET;
    at += sizeof mapped;
  }
  if ((family == AF_INET && text[scope]) ||
      !inet_ntop(family, at, plain, sizeof plain))
    return -EINVAL;
  const int n = snprintf(out, size, "%s%s", plain, text + scope);
  return n >= 0 && (size_t)n < size ? 0 : -EINVAL;
}

/* ----------------------------------------------------------------- escaping */

/* What is written; it grows no longer than its room. */
struct line {
  char *at;
  size_t size, n; /* .n may be more than fits */
};

static void
put(struct line *line, char c)
{
  if (line->n < line->size)
    line->at[line->n] = c;
  line->n++;
}

static void
put_text(struct line *line, const char *text)
{
  while (*text)
    put(line, *text++);
}

static void
put_hash(struct line *line, struct sha256 *hash, unsigned digits)
{
  unsigned char digest[SHA256_SIZE];

  sha256_end(hash, digest);
  for (unsigned i = 0; i < digits; i++)
    put(line, HEX[digest[i / 2] >> (i % 2 ? 0 : 4) & 15]);
}

/* first: it begins the name, where a dot would hide the file and a dash look
 * like an option. */
static void
put_escaped(struct line *line, unsigned char c, bool first)
{
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
      (!first && (c == '.' || c == '-'))) {
    put(line, (char)c);
  } else if (c == '_' || (c >= 'A' && c <= 'Z')) {
    put(line, '_');
    put(line, c == '_' ? '_' : (char)(c - 'A' + 'a'));
  } else {
    put(line, '%');
    put(line, HEX[c >> 4]);
    put(line, HEX[c & 15]);
  }
}

static void
put_identity(struct line *line, const char *identity)
{
  for (const char *s = identity; *s; s++)
    put_escaped(line, (unsigned char)*s, s == identity);
}

static void
put_short(struct line *line, enum client_id_kind kind, const char *identity,
          const char *issuer)
{
  put_text(line, kinds[kind].prefix);
  put_identity(line, identity);
  if (issuer) {
    struct sha256 hash;
    put(line, '+');
    sha256_init(&hash);
    sha256_add(&hash, issuer, strlen(issuer));
    put_hash(line, &hash, ISSUER_DIGITS);
  }
}

static void
put_long(struct line *line, enum client_id_kind kind, const char *identity,
         const char *issuer)
{
  const char *word = kinds[kind].word;
  struct sha256 hash;

  sha256_init(&hash);
  sha256_add(&hash, word, strlen(word) + 1);
  if (issuer)
    sha256_add(&hash, issuer, strlen(issuer) + 1);
  sha256_add(&hash, identity, strlen(identity));
  put_text(line, LONG);
  put_hash(line, &hash, 2 * SHA256_SIZE);
}

int
client_id_file(enum client_id_kind kind, const char *identity,
               const char *issuer, char *file, size_t size)
{
  char address[ADDRESS_SIZE], name[CLIENT_FILE_MAX + 1];
  struct line line = { name, sizeof name, 0 };

  if (!identity || !*identity ||
      (kind == CLIENT_BY_CERTIFICATE) != (issuer && *issuer))
    return -EINVAL;
  if (kind == CLIENT_BY_ADDRESS) {
    if (client_id_address(identity, address, sizeof address) < 0)
      return -EINVAL;
    identity = address;
  }
  put_short(&line, kind, identity, issuer);
  if (line.n > CLIENT_FILE_MAX) {
    line.n = 0;
    put_long(&line, kind, identity, issuer);
  }
  if (line.n >= size)
    return -ENAMETOOLONG;
  memcpy(file, name, line.n);
  file[line.n] = '\0';
  return 0;
}

/* ------------------------------------------------------------- the way back */

/* -1: it is no such digit. */
static int
digit(char c)
{
  const char *at = c ? strchr(HEX, c) : NULL;

  return at ? (int)(at - HEX) : -1;
}

/* How many characters of an escaped text make the byte *c; 0: they make none.
 */
static size_t
get_escaped(const char *text, unsigned char *c)
{
  if (*text == '%') {
    const int high = digit(text[1]), low = high < 0 ? -1 : digit(text[2]);
    *c = low < 0 ? 0 : (unsigned char)(high << 4 | low);
    return *c ? 3 : 0;
  }
  if (*text == '_') {
    const bool capital = text[1] >= 'a' && text[1] <= 'z';
    *c = (unsigned char)(capital ? text[1] - 'a' + 'A' : '_');
    return capital || text[1] == '_' ? 2 : 0;
  }
  *c = (unsigned char)*text;
  return *c ? 1 : 0;
}

/* Is it text[len] that comes out of the escaping, if the bytes that it came
 * from are escaped once more?  They go into out. */
static bool
unescape(const char *text, size_t len, struct line *out)
{
  size_t i = 0;

  while (i < len) {
    char again[4] = "";
    struct line line = { again, sizeof again, 0 };
    unsigned char c;
    const size_t n = get_escaped(text + i, &c);
    if (n == 0 || n > len - i)
      return false;
    put_escaped(&line, c, i == 0);
    if (line.n != n || memcmp(again, text + i, n) != 0)
      return false;
    put(out, (char)c);
    i += n;
  }
  return len > 0;
}

static bool
is_hash(const char *text, size_t digits)
{
  return strlen(text) == digits && strspn(text, HEX) == digits;
}

/* By what it begins with. */
static enum client_id_kind
kind_of(const char *file)
{
  const size_t n = sizeof kinds / sizeof *kinds;

  for (size_t i = 0; i < n; i++)
    if (kinds[i].prefix[0] &&
        strncmp(file, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
      return (enum client_id_kind)i;
  return CLIENT_BY_NAME;
}

int
client_id_of_file(const char *file, enum client_id_kind *kind, char *text,
                  size_t size)
{
  char address[ADDRESS_SIZE];
  struct line line = { text, size, 0 };

  if (strlen(file) > CLIENT_FILE_MAX)
    return -EINVAL;
  if (strncmp(file, LONG, strlen(LONG)) == 0)
    return is_hash(file + strlen(LONG), 2 * SHA256_SIZE) ? -ENOENT : -EINVAL;
  *kind = kind_of(file);
  const char *name = file + strlen(kinds[*kind].prefix);
  const size_t len = strcspn(name, "+");
  const bool issued = *kind == CLIENT_BY_CERTIFICATE;
  if (issued ? name[len] != '+' || !is_hash(name + len + 1, ISSUER_DIGITS)
             : name[len] != '\0')
    return -EINVAL;
  if (!unescape(name, len, &line) || line.n >= size)
    return -EINVAL;
  text[line.n] = '\0';
  return *kind == CLIENT_BY_ADDRESS &&
             (client_id_address(text, address, sizeof address) < 0 ||
              strcmp(text, address) != 0)
           ? -EINVAL
           : 0;
}

bool
client_id_is_file(const char *file)
{
  char text[CLIENT_FILE_MAX + 1];
  enum client_id_kind kind;
  const int r = client_id_of_file(file, &kind, text, sizeof text);

  return r == 0 || r == -ENOENT;
}

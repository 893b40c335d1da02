/* SPDX-License-Identifier: BSD-2-Clause */
/* psk.c: reading pre-shared keys; see psk.h. */
#include "config.h"

#include "net/tls/psk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

#define MAX_LINE (2 * PSK_MAX_IDENTITY + 2 * PSK_MAX_KEY + 16)
#define SHORT_KEY 16 /* bytes; below, guessing becomes thinkable */
#define PSKTOOL_KEY 32

struct psk {
  unsigned char identity[PSK_MAX_IDENTITY];
  unsigned char key[PSK_MAX_KEY];
  size_t identity_len, key_len;
};

struct psk_file {
  struct psk *keys; /* in the order of compare() */
  size_t n, allocated;
};

static int
compare_identities(const void *a, size_t a_len, const void *b, size_t b_len)
{
  int r = memcmp(a, b, a_len < b_len ? a_len : b_len);
  return r != 0 ? r : (a_len > b_len) - (a_len < b_len);
}

static int
compare(const void *a, const void *b)
{
  const struct psk *x = a, *y = b;
  return compare_identities(x->identity, x->identity_len, y->identity,
                            y->identity_len);
}

static int
hex_digit(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* The length of what len digits stand for, or -EINVAL. */
static long
parse_hex(const char *text, size_t len, unsigned char *buf, size_t max)
{
  if (len % 2 != 0 || len / 2 > max)
    return -EINVAL;
  for (size_t i = 0; i < len / 2; i++) {
    int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return -EINVAL;
    buf[i] = (unsigned char)(high << 4 | low);
  }
  return (long)(len / 2);
}

/* NULL, or what is wrong with the line. */
static const char *
parse_line(const char *line, struct psk *psk)
{
  const char *colon = strchr(line, ':');
  if (!colon)
    return "is not IDENTITY:KEY";
  size_t len = (size_t)(colon - line);
  if (len > 0 && line[0] == '#') {
    long n = parse_hex(line + 1, len - 1, psk->identity, PSK_MAX_IDENTITY);
    if (n < 0)
      return "has no hexadecimal identity between # and :";
    psk->identity_len = (size_t)n;
  } else {
    if (len > PSK_MAX_IDENTITY)
      return "has too long an identity";
    memcpy(psk->identity, line, len);
    psk->identity_len = len;
  }
  if (psk->identity_len == 0 ||
      memchr(psk->identity, '\0', psk->identity_len) != NULL)
    return "has an empty identity, or one with a zero byte";
  long n = parse_hex(colon + 1, strlen(colon + 1), psk->key, PSK_MAX_KEY);
  if (n <= 0)
    return "has no key in hexadecimal behind the colon";
  psk->key_len = (size_t)n;
  return NULL;
}

static int
add_key(struct psk_file *file, const struct psk *psk)
{
  if (file->n == file->allocated) {
    /* Not realloc(), which would leave keys behind in freed memory. */
    size_t allocated = file->allocated > 0 ? 2 * file->allocated : 16;
    struct psk *keys = calloc(allocated, sizeof *keys);
    if (!keys)
      return -ENOMEM;
    if (file->n > 0) {
      memcpy(keys, file->keys, file->n * sizeof *keys);
      explicit_bzero(file->keys, file->n * sizeof *keys);
      free(file->keys);
    }
    file->keys = keys;
    file->allocated = allocated;
  }
  file->keys[file->n++] = *psk;
  return 0;
}

/* One line, without its end. */
static int
read_line(const char *path, unsigned number, const unsigned char *text,
          size_t len, struct psk_file *file, struct vhd_error *err)
{
  char line[MAX_LINE];
  struct psk psk;
  int r = 0;

  if (len >= sizeof line)
    return fail_argument(err, "%s: line %u is too long", path, number);
  if (memchr(text, '\0', len) != NULL)
    return fail_argument(err, "%s: line %u has a zero byte", path, number);
  memcpy(line, text, len);
  line[len] = '\0';
  len = strcspn(line, "\r");
  line[len] = '\0';
  if (len == 0)
    return 0;
  const char *wrong = parse_line(line, &psk);
  if (wrong) {
    r = fail_argument(err, "%s: line %u %s (psktool writes such files)", path,
                      number, wrong);
  } else {
    if (psk.key_len < SHORT_KEY) {
      log_warning("%s: the key in line %u has only %zu bytes", path, number,
                  psk.key_len);
    }
    r = add_key(file, &psk) < 0 ? fail_system(err, ENOMEM, "%s", path) : 0;
  }
  explicit_bzero(line, sizeof line);
  explicit_bzero(&psk, sizeof psk);
  return r;
}

static int
read_keys(const char *path, const unsigned char *text, size_t len,
          struct psk_file *file, struct vhd_error *err)
{
  int r = 0;

  for (unsigned number = 1; r == 0 && len > 0; number++) {
    const unsigned char *end = memchr(text, '\n', len);
    size_t n = end ? (size_t)(end - text) : len;
    r = read_line(path, number, text, n, file, err);
    n += end != NULL;
    text += n;
    len -= n;
  }
  return r;
}

static int
check_keys(const char *path, struct psk_file *file, struct vhd_error *err)
{
  if (file->n == 0)
    return 0;
  qsort(file->keys, file->n, sizeof *file->keys, compare);
  for (size_t i = 1; i < file->n; i++) {
    const struct psk *psk = &file->keys[i];
    if (compare(psk - 1, psk) == 0) {
      return fail_argument(err, "%s: two keys for identity '%.*s'", path,
                           (int)psk->identity_len,
                           (const char *)psk->identity);
    }
  }
  return 0;
}

int
psk_parse(const char *path, const unsigned char *text, size_t len,
          struct psk_file **file, struct vhd_error *err)
{
  *file = calloc(1, sizeof **file);
  int r = !*file ? fail_system(err, ENOMEM, "%s", path)
                 : read_keys(path, text, len, *file, err);
  if (r == 0)
    r = check_keys(path, *file, err);
  if (r < 0) {
    psk_close(*file);
    *file = NULL;
  }
  return r;
}

size_t
psk_count(const struct psk_file *file)
{
  return file->n;
}

void
psk_close(struct psk_file *file)
{
  if (file) {
    if (file->keys) {
      explicit_bzero(file->keys, file->n * sizeof *file->keys);
      free(file->keys);
    }
    free(file);
  }
}

size_t
psk_usual_length(const struct psk_file *file)
{
  return file->n > 0 ? file->keys[0].key_len : PSKTOOL_KEY;
}

const unsigned char *
psk_find(const struct psk_file *file, const void *identity,
         size_t identity_len, size_t *key_len)
{
  size_t low = 0, high = file->n;

  /* The first key that does not stand before it. */
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    const struct psk *psk = &file->keys[mid];
    if (compare_identities(psk->identity, psk->identity_len, identity,
                           identity_len) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  const struct psk *psk = &file->keys[low];
  if (low == file->n || compare_identities(psk->identity, psk->identity_len,
                                           identity, identity_len) != 0)
    return NULL;
  *key_len = psk->key_len;
  return psk->key;
}

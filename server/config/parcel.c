/* SPDX-License-Identifier: BSD-2-Clause */
/* parcel.c: see parcel.h.  What is said of clients of disks; then for each
 * export a byte of flags and its strings, each with its end; a number is one of
 * them. */
#include "config.h"

#include "config/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/clients.h"
#include "config/command_line_exports.h"

enum {
  HAS_NAME = 1,
  HAS_DESCRIPTION = 2,
  TLS_ONLY = 4,
  READONLY = 8,
  RAW = 16,
  HAS_VERSION = 32,
};

static void
write_string(FILE *file, const char *text)
{
  if (text)
    fwrite(text, 1, strlen(text) + 1, file);
}

static void
write_export(FILE *file, const struct options_export *export)
{
  fputc((export->name ? HAS_NAME : 0) |
          (export->description ? HAS_DESCRIPTION : 0) |
          (export->tls_only ? TLS_ONLY : 0) |
          (export->readonly ? READONLY : 0) | (export->raw ? RAW : 0),
        file);
  write_string(file, export->path);
  write_string(file, export->name);
  write_string(file, export->description);
}

static void
write_number(FILE *file, uint64_t number)
{
  fprintf(file, "%" PRIu64 "%c", number, '\0');
}

static void
write_rule(FILE *file, const struct provision_rule *rule)
{
  fputc((rule->disk ? HAS_NAME : 0) | (rule->version ? HAS_VERSION : 0), file);
  write_string(file, rule->disk);
  write_string(file, rule->version);
  write_number(file, rule->policy);
  write_number(file, rule->quota);
  write_number(file, rule->nwho);
  for (size_t i = 0; i < rule->nwho; i++)
    write_string(file, rule->who[i]);
}

static void
write_provision(FILE *file, const struct provision_config *provision)
{
  write_number(file, (uint64_t)provision->unknown);
  write_number(file, provision->linger_sec);
  write_number(file, provision->quota);
  write_number(file, provision->reserve);
  write_number(file, provision->nrules);
  for (size_t i = 0; i < provision->nrules; i++)
    write_rule(file, &provision->rules[i]);
}

int
parcel_pack(const struct options *opt)
{
  const int fd = memfd_create("vhdkitd-exports", MFD_CLOEXEC);
  const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
  int r = 0;

  if (file) {
    write_provision(file, &opt->provision);
    for (size_t i = 0; i < opt->nexports; i++)
      write_export(file, &opt->exports[i]);
    r = ferror(file) ? -EIO : 0;
    if (fclose(file) != 0 && r == 0)
      r = -errno;
  } else {
    r = -errno;
    if (copy >= 0)
      close(copy);
  }
  if (r == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return r;
}

/* What is left of it. */
struct rest {
  const char *at, *end;
};

/* NULL: it has no end. */
static const char *
take_string(struct rest *rest)
{
  const char *text = rest->at;
  const char *end = memchr(text, '\0', (size_t)(rest->end - text));

  rest->at = end ? end + 1 : rest->end;
  return end ? text : NULL;
}

static int
take_number(struct rest *rest, uint64_t max, uint64_t *number)
{
  const char *text = rest->at < rest->end ? take_string(rest) : NULL;
  char *end;

  if (!text || *text < '0' || *text > '9')
    return -EBADMSG;
  errno = 0;
  *number = strtoull(text, &end, 10);
  return *end == '\0' && errno == 0 && *number <= max ? 0 : -EBADMSG;
}

static int
take_who(struct rest *rest, size_t n, struct provision_rule *rule)
{
  /* Each is one byte at least. */
  if (n > (size_t)(rest->end - rest->at))
    return -EBADMSG;
  const char **who = calloc(n + 1, sizeof *who);
  if (!who)
    return -ENOMEM;
  rule->who = who;
  for (; rule->nwho < n; rule->nwho++)
    if (rest->at == rest->end || !(who[rule->nwho] = take_string(rest)))
      return -EBADMSG;
  return 0;
}

static int
take_rule(struct rest *rest, struct options *opt)
{
  struct provision_rule rule = { 0 };
  const int flags = rest->at < rest->end ? (unsigned char)*rest->at++ : 0;
  uint64_t policy = 0, n = 0;
  int r = 0;

  if ((flags & HAS_NAME && !(rule.disk = take_string(rest))) ||
      (flags & HAS_VERSION && !(rule.version = take_string(rest))))
    return -EBADMSG;
  r = take_number(rest, PROVISION_REFUSE, &policy);
  if (r == 0)
    r = take_number(rest, INT64_MAX, &rule.quota);
  if (r == 0)
    r = take_number(rest, SIZE_MAX, &n);
  if (r == 0)
    r = take_who(rest, (size_t)n, &rule);
  if (r < 0) {
    free((void *)(uintptr_t)rule.who);
    return r;
  }
  rule.policy = (enum provision_policy)policy;
  return clients_append(opt, &rule);
}

static int
take_provision(struct rest *rest, struct options *opt)
{
  uint64_t unknown = 0, linger = 0, n = 0;
  int r = take_number(rest, PROVISION_UNKNOWN_THROWAWAY, &unknown);

  if (r == 0)
    r = take_number(rest, UINT32_MAX, &linger);
  if (r == 0)
    r = take_number(rest, INT64_MAX, &opt->provision.quota);
  if (r == 0)
    r = take_number(rest, INT64_MAX, &opt->provision.reserve);
  if (r == 0)
    r = take_number(rest, SIZE_MAX, &n);
  if (r < 0)
    return r;
  opt->provision.unknown = (int)unknown;
  opt->provision.linger_sec = (unsigned)linger;
  for (; r == 0 && n > 0; n--)
    r = take_rule(rest, opt);
  return r;
}

static int
take_export(struct rest *rest, struct options *opt)
{
  char message[256];
  struct complaint complaint = { message, sizeof message };
  const int flags = (unsigned char)*rest->at++;
  const char *name = NULL;
  struct options_export export = {
    .path = take_string(rest),
    .tls_only = flags & TLS_ONLY,
    .readonly = flags & READONLY,
    .raw = flags & RAW,
  };

  if (flags & HAS_NAME)
    name = take_string(rest);
  if (flags & HAS_DESCRIPTION)
    export.description = take_string(rest);
  if (!export.path || (flags & HAS_NAME && !name) ||
      (flags & HAS_DESCRIPTION && !export.description))
    return -EBADMSG;
  return options_append_export(opt, &export, name, &complaint) < 0 ? -EBADMSG
                                                                   : 0;
}

static int
read_all(int fd, char **bytes, size_t *n)
{
  struct stat st;

  if (fstat(fd, &st) < 0)
    return -errno;
  *n = (size_t)st.st_size;
  *bytes = malloc(*n + 1);
  if (!*bytes)
    return -ENOMEM;
  for (size_t done = 0; done < *n;) {
    const ssize_t got = pread(fd, *bytes + done, *n - done, (off_t)done);
    if (got <= 0) {
      free(*bytes);
      return got < 0 ? -errno : -EBADMSG;
    }
    done += (size_t)got;
  }
  return 0;
}

int
parcel_unpack(int fd, struct options *opt)
{
  char *bytes = NULL;
  size_t n = 0;

  *opt = (struct options){ .fd = -1 };
  int r = read_all(fd, &bytes, &n);
  close(fd);
  if (r == 0)
    r = options_own(opt, bytes);
  struct rest rest = { bytes, bytes + n };
  if (r == 0)
    r = take_provision(&rest, opt);
  while (r == 0 && rest.at < rest.end)
    r = take_export(&rest, opt);
  return r;
}

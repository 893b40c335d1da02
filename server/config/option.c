/* SPDX-License-Identifier: BSD-2-Clause */
/* option.c: vhdkitd's options as a table; see option.h. */
#include "config.h"

#include "config/option.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static option_parser parse_flag, parse_number, parse_octal, parse_word,
  parse_string, parse_list, parse_address, parse_metrics, parse_raw,
  parse_size;

static const char *const io_words[] = { "auto", "uring", "threads", NULL };
const char *const option_tls_words[] = { "off", "on", "require", NULL };
static const char *const unknown_words[] = { "refuse", "readonly", "throwaway",
                                             NULL };

#define M(member) offsetof(struct options, member)

/* Name and argument, help, how. */
/* clang-format off */
static const struct option option_table[] = {
  { "listen", "ADDRESS:PORT",
    "accept TCP connections here; repeatable",
    parse_address, 0, 0, 0, NULL },
  { "unix", "SOCKET",
    "accept clients on this Unix socket; repeatable",
    parse_list, M(unix_paths), 0, 0, NULL },
  { "unix-mode", "MODE",
    "permissions of Unix sockets, in octal",
    parse_octal, M(unix_mode), 0, 0777, NULL },
  { "vsock", "PORT",
    "accept virtual machines on this vsock port",
    parse_number, M(vsock_port), 0, UINT32_MAX - 1, NULL },
  { "fd", "N",
    "serve this inherited socket",
    parse_number, M(fd), 0, INT32_MAX, NULL },
  { "control", "SOCKET",
    "take commands of vhdkitctl on this Unix socket",
    parse_string, M(control), 0, 0, NULL },
  { "control-mode", "MODE",
    "permissions of that socket, in octal",
    parse_octal, M(control_mode), 0, 0777, NULL },
  { "control-admins", "GROUP",
    "who may change something by it, beside root",
    parse_string, M(control_admins), 0, 0, NULL },
  { "metrics", "ADDRESS:PORT",
    "tell Prometheus here, by HTTP, what is counted",
    parse_metrics, M(metrics), 0, 0, NULL },
  { "description", "NAME=TEXT",
    "what clients are told of an export; repeatable",
    parse_list, M(descriptions), 0, 0, NULL },
  { "tls-only", "NAME",
    "an export for clients with TLS; repeatable",
    parse_list, M(tls_only), 0, 0, NULL },
  { "raw", "[NAME=]FILE",
    "serve a raw file, never taken for a VHD",
    parse_raw, 0, 0, 0, NULL },
  { "readonly", NULL,
    "never write to an image",
    parse_flag, M(readonly), 0, 0, NULL },
  { "threads", "N",
    "event loops to run [one a core]",
    parse_number, M(threads), 1, 256, NULL },
  { "io", "auto|uring|threads",
    "how to carry out what is not cached [auto]",
    parse_word, M(io), 0, 0, io_words },
  { "root", "DIR",
    "parents may lie below it; repeatable",
    parse_list, M(roots), 0, 0, NULL },
  { "size-chs", NULL,
    "take the size of images from their geometry",
    parse_flag, M(size_chs), 0, 0, NULL },
  { "tls", "off|on|require",
    "no TLS, if the client asks, or always [off]",
    parse_word, M(tls), 0, 0, option_tls_words },
  { "tls-certificates", "DIR",
    "where server-cert.pem and the others are",
    parse_string, M(tls_certificates), 0, 0, NULL },
  { "tls-verify-peer", NULL,
    "clients need a certificate, too",
    parse_flag, M(tls_verify_peer), 0, 0, NULL },
  { "tls-psk", "FILE",
    "pre-shared keys, as psktool writes them",
    parse_string, M(tls_psk), 0, 0, NULL },
  { "max-connections", "N",
    "connections at a time [as descriptors allow]",
    parse_number, M(max_connections), 1, 1000000, NULL },
  { "max-connections-per-address", "N",
    "the same from one address [no limit]",
    parse_number, M(max_connections_per_address), 1, 1000000, NULL },
  { "handshake-timeout", "SECONDS",
    "time to choose an export in [10]",
    parse_number, M(handshake_timeout), 1, 3600, NULL },
  { "disks", "DIR",
    "serve the disks in this folder",
    parse_string, M(provision.disks), 0, 0, NULL },
  { "children", "DIR",
    "where clients' own images of disks are made",
    parse_string, M(provision.children), 0, 0, NULL },
  { "unknown", "refuse|readonly|throwaway",
    "what clients without a rule get [refuse]",
    parse_word, M(provision.unknown), 0, 0, unknown_words },
  { "linger", "SECONDS",
    "who comes again within them has not booted [300]",
    parse_number, M(provision.linger_sec), 0, 604800, NULL },
  { "quota", "SIZE",
    "how large a client's image may grow [no limit]",
    parse_size, M(provision.quota), 0, 0, NULL },
  { "reserve", "SIZE",
    "who boots needs so much free space [0]",
    parse_size, M(provision.reserve), 0, 0, NULL },
  { "user", "NAME",
    "run as this user once sockets are open",
    parse_string, M(user), 0, 0, NULL },
  { "group", "NAME",
    "run as this group [that of --user]",
    parse_string, M(group), 0, 0, NULL },
  { "no-sandbox", NULL,
    "do not confine the process at all",
    parse_flag, M(no_sandbox), 0, 0, NULL },
  { "no-seccomp", NULL,
    "no system call filter",
    parse_flag, M(no_seccomp), 0, 0, NULL },
  { "no-landlock", NULL,
    "do not confine it to the files it needs",
    parse_flag, M(no_landlock), 0, 0, NULL },
  { "config", "FILE",
    "read options and exports from this file", NULL, 0, 0, 0, NULL },
  { "check-config", NULL,
    "say what is wrong with all that, and exit",
    parse_flag, M(check_config), 0, 0, NULL },
  { "pid-file", "FILE",
    "write the process id here",
    parse_string, M(pid_file), 0, 0, NULL },
  { "verbose", NULL,
    "tell what happens on each connection",
    parse_flag, M(verbose), 0, 0, NULL },
  { "version", NULL, "print the version and exit", NULL, 0, 0, 0, NULL },
  { "help", NULL, "print this and exit", NULL, 0, 0, 0, NULL },
};
/* clang-format on */

#undef M

const struct option *
option_at(size_t i)
{
  return i < sizeof option_table / sizeof *option_table ? &option_table[i]
                                                        : NULL;
}

const struct option *
option_find(const char *name, size_t len)
{
  const struct option *option = NULL;

  for (size_t i = 0; (option = option_at(i)) != NULL; i++)
    if (strlen(option->name) == len && memcmp(option->name, name, len) == 0)
      break;
  return option;
}

static void *
member_of(struct options *opt, const struct option *option)
{
  return (char *)opt + option->member;
}

bool
option_is_repeatable(const struct option *option)
{
  return option->parse == parse_list || option->parse == parse_address;
}

bool
option_is_of_export(const struct option *option)
{
  return option->member == offsetof(struct options, descriptions) ||
         option->member == offsetof(struct options, tls_only) ||
         option->parse == parse_raw;
}

bool
option_is_live(const struct option *option)
{
  return option->member == offsetof(struct options, provision.unknown) ||
         option->member == offsetof(struct options, provision.linger_sec) ||
         option->member == offsetof(struct options, provision.quota) ||
         option->member == offsetof(struct options, provision.reserve);
}

static bool
same_list(const struct options_list *a, const struct options_list *b)
{
  bool same = a->n == b->n;

  for (size_t i = 0; same && i < a->n; i++)
    same = strcmp(a->items[i], b->items[i]) == 0;
  return same;
}

static bool
same_address(const struct options_address *a, const struct options_address *b)
{
  return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

static bool
same_addresses(const struct options *a, const struct options *b)
{
  bool same = a->nlisten == b->nlisten;

  for (size_t i = 0; same && i < a->nlisten; i++)
    same = same_address(&a->listen[i], &b->listen[i]);
  return same;
}

bool
option_is_same(const struct option *option, const struct options *a,
               const struct options *b)
{
  const void *x = (const char *)a + option->member;
  const void *y = (const char *)b + option->member;

  return option->parse == parse_address   ? same_addresses(a, b)
         : option->parse == parse_metrics ? same_address(x, y)
         : option->parse == parse_list    ? same_list(x, y)
         : option->parse == parse_string
           ? text_same(*(const char *const *)x, *(const char *const *)y)
         : option->parse == parse_size
           ? *(const uint64_t *)x == *(const uint64_t *)y
         : option->parse == parse_flag ? *(const bool *)x == *(const bool *)y
         : option->parse == parse_number || option->parse == parse_octal ||
             option->parse == parse_word
           ? *(const unsigned *)x == *(const unsigned *)y
           : true; /* it is read, or said of an export */
}

/* ------------------------------------------------------- kinds of argument */

static int
parse_flag(struct options *opt, const struct option *option, const char *value,
           struct complaint *complaint)
{
  (void)value;
  (void)complaint;
  *(bool *)member_of(opt, option) = true;
  return 0;
}

static int
parse_string(struct options *opt, const struct option *option,
             const char *value, struct complaint *complaint)
{
  if (*value == '\0') {
    return complain(complaint, "--%s: %s is missing", option->name,
                    option->argument);
  }
  *(const char **)member_of(opt, option) = value;
  return 0;
}

/* Digits alone: no sign, no space, no exponent, nothing behind. */
static int
digits(const char *text, int base, unsigned max, unsigned *number)
{
  size_t n = strlen(text);
  if (n == 0 || n > 12 ||
      strspn(text, base == 8 ? "01234567" : "0123456789") != n)
    return -EINVAL;
  unsigned long long value = strtoull(text, NULL, base);
  if (value > max)
    return -ERANGE;
  *number = (unsigned)value;
  return 0;
}

static int
parse_number(struct options *opt, const struct option *option,
             const char *value, struct complaint *complaint)
{
  unsigned number;
  if (digits(value, 10, option->max, &number) < 0 || number < option->min) {
    return complain(complaint, "--%s: '%s' is not a number from %u to %u",
                    option->name, value, option->min, option->max);
  }
  *(unsigned *)member_of(opt, option) = number;
  return 0;
}

int
option_size(const char *value, uint64_t *size)
{
  static const char units[] = "KMGT";
  const size_t n = strspn(value, "0123456789");
  const char *unit = value[n] ? strchr(units, value[n]) : NULL;
  const unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

  if (n == 0 || n > 18 || (value[n] && (!unit || value[n + 1])))
    return -EINVAL;
  *size = strtoull(value, NULL, 10);
  if (*size > (uint64_t)INT64_MAX >> shift)
    return -ERANGE;
  *size <<= shift;
  return 0;
}

static int
parse_size(struct options *opt, const struct option *option, const char *value,
           struct complaint *complaint)
{
  return option_size(value, member_of(opt, option)) < 0
           ? complain(complaint,
                      "--%s: '%s' is no number of bytes, such as 20G (or K, "
                      "M, T)",
                      option->name, value)
           : 0;
}

static int
parse_octal(struct options *opt, const struct option *option,
            const char *value, struct complaint *complaint)
{
  unsigned number;
  if (digits(value, 8, option->max, &number) < 0) {
    return complain(complaint,
                    "--%s: '%s' is not an octal number up to %o, such as 660",
                    option->name, value, option->max);
  }
  *(unsigned *)member_of(opt, option) = number;
  return 0;
}

static int
parse_word(struct options *opt, const struct option *option, const char *value,
           struct complaint *complaint)
{
  for (int i = 0; option->words[i] != NULL; i++) {
    if (strcmp(option->words[i], value) == 0) {
      *(int *)member_of(opt, option) = i;
      return 0;
    }
  }
  return complain(complaint, "--%s: '%s' is none of %s", option->name, value,
                  option->argument);
}

static int
parse_list(struct options *opt, const struct option *option, const char *value,
           struct complaint *complaint)
{
  if (*value == '\0') {
    return complain(complaint, "--%s: %s is missing", option->name,
                    option->argument);
  }
  if (options_list_append(member_of(opt, option), value) < 0)
    return complain(complaint, "out of memory");
  return 0;
}

static int
parse_raw(struct options *opt, const struct option *option, const char *value,
          struct complaint *complaint)
{
  (void)option;
  int r = options_add_export(opt, value, complaint);
  if (r == 0)
    opt->exports[opt->nexports - 1].raw = true;
  return r;
}

/* HOST:PORT, HOST, :PORT, *:PORT, [IPv6]:PORT, [IPv6].  *port stays where there
 * is none. */
static int
address_split(const char *text, const char **host, size_t *host_len,
              const char **port)
{
  if (*text == '[') {
    const char *end = strchr(text, ']');
    if (!end || end == text + 1 || (end[1] != '\0' && end[1] != ':'))
      return -EINVAL;
    *host = text + 1;
    *host_len = (size_t)(end - *host);
    if (end[1] == ':')
      *port = end + 2;
    return 0;
  }
  const char *colon = strchr(text, ':');
  if (colon && strchr(colon + 1, ':') != NULL)
    return -EINVAL; /* an IPv6 address without brackets: where does it end? */
  *host = text;
  *host_len = colon ? (size_t)(colon - text) : strlen(text);
  if (colon)
    *port = colon + 1;
  if (*host_len == 1 && **host == '*')
    *host_len = 0;
  return 0;
}

static int
read_address(const struct option *option, const char *value, const char *port,
             struct options_address *address, struct complaint *complaint)
{
  const char *host;
  size_t host_len;
  unsigned number;

  if (*value == '\0' || address_split(value, &host, &host_len, &port) < 0 ||
      host_len >= sizeof address->host ||
      digits(port, 10, 65535, &number) < 0) {
    return complain(complaint,
                    "--%s: '%s' is not ADDRESS:PORT; examples: "
                    "192.0.2.1:10809, [2001:db8::1]:10809, :10809 for every "
                    "address",
                    option->name, value);
  }
  memcpy(address->host, host, host_len);
  address->host[host_len] = '\0';
  snprintf(address->port, sizeof address->port, "%u", number & 0xffff);
  return 0;
}

static int
parse_metrics(struct options *opt, const struct option *option,
              const char *value, struct complaint *complaint)
{
  return read_address(option, value, OPTIONS_METRICS_PORT, &opt->metrics,
                      complaint);
}

static int
parse_address(struct options *opt, const struct option *option,
              const char *value, struct complaint *complaint)
{
  struct options_address address;
  int r =
    read_address(option, value, OPTIONS_DEFAULT_PORT, &address, complaint);

  if (r < 0)
    return r;
  struct options_address *listen =
    reallocarray(opt->listen, opt->nlisten + 1, sizeof *listen);
  if (!listen)
    return complain(complaint, "out of memory");
  opt->listen = listen;
  listen[opt->nlisten++] = address;
  return 0;
}

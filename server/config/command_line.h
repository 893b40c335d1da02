/* SPDX-License-Identifier: BSD-2-Clause */
/* command_line.h: vhdkitd's command line, and the configuration file that it
 * names: text in, a checked struct options out.  Looks at no other file and
 * opens no socket; whether what is named exists is found out by those who use
 * it.
 *
 * The main thread, once, at start-up.  The strings belong to argv or to the
 * options; options_free() gives back the latter. */
#ifndef SERVER_CONFIG_COMMAND_LINE_H
#define SERVER_CONFIG_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "provision/provision_config.h"

#define OPTIONS_DEFAULT_PORT "10809"
#define OPTIONS_METRICS_PORT "10810"

enum options_io {
  OPTIONS_IO_AUTO,
  OPTIONS_IO_URING,
  OPTIONS_IO_THREADS,
};

enum options_tls {
  OPTIONS_TLS_OFF,
  OPTIONS_TLS_ON,
  OPTIONS_TLS_REQUIRE,
};

struct options_address {
  char host[256]; /* "" for every address of both families */
  char port[6];   /* decimal */
};

struct options_export {
  char *name; /* NULL, and then the only one, where none was given */
  const char *path;
  const char *description; /* NULL: none */
  const char *where;       /* FILE:LINE; NULL: on the command line */
  bool tls_only;
  bool readonly;
  bool raw; /* the file is no VHD but the disk itself */
};

struct options_list {
  const char **items;
  size_t n;
};

struct options {
  struct options_address *listen;
  size_t nlisten;
  struct options_list unix_paths;
  unsigned unix_mode;  /* of new sockets; OPTIONS_NO_MODE: as the umask says */
  unsigned vsock_port; /* OPTIONS_NO_VSOCK: none */
  int fd;              /* -1: none */

  const char *control;   /* the socket for vhdkitctl; NULL: none */
  unsigned control_mode; /* OPTIONS_NO_MODE: the owner's, and admins' */
  const char *control_admins;
  struct options_address metrics; /* .port "": none */

  struct options_export *exports;
  size_t nexports;
  struct options_list descriptions; /* NAME=TEXT; in .exports once parsed */
  struct options_list tls_only;     /* NAME; likewise */
  bool readonly;
  struct options_list roots;
  bool size_chs;

  unsigned threads; /* 0: one a core */
  int io;           /* enum options_io */

  int tls; /* enum options_tls */
  const char *tls_certificates;
  bool tls_verify_peer;
  const char *tls_psk;

  unsigned max_connections;             /* 0: what descriptors allow */
  unsigned max_connections_per_address; /* 0: no limit */
  unsigned handshake_timeout;           /* seconds */

  const char *user;
  const char *group;
  bool no_sandbox;
  bool no_seccomp;
  bool no_landlock;

  struct provision_config provision; /* disks, and who gets what of them */

  const char *pid_file;
  bool verbose;

  const char *config; /* the configuration file; NULL: none */
  bool check_config;
  struct options_list owned; /* strings, to be freed */
};

#define OPTIONS_NO_MODE (~0U)
#define OPTIONS_NO_VSOCK (~0U)

enum options_outcome {
  OPTIONS_RUN,   /* go on */
  OPTIONS_DONE,  /* --help or --version was answered on standard output */
  OPTIONS_WRONG, /* message says what is wrong and what to do */
};

/* Fills opt, whatever it returns; message is a sentence for a person. */
enum options_outcome options_parse(struct options *opt, int argc, char **argv,
                                   char *message, size_t size);

/* The names of options that differ, with commas: how many; exports do not
 * count, nor what is said of them. */
unsigned options_compare(const struct options *a, const struct options *b,
                         char *names, size_t size);

void options_free(struct options *opt);

#endif

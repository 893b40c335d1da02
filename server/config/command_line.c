/* SPDX-License-Identifier: BSD-2-Clause */
/* command_line.c: walks the command line by the table of options (option.h),
 * prints --help from it, and checks what was said as a whole. */
#include "config.h"

#include "config/command_line.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clients.h"
#include "config/command_line_exports.h"
#include "config/file.h"
#include "config/option.h"
#include "vhdkit.h"

static int
check_tls(const struct options *opt, struct complaint *complaint)
{
  bool have = opt->tls_certificates != NULL || opt->tls_psk != NULL;

  if (opt->tls != OPTIONS_TLS_OFF && !have) {
    return complain(complaint,
                    "--tls=%s needs --tls-certificates, --tls-psk or both",
                    option_tls_words[opt->tls]);
  }
  if (opt->tls == OPTIONS_TLS_OFF && (have || opt->tls_verify_peer)) {
    return complain(complaint,
                    "%s has no effect without TLS: say --tls=require (or "
                    "--tls=on, to serve clients without TLS too)",
                    opt->tls_certificates != NULL ? "--tls-certificates"
                    : opt->tls_psk != NULL        ? "--tls-psk"
                                                  : "--tls-verify-peer");
  }
  if (opt->tls_verify_peer && !opt->tls_certificates) {
    return complain(complaint, "--tls-verify-peer needs --tls-certificates: "
                               "ca-cert.pem there says whom to trust");
  }
#ifndef HAVE_TLS
  if (opt->tls != OPTIONS_TLS_OFF)
    return complain(complaint, "--tls: this vhdkitd was built without TLS");
#endif
  return 0;
}

static int
check_disks(const struct provision_config *provision,
            struct complaint *complaint)
{
  const char *said = provision->children       ? "--children"
                     : provision->unknown != 0 ? "--unknown"
                     : provision->quota != 0   ? "--quota"
                     : provision->reserve != 0 ? "--reserve"
                     : provision->nrules != 0  ? "clients"
                                               : NULL;

  if (provision->disks && !provision->children)
    return complain(complaint,
                    "--disks needs --children: where the clients' own images "
                    "are to lie");
  return said && !provision->disks
           ? complain(complaint, "%s needs --disks: where the disks lie", said)
           : 0;
}

static int
check_all(struct options *opt, struct complaint *complaint)
{
  if (opt->unix_mode != OPTIONS_NO_MODE && opt->unix_paths.n == 0)
    return complain(complaint, "--unix-mode needs --unix");
  if (opt->control_mode != OPTIONS_NO_MODE && !opt->control)
    return complain(complaint, "--control-mode needs --control");
  if (opt->control_admins && !opt->control)
    return complain(complaint, "--control-admins needs --control");
  if (opt->group && !opt->user)
    return complain(complaint, "--group needs --user");
  int r = check_disks(&opt->provision, complaint);
  if (r == 0)
    r = check_tls(opt, complaint);
  return r < 0 ? r : options_check_exports(opt, complaint);
}

static void
print_help(void)
{
  puts(
    "usage: vhdkitd [OPTION]... NAME=IMAGE ... | IMAGE | DIRECTORY\n"
    "       vhdkitd --disks DIR --children DIR [OPTION]... [NAME=IMAGE ...]\n"
    "       vhdkitd --config FILE [OPTION]...\n"
    "Serves VHD images over NBD.\n");
  const struct option *o;
  for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", o->name,
             o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
    /* A long left side gets a line to itself. */
    if (strlen(left) > 28)
      printf("  %s\n  %-28s %s\n", left, "", o->help);
    else
      printf("  %-28s %s\n", left, o->help);
  }
  printf("\nWithout --listen, --unix, --vsock and --fd, and unless systemd "
         "passes sockets,\nconnections are accepted on 127.0.0.1 and ::1, "
         "port %s.  See vhdkitd(8).\n",
         OPTIONS_DEFAULT_PORT);
}

static enum options_outcome
read_config(struct options *opt, const char *path, struct complaint *complaint)
{
  if (opt->config) {
    complain(complaint,
             "--config %s: %s was read already; one file includes "
             "others",
             path, opt->config);
    return OPTIONS_WRONG;
  }
  opt->config = path;
  return options_read_file(opt, path, complaint) < 0 ? OPTIONS_WRONG
                                                     : OPTIONS_RUN;
}

/* One option at argv[*i], with its value there or in the next argument. */
static enum options_outcome
parse_option(struct options *opt, char **argv, int *i,
             struct complaint *complaint)
{
  const char *text = argv[*i];
  size_t len = strcspn(text, "=");
  const char *value = text[len] == '=' ? text + len + 1 : NULL;
  const struct option *option = text[1] == '-' ? option_find(text + 2, len - 2)
                                               : NULL;

  if (!option) {
    complain(complaint, "unknown option %.*s; see vhdkitd --help", (int)len,
             text);
    return OPTIONS_WRONG;
  }
  if (!option->argument && value) {
    complain(complaint, "--%s takes no argument", option->name);
    return OPTIONS_WRONG;
  }
  if (option->argument && !value) {
    value = argv[++*i];
    if (!value) {
      complain(complaint, "--%s needs an argument: %s", option->name,
               option->argument);
      return OPTIONS_WRONG;
    }
  }
  if (strcmp(option->name, "config") == 0)
    return read_config(opt, value, complaint);
  if (!option->parse) {
    if (strcmp(option->name, "version") == 0)
      printf("vhdkitd %s\n", vhd_version());
    else
      print_help();
    return OPTIONS_DONE;
  }
  return option->parse(opt, option, value, complaint) < 0 ? OPTIONS_WRONG
                                                          : OPTIONS_RUN;
}

enum options_outcome
options_parse(struct options *opt, int argc, char **argv, char *message,
              size_t size)
{
  struct complaint complaint = { message, size };
  bool only_exports = false;

  *opt = (struct options){
    .unix_mode = OPTIONS_NO_MODE,
    .control_mode = OPTIONS_NO_MODE,
    .vsock_port = OPTIONS_NO_VSOCK,
    .fd = -1,
    .handshake_timeout = 10,
    .provision.linger_sec = PROVISION_LINGER_SEC,
  };
  message[0] = '\0';
  for (int i = 1; i < argc; i++) {
    const char *text = argv[i];
    if (!only_exports && strcmp(text, "--") == 0) {
      only_exports = true;
    } else if (!only_exports && text[0] == '-') {
      enum options_outcome outcome = parse_option(opt, argv, &i, &complaint);
      if (outcome != OPTIONS_RUN)
        return outcome;
    } else if (options_add_export(opt, text, &complaint) < 0) {
      return OPTIONS_WRONG;
    }
  }
  if (check_all(opt, &complaint) == 0)
    return OPTIONS_RUN;
  if (opt->config)
    complain_where(&complaint, opt->config);
  return OPTIONS_WRONG;
}

unsigned
options_compare(const struct options *a, const struct options *b, char *names,
                size_t size)
{
  const struct option *option;
  unsigned n = 0;
  size_t at = 0;

  names[0] = '\0';
  for (size_t i = 0; (option = option_at(i)) != NULL; i++) {
    if (option_is_of_export(option) || option_is_live(option) ||
        option_is_same(option, a, b))
      continue;
    if (at < size)
      at += (size_t)snprintf(names + at, size - at, "%s%s", n ? ", " : "",
                             option->name);
    n++;
  }
  return n;
}

void
options_free(struct options *opt)
{
  for (size_t i = 0; i < opt->nexports; i++)
    free(opt->exports[i].name);
  free(opt->exports);
  free(opt->listen);
  free(opt->unix_paths.items);
  free(opt->descriptions.items);
  free(opt->tls_only.items);
  free(opt->roots.items);
  clients_free(opt);
  for (size_t i = 0; i < opt->owned.n; i++)
    free((void *)(uintptr_t)opt->owned.items[i]);
  free(opt->owned.items);
  *opt = (struct options){ .fd = -1 };
}

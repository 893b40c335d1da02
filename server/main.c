/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c: vhdkitd: the process that is started, which becomes the keeper
 * (keeper/keeper.h): it opens sockets and the pid file with the rights that it
 * was started with, and lets a worker (service.h) serve. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/settings.h"
#include "keeper/broker/disks.h"
#include "keeper/broker/helper.h"
#include "keeper/keeper.h"
#include "keeper/notify.h"
#include "keeper/pid_file.h"
#include "keeper/confine.h"
#include "keeper/user.h"
#include "net/listen.h"
#include "service.h"

enum {
  EXIT_USAGE = 2,
};

struct daemon {
  struct settings settings;
  /* What is told in the status: of the configuration, of the keys. */
  char misconfigured[1100], trouble[1024];
  struct user user;
  struct listen_set *listen, *control, *metrics;
  gid_t admins;
  int notify_fd;
  struct pid_file pid_file;
  int dumpable; /* as the process was started: prctl(2) */
};

/* ----------------------------------------------------- the keeper's duties */

/* What is the keeper's alone, in another process. */
static void
let_go(struct daemon *d)
{
  pid_file_close(&d->pid_file);
  if (d->notify_fd >= 0)
    close(d->notify_fd);
  listen_disown(d->listen);
  listen_disown(d->control);
  listen_disown(d->metrics);
}

static int
on_work(void *opaque, const struct keeper_ties *ties)
{
  struct daemon *d = opaque;
  const struct service_setup setup = {
    .options = &d->settings.options,
    .user = &d->user,
    .listen = d->listen,
    .control = d->control,
    .metrics = d->metrics,
    .admins = d->admins,
  };

  let_go(d);
  /* Who asks who has an image open may look; another user ends that. */
  prctl(PR_SET_DUMPABLE, d->dumpable, 0, 0, 0);
  return serve(&setup, ties);
}

/* With the rights of --user, but for keys. */
static int
confine(const struct daemon *d, int kind, struct vhd_error *err)
{
  const struct options *opt = &d->settings.options;

  return kind == BROKER_DISKS     ? confine_orders(opt, err)
         : kind == BROKER_CHANGES ? confine_changes(opt, err)
                                  : confine_helper(opt, err);
}

static void
on_help(void *opaque, const struct keeper_ties *ties, int channel, int kind)
{
  struct daemon *d = opaque;
  const struct options *opt = &d->settings.options;
  struct vhd_error err;
  int r = -EINVAL;

  let_go(d);
  listen_free(d->listen);
  listen_free(d->control);
  listen_free(d->metrics);
  if (kind == BROKER_KEYS)
    r = 0;
  else if (kind == BROKER_FILES || kind == BROKER_CHANGES ||
           (kind == BROKER_DISKS && opt->provision.disks))
    r = user_become(&d->user, &err);
  keeper_tie(ties);
  if (r == 0)
    r = confine(d, kind, &err);
  if (r == 0 && kind == BROKER_DISKS)
    disks_run(channel, &opt->provision);
  else if (r == 0)
    helper_run(channel, (enum broker_helper)kind, opt);
}

static void
on_ready(void *opaque)
{
  struct daemon *d = opaque;

  /* Those clients are the worker's alone, who hangs up on them. */
  listen_close_connected(d->listen);
  pid_file_write(&d->pid_file);
  notify_send(d->notify_fd, "READY=1\n");
}

static void
on_stopping(void *opaque)
{
  struct daemon *d = opaque;

  notify_send(d->notify_fd, "STOPPING=1\n");
  listen_stop(d->listen);
  listen_stop(d->control);
  listen_stop(d->metrics);
}

/* For systemctl status: all that is in force. */
static void
tell_status(const struct daemon *d)
{
  const bool both = d->misconfigured[0] != '\0' && d->trouble[0] != '\0';
  char text[sizeof d->misconfigured + sizeof d->trouble + 8];
  char safe[sizeof text], state[sizeof text + 16];

  snprintf(text, sizeof text, "%s%s%s", d->misconfigured, both ? "; " : "",
           d->trouble);
  log_sanitize(text, safe, sizeof safe);
  snprintf(state, sizeof state, "STATUS=%s\n", safe);
  notify_send(d->notify_fd, state);
}

static void
on_trouble(void *opaque, const char *trouble)
{
  struct daemon *d = opaque;

  snprintf(d->trouble, sizeof d->trouble, "%s", trouble);
  tell_status(d);
}

/* The former configuration stays in force where the new one is wrong. */
static void
on_reload(void *opaque, struct keeper_reading *reading)
{
  struct daemon *d = opaque;
  const bool was = d->misconfigured[0] != '\0';
  char *why = reading->text;
  const int r =
    settings_reread(&d->settings, &reading->fd, why, sizeof reading->text);

  reading->wrong = r < 0;
  d->misconfigured[0] = '\0';
  if (r < 0) {
    snprintf(d->misconfigured, sizeof d->misconfigured,
             "%s; the former configuration stays in force", why);
    log_error("%s", d->misconfigured);
  }
  if (r < 0 || was)
    tell_status(d);
}

static void
tidy(void *opaque)
{
  const struct daemon *d = opaque;

  listen_unlink(d->listen);
  listen_unlink(d->control);
  pid_file_remove(&d->pid_file);
}

/* ----------------------------------------------------------------- start-up */

/* Started by inetd, standard error is the client: nothing of ours belongs
 * there. */
static void
spare_client(int fd)
{
  struct stat client, out;
  int null;

  if (fd >= 0 && fd != STDERR_FILENO && fstat(fd, &client) == 0 &&
      S_ISSOCK(client.st_mode) && fstat(STDERR_FILENO, &out) == 0 &&
      client.st_dev == out.st_dev && client.st_ino == out.st_ino &&
      (null = open("/dev/null", O_WRONLY)) >= 0) {
    dup2(null, STDERR_FILENO);
    close(null);
  }
}

static int
open_control(struct daemon *d, struct vhd_error *err)
{
  const struct options *opt = &d->settings.options;
  int r = 0;

  d->admins = (gid_t)-1;
  if (opt->control_admins)
    r =
      user_find_group("control-admins", opt->control_admins, &d->admins, err);
  return r < 0 ? r
               : listen_open_control(opt, d->user.uid, d->user.gid, d->admins,
                                     &d->control, err);
}

static int
start(struct daemon *d, struct vhd_error *err)
{
  int r = user_find(d->settings.options.user, d->settings.options.group,
                    &d->user, err);
  if (r == 0)
    r = listen_open(&d->settings.options, d->user.uid, d->user.gid, &d->listen,
                    err);
  if (r == 0)
    r = open_control(d, err);
  if (r == 0)
    r = listen_open_metrics(&d->settings.options, &d->metrics, err);
  if (r == 0)
    r = pid_file_open(&d->pid_file, d->settings.options.pid_file, err);
  if (r == 0)
    r = confine_keeper(&d->settings.options, err);
  return r;
}

static int
run(struct daemon *d)
{
  struct vhd_error err;
  int status = EXIT_FAILURE;

  d->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  keeper_hold_signals();
  spare_client(d->settings.options.fd);
  d->notify_fd = notify_open();
  if (start(d, &err) == 0) {
    const struct keeper_duties duties = {
      .opaque = d,
      .work = on_work,
      .help = on_help,
      .ready = on_ready,
      .stopping = on_stopping,
      .reload = on_reload,
      .trouble = on_trouble,
      .tidy = tidy,
      .once = listen_connected(d->listen) > 0,
    };
    status = keeper_run(&duties);
  } else {
    log_error("%s", err.message);
  }
  pid_file_remove(&d->pid_file);
  pid_file_close(&d->pid_file);
  listen_free(d->listen);
  listen_free(d->control);
  listen_free(d->metrics);
  if (d->notify_fd >= 0)
    close(d->notify_fd);
  return status;
}

/* --check-config. */
static int
check(const struct settings *settings)
{
  struct vhd_error err;
  const int r = settings_check(settings, &err);

  if (r < 0)
    log_error("%s", err.message);
  else
    puts("The configuration is sound.");
  return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
}

/* A standard file that is not there must not become an image, into which
 * messages would then go. */
static void
fill_standard_files(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
      _exit(EXIT_FAILURE);
}

int
main(int argc, char **argv)
{
  struct daemon d = { .notify_fd = -1, .pid_file.fd = -1 };
  char message[1024];
  int status = EXIT_SUCCESS;

  fill_standard_files();
  switch (settings_read(&d.settings, argc, argv, message, sizeof message)) {
  case OPTIONS_WRONG:
    log_error("%s", message);
    status = EXIT_USAGE;
    break;
  case OPTIONS_DONE:
    break;
  case OPTIONS_RUN:
    if (d.settings.options.verbose)
      log_set_level(LOG_LEVEL_DEBUG);
    status = d.settings.options.check_config ? check(&d.settings) : run(&d);
    break;
  }
  settings_free(&d.settings);
  return status;
}

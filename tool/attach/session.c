/* SPDX-License-Identifier: BSD-2-Clause */
/* session.c: see session.h. */
#include "config.h"

#include "attach/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/client.h"
#include "attach/log.h"
#include "interrupt.h"
#include "message.h"

/* How often is looked for a signal of the user's, and for a device, which
 * nobody tells of. */
#define SIGNAL_TIME 200
#define DEVICE_TIME 10
/* vhdkitd gives requests 30 seconds. */
#define SERVER_END_TIME 40000

/* ------------------------------------------------------------------ daemons */

/* Starts a daemon with its process in the record. */
static int
start(const struct entry *entry, const struct attachment *a, const char *log,
      const char *const *argv, const char *notify, struct process *process)
{
  int go, fd = log_make(entry, log);

  if (fd < 0)
    return -1;
  int r = process_prepare(argv, fd, notify, process, &go);
  close(fd);
  if (r < 0)
    return -1;
  if (entry_write(entry, a) < 0) {
    close(go);
    return -1;
  }
  process_begin(go);
  return 0;
}

/* --------------------------------------------------------------- the server */

static int
notify_open(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  /* It is no longer than that of the server's socket, which fits. */
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    complain("%s: %s", path, strerror(errno));
    if (fd >= 0)
      close(fd);
    return -1;
  }
  return fd;
}

static bool
says_ready(int fd)
{
  char text[2048];
  ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

  text[n > 0 ? n : 0] = '\0';
  return strncmp(text, "READY=1", 7) == 0;
}

/* Waits until the server listens. */
static int
wait_for_server(int notify, const struct process *server)
{
  int pidfd = process_open(server), r = 1;

  while (r > 0 && pidfd >= 0 && !interrupt_pending()) {
    struct pollfd fds[2] = { { .fd = notify, .events = POLLIN },
                             { .fd = pidfd, .events = POLLIN } };
    if (poll(fds, 2, SIGNAL_TIME) <= 0)
      continue;
    if (fds[0].revents != 0 && says_ready(notify))
      r = 0;
    else if (fds[1].revents != 0)
      r = -1;
  }
  if (pidfd >= 0)
    close(pidfd);
  return r == 0 ? 0 : -1;
}

/* The arguments, those that are made to be freed as options.  Folders that are
 * not there are passed over. */
static const char **
server_arguments(const char *program, const char *socket,
                 const struct attachment *a, const struct session_options *opt)
{
  const char **argv = calloc(opt->nroots + 10, sizeof *argv);
  size_t n = 0;

  if (!argv)
    abort();
  argv[n++] = program;
  argv[n++] = "--unix";
  argv[n++] = socket;
  argv[n++] = "--unix-mode=600";
  if (a->readonly)
    argv[n++] = "--readonly";
  if (opt->size_chs)
    argv[n++] = "--size-chs";
  for (size_t i = 0; i < opt->nroots; i++) {
    char *root = realpath(opt->roots[i], NULL), *option;
    if (root && asprintf(&option, "--root=%s", root) < 0)
      abort();
    if (root)
      argv[n++] = option;
    free(root);
  }
  argv[n++] = "--";
  argv[n++] = a->image; /* with its slash it is no NAME=IMAGE */
  return argv;
}

static void
free_arguments(const char **argv)
{
  for (size_t i = 0; argv[i]; i++)
    if (strncmp(argv[i], "--root=", 7) == 0)
      free((char *)argv[i]);
  free(argv);
}

static int
run_server(const struct entry *entry, struct attachment *a,
           const char *const *argv, const char *notify)
{
  int fd = notify_open(notify);

  if (fd < 0)
    return -1;
  int r = start(entry, a, "log", argv, notify, &a->server);
  if (r == 0 && (r = wait_for_server(fd, &a->server)) < 0) {
    if (interrupt_pending())
      complain("interrupted");
    else if (log_tell(entry, "log", 0, LOG_WARNINGS) == 0 &&
             log_tell(entry, "log", 0, LOG_ALL) == 0)
      complain("%s has ended and said nothing", argv[0]);
  }
  close(fd);
  unlink(notify);
  if (r == 0)
    log_tell(entry, "log", 0, LOG_WARNINGS);
  return r;
}

static int
begin_server(const struct entry *entry, struct attachment *a,
             const struct session_options *opt)
{
  char *program = process_find("vhdkitd", "VHDKITD");

  if (!program)
    return -1;
  char *socket = entry_path(entry, "socket");
  char *notify = entry_path(entry, "notify");
  const char **argv = server_arguments(program, socket, a, opt);
  int r = run_server(entry, a, argv, notify);
  free_arguments(argv);
  free(notify);
  free(socket);
  free(program);
  return r;
}

/* --------------------------------------------------------------- the client */

/* A file to be mounted upon. */
static int
make_disk(const struct entry *entry, const struct attachment *a)
{
  if (a->with != WITH_FUSE)
    return 0;
  int fd = log_make(entry, "disk");
  if (fd >= 0)
    close(fd);
  return fd < 0 ? -1 : 0;
}

static int
wait_for_device(const struct entry *entry, const struct attachment *a)
{
  while (!interrupt_pending()) {
    /* In this order: it may end when it has been there for a moment. */
    bool alive = process_is_alive(&a->client);
    if (client_is_ready(entry, a))
      return 0;
    if (!alive) {
      if (log_tell(entry, "client", 0, LOG_ALL) == 0)
        complain("%s has ended and said nothing", client_program(a->with));
      return -1;
    }
    poll(NULL, 0, DEVICE_TIME);
  }
  complain("interrupted");
  return -1;
}

static int
begin_client(const struct entry *entry, struct attachment *a)
{
  const char *name = client_program(a->with), *argv[CLIENT_ARGS];

  if (!name)
    return 0;
  char *program = process_find(name, NULL);
  if (!program)
    return -1;
  char *socket = entry_path(entry, "socket");
  int r = make_disk(entry, a);
  if (r == 0 && client_arguments(a, program, socket, argv))
    r = start(entry, a, "client", argv, NULL, &a->client);
  if (r == 0)
    r = wait_for_device(entry, a);
  free(socket);
  free(program);
  return r;
}

/* --------------------------------------------------------------------- both */

int
session_begin(const struct entry *entry, struct attachment *a,
              const struct session_options *opt)
{
  if (begin_server(entry, a, opt) < 0 || begin_client(entry, a) < 0)
    return -1;
  a->readonly |= client_is_readonly(a);
  a->complete = true;
  return entry_write(entry, a);
}

static int
end_server(const struct entry *entry, const struct attachment *a, off_t told)
{
  if (!process_end(&a->server, SIGTERM, SERVER_END_TIME)) {
    complain("%s: its server, process %ld, has been told to end and does not; "
             "the log is %s/log", a->image, (long)a->server.pid, entry->path);
    return -1;
  }
  return log_tell(entry, "log", told, LOG_ERRORS) > 0 ? 1 : 0;
}

int
session_end(const struct entry *entry, const struct attachment *a, bool force)
{
  const off_t told = log_end(entry, "log");

  if (!process_is_alive(&a->server))
    force = true;
  if (client_release(entry, a, force) < 0)
    return -1;
  int r = end_server(entry, a, told);
  if (r < 0)
    return -1;
  entry_remove(entry);
  return r == 0 ? 0 : -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* session.c: see session.h. */
#include "config.h"

#include "attach/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/client.h"
#include "attach/driver.h"
#include "attach/log.h"
#include "interrupt.h"
#include "message.h"

/* How often is looked for a signal of the user's, and for a device, which
 * nobody tells of. */
#define SIGNAL_TIME 200
#define DEVICE_TIME 10
/* vhdkitd gives requests 30 seconds. */
#define SERVER_END_TIME 40000
#define SERVER_FORCE_TIME 5000

/* ------------------------------------------------------------------ daemons */

/* Starts a daemon with its process in the record.  log: NULL for one whose
 * words nobody reads. */
static int
start(const struct entry *entry, const struct attachment *a, const char *log,
      const char *const *argv, const char *notify, struct process *process)
{
  int go, fd = log ? log_make(entry, log) : open("/dev/null",
                                                 O_WRONLY | O_CLOEXEC);

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

static int
complete(const struct entry *entry, struct attachment *a)
{
  a->complete = true;
  return entry_write(entry, a);
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
run_client(const struct entry *entry, struct attachment *a,
           const char *program)
{
  struct client_line line = { .filter = NULL };

  if (a->len != 0 && !(line.filter = process_find("nbdkit", NULL)))
    return -1;
  char *socket = entry_path(entry, "socket");
  int r = make_disk(entry, a);
  if (r == 0 && client_arguments(a, program, socket, &line))
    r = start(entry, a, "client", line.argv, NULL, &a->client);
  if (r == 0)
    r = wait_for_device(entry, a);
  free(socket);
  free(line.filter);
  return r;
}

static int
begin_client(const struct entry *entry, struct attachment *a)
{
  const char *name = client_program(a->with);

  if (!name)
    return 0;
  char *program = process_find(name, NULL);
  if (!program)
    return -1;
  int r = run_client(entry, a, program);
  free(program);
  return r;
}

/* --------------------------------------------------------- the file system */

/* The device becomes what the attachment says of it by now. */
static int
replace_client(const struct entry *entry, struct attachment *a)
{
  if (client_release(entry, a, false) < 0)
    return -1;
  a->client = (struct process){ 0 };
  unlinkat(entry->fd, "client", 0);
  unlinkat(entry->fd, "disk", 0);
  return begin_client(entry, a);
}

static int
wait_for_driver(const struct entry *entry, const struct attachment *a)
{
  while (!interrupt_pending()) {
    bool alive = process_is_alive(&a->driver);
    if (driver_is_ready(a))
      return 0;
    if (!alive) {
      if (log_tell(entry, "driver", 0, LOG_ALL) == 0)
        complain("%s: the driver has ended and said nothing", a->folder);
      return -1;
    }
    poll(NULL, 0, DEVICE_TIME);
  }
  complain("interrupted");
  return -1;
}

static int
run_driver(const struct entry *entry, struct attachment *a,
           const struct driver *driver, const char *program)
{
  const char *argv[DRIVER_ARGS];
  char options[DRIVER_OPTIONS];

  a->allow_root = driver_is_privileged(program);
  if ((a->len != 0 || a->allow_root) && replace_client(entry, a) < 0) {
    if (a->allow_root)
      complain("%s runs as root, whom FUSE does not let into what is yours "
               "unless /etc/fuse.conf says user_allow_other", program);
    return -1;
  }
  driver_arguments(driver, a, program, options, argv);
  if (start(entry, a, driver->talks ? NULL : "driver", argv, NULL,
            &a->driver) < 0)
    return -1;
  return wait_for_driver(entry, a);
}

int
session_mount(const struct entry *entry, struct attachment *a,
              const struct driver *driver)
{
  char *program = process_find(driver->program, NULL);

  if (!program) {
    complain("it mounts %s; Debian has it in the package %s", driver->content,
             driver->package);
    return -1;
  }
  int r = run_driver(entry, a, driver, program);
  free(program);
  return r < 0 ? r : complete(entry, a);
}

/* --------------------------------------------------------------------- all */

static int
begin(const struct entry *entry, struct attachment *a,
      const struct session_options *opt)
{
  if (begin_server(entry, a, opt) < 0 || begin_client(entry, a) < 0)
    return -1;
  a->readonly |= client_is_readonly(a);
  return a->folder ? 0 : complete(entry, a);
}

/* Its worker dies with it. */
static bool
kill_server(const struct attachment *a)
{
  if (!process_end(&a->server, SIGKILL, SERVER_FORCE_TIME))
    return false;
  complain("warning: %s: its server did not end, and was killed; what it had "
           "acknowledged comes into the image when that is opened for writing "
           "again, which must be before this machine is started anew",
           a->image);
  return true;
}

static int
end_server(const struct entry *entry, const struct attachment *a, bool force,
           off_t told)
{
  const int patience = force ? SERVER_FORCE_TIME : SERVER_END_TIME;

  if (!process_end(&a->server, SIGTERM, patience) &&
      !(force && kill_server(a))) {
    complain("%s: its server, process %ld, has been told to end and does "
             "not%s; the log is %s/log", a->image, (long)a->server.pid,
             force ? "" : ", and --force kills it", entry->path);
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
  if (driver_release(a, force) < 0 || client_release(entry, a, force) < 0)
    return -1;
  int r = end_server(entry, a, force, told);
  if (r < 0)
    return -1;
  entry_remove(entry);
  return r == 0 ? 0 : -1;
}

int
session_begin(const struct folder *folder, struct attachment *a,
              const struct session_options *opt, session_then *then,
              void *opaque)
{
  struct entry entry;

  if (folder_add(folder, a, &entry) < 0)
    return -1;
  int r = begin(&entry, a, opt);
  if (r == 0)
    r = then(opaque, &entry, a);
  if (r < 0)
    session_end(&entry, a, true);
  entry_close(&entry);
  return r;
}

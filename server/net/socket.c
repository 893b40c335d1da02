/* SPDX-License-Identifier: BSD-2-Clause */
/* socket.c: opening, naming and closing sockets; see socket.h.
 *
 * A Unix socket's file outlives its server, so one that is there may be dead.
 * Only connecting tells.  Looking, removing and binding are one step for other
 * servers of the same kind: all of them hold a lock on the directory meanwhile
 * (flock, so nothing is left behind), and listen before they let it go. */
#include "config.h"

#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LINUX_VM_SOCKETS_H
#include <linux/vm_sockets.h>
#endif

#include "base/error.h"

/* The kernel cuts it to net.core.somaxconn.  When a room full of machines is
 * switched on, hundreds of clients connect at once, and the server speaks
 * first: a client that fell off the queue would wait for ever. */
#define BACKLOG 4096

#define KEEPALIVE_IDLE 60 /* seconds of silence before the first probe */
#define KEEPALIVE_INTERVAL 15
#define KEEPALIVE_COUNT 4
/* Probes are sent while nothing is under way.  What was sent and is not
 * acknowledged, or waits since the client takes nothing, may take as long; by
 * itself TCP tries for a quarter of an hour. */
#define UNACKNOWLEDGED_MSEC \
  ((KEEPALIVE_IDLE + KEEPALIVE_COUNT * KEEPALIVE_INTERVAL) * 1000)

/* TCP finds out by itself how much it should buffer.  A Unix socket has 208
 * KiB, so that a reply of 1 MiB takes five turns of client and server; with
 * this, one or two.  The kernel doubles it, and cuts it to wmem_max. */
static const int unix_send_bytes = 512 << 10;

void
socket_tune(int fd)
{
  static const struct {
    int level, name, value;
  } settings[] = {
    { IPPROTO_TCP, TCP_NODELAY, 1 },
    { SOL_SOCKET, SO_KEEPALIVE, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE },
    { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL },
    { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MSEC },
  };
  int domain;
  socklen_t len = sizeof domain;

  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
    return;
  if (domain == AF_UNIX) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &unix_send_bytes,
               sizeof unix_send_bytes);
    return;
  }
  if (domain != AF_INET && domain != AF_INET6)
    return;
  /* None of them is worth refusing service for. */
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value,
               sizeof settings[i].value);
  }
}

/* ------------------------------------------------------------------ naming */

void
socket_address_name(const struct sockaddr *address, socklen_t len, char *buf,
                    size_t size)
{
  char host[NI_MAXHOST], port[NI_MAXSERV];

  switch (address->sa_family) {
  case AF_UNIX: {
    const struct sockaddr_un *sun = (const struct sockaddr_un *)address;
    size_t path_len = len > offsetof(struct sockaddr_un, sun_path)
                        ? len - offsetof(struct sockaddr_un, sun_path)
                        : 0;
    /* An abstract name begins with a zero byte. */
    bool is_abstract = path_len > 0 && sun->sun_path[0] == '\0';
    snprintf(buf, size, "unix:%s%.*s", is_abstract ? "@" : "",
             (int)(path_len - is_abstract), sun->sun_path + is_abstract);
    return;
  }
#ifdef HAVE_LINUX_VM_SOCKETS_H
  case AF_VSOCK: {
    const struct sockaddr_vm *svm = (const struct sockaddr_vm *)address;
    if (svm->svm_cid == VMADDR_CID_ANY)
      snprintf(buf, size, "vsock:%u", svm->svm_port);
    else
      snprintf(buf, size, "vsock:%u:%u", svm->svm_cid, svm->svm_port);
    return;
  }
#endif
  case AF_INET:
  case AF_INET6:
    if (getnameinfo(address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
      snprintf(buf, size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
               host, port);
      return;
    }
    break;
  }
  snprintf(buf, size, "a socket of family %d", (int)address->sa_family);
}

void
socket_name(int fd, char *buf, size_t size)
{
  struct sockaddr_storage address = { 0 };
  socklen_t len = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
    snprintf(buf, size, "an unknown address");
  else
    socket_address_name((struct sockaddr *)&address, len, buf, size);
}

void
socket_peer_name(int fd, char *buf, size_t size)
{
  struct sockaddr_storage address = { 0 };
  struct ucred peer;
  socklen_t len = sizeof address, peer_len = sizeof peer;

  /* A Unix client's socket has no name, but the client has a process. */
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0 &&
      peer.pid > 0)
    snprintf(buf, size, "process %ld", (long)peer.pid);
  else if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
    snprintf(buf, size, "an unknown address");
  else
    socket_address_name((struct sockaddr *)&address, len, buf, size);
}

/* A server that was killed has children that the kernel kills with it, and that
 * have its sockets.  They are gone in a moment, which is waited for. */
#define LINGER_TRIES 100

static void
rest_for_remains(void)
{
  const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

  nanosleep(&pause, NULL);
}

/* --------------------------------------------------------------------- TCP */

/* Returns the socket or -errno. */
static int
bind_one(const struct addrinfo *ai)
{
  static const int on = 1;
  int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  ai->ai_protocol);
  if (fd < 0)
    return -errno;
  /* Without V6ONLY, [::] would take IPv4's port as well, or fail, depending on
   * a sysctl. */
  if ((ai->ai_family == AF_INET6 &&
       setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
    int r = -errno;
    close(fd);
    return r;
  }
  socket_tune(fd);
  return fd;
}

/* After port 0: the further addresses get the port that the first was given. */
static void
copy_port(struct addrinfo *ai, int fd)
{
  struct sockaddr_storage bound = { 0 };
  socklen_t len = sizeof bound;

  if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
    return;
  in_port_t port = bound.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&bound)->sin6_port
                     : ((struct sockaddr_in *)&bound)->sin_port;
  if (ai->ai_family == AF_INET6)
    ((struct sockaddr_in6 *)ai->ai_addr)->sin6_port = port;
  else if (ai->ai_family == AF_INET)
    ((struct sockaddr_in *)ai->ai_addr)->sin_port = port;
}

static int
fail_bind(struct vhd_error *err, int r, const char *host, const char *port)
{
  const char *hint = r == -EADDRINUSE ? "; is another server running there?"
                     : r == -EACCES   ? "; ports below 1024 need root"
                     : r == -EADDRNOTAVAIL
                       ? "; this machine does not have that address"
                       : "";
  return fail_system(err, -r, "cannot listen on %s port %s%s",
                     *host != '\0' ? host : "any address", port, hint);
}

int
socket_listen_tcp(const char *host, const char *port, struct socket *sockets,
                  size_t max, size_t *n, struct vhd_error *err)
{
  const struct addrinfo hints = {
    .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    .ai_socktype = SOCK_STREAM,
  };
  struct addrinfo *found;
  int missing = 0; /* an address family that the system lacks */

  *n = 0;
  int r = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &found);
  if (r != 0) {
    return fail_argument(err, "cannot listen on %s: %s", host,
                         r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
  }
  r = 0;
  for (struct addrinfo *ai = found; ai != NULL && *n < max && r == 0;
       ai = ai->ai_next) {
    if (*n > 0 && strcmp(port, "0") == 0)
      copy_port(ai, sockets[0].fd);
    int fd = bind_one(ai);
    for (int i = 0; i < LINGER_TRIES && fd == -EADDRINUSE; i++) {
      rest_for_remains();
      fd = bind_one(ai);
    }
    if (fd >= 0)
      sockets[(*n)++] = (struct socket){ .fd = fd };
    else if (fd == -EAFNOSUPPORT ||
             (fd == -EADDRNOTAVAIL && ai->ai_family == AF_INET6 &&
              *host == '\0'))
      missing = fd; /* a kernel without IPv6; the other family may do */
    else
      r = fail_bind(err, fd, host, port);
  }
  freeaddrinfo(found);
  if (r == 0 && *n == 0)
    r = fail_bind(err, missing != 0 ? missing : -EADDRNOTAVAIL, host, port);
  if (r < 0)
    while (*n > 0)
      close(sockets[--*n].fd);
  return r;
}

/* -------------------------------------------------------------------- Unix */

/* Locks the directory that path lies in; -1 if that cannot be done, which only
 * means that two servers must not be started in the same instant. */
static int
lock_directory(const char *path)
{
  const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
  const char *slash = strrchr(path, '/');
  char *dir = !slash          ? strdup(".")
              : slash == path ? strdup("/")
                              : strndup(path, (size_t)(slash - path));
  if (!dir)
    return -1;
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(dir);
  /* A stranger may hold the lock for ever: wait a second, not longer. */
  for (int i = 0; fd >= 0 && i < 100; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
      break;
    nanosleep(&pause, NULL);
  }
  return fd;
}

/* Does somebody listen, and which process began to?  0 with .pid, 0 where that
 * is not known; an error's number of connect(2); -errno. */
static int
try_connect(const struct sockaddr_un *address, pid_t *pid)
{
  struct ucred holder;
  socklen_t len = sizeof holder;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return -errno;
  int sys = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0
              ? errno
              : 0;
  *pid = sys == 0 &&
             getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &len) == 0
           ? holder.pid
           : 0;
  close(fd);
  return sys;
}

/* Has it died, though its socket still takes connections? */
static bool
is_orphaned(pid_t holder)
{
  return holder > 0 && kill(holder, 0) < 0 && errno == ESRCH;
}

/* Removes a socket that nobody listens on.  0 if path is free now. */
static int
remove_stale(const char *path, const struct sockaddr_un *address,
             struct vhd_error *err)
{
  struct stat st;
  pid_t holder;

  if (lstat(path, &st) < 0) {
    return errno == ENOENT
             ? 0
             : fail_system(err, errno, "cannot look at %s", path);
  }
  if (!S_ISSOCK(st.st_mode)) {
    return fail_argument(err,
                         "%s exists and is not a socket: remove it or "
                         "choose another name",
                         path);
  }
  int sys = try_connect(address, &holder);
  for (int i = 0; i < LINGER_TRIES && sys == 0 && is_orphaned(holder); i++) {
    rest_for_remains();
    sys = try_connect(address, &holder);
  }
  if (sys < 0)
    return fail_system(err, -sys, "cannot make a socket");
  if (sys == ECONNREFUSED) {
    return unlink(path) == 0 || errno == ENOENT
             ? 0
             : fail_system(err, errno, "cannot remove the stale socket %s",
                           path);
  }
  if (sys == 0 && holder > 0) {
    return fail_argument(err, "%s is in use: process %ld listens on it", path,
                         (long)holder);
  }
  if (sys == 0 || sys == EAGAIN) { /* EAGAIN: alive, with a full queue */
    return fail_argument(err, "%s is in use: another server listens on it",
                         path);
  }
  return fail_system(err, sys, "cannot tell whether %s is in use", path);
}

static int
bind_unix(struct socket *sock, const struct sockaddr_un *address,
          const struct socket_unix_options *opt, struct vhd_error *err)
{
  const char *path = address->sun_path;

  sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (sock->fd < 0)
    return fail_system(err, errno, "cannot make a socket");
  /* The file has its permissions from the start: the umask, not chmod(). */
  mode_t saved = 0;
  if (opt->mode != ~0U)
    saved = umask(0777 & ~opt->mode);
  int r = bind(sock->fd, (const struct sockaddr *)address, sizeof *address);
  int sys = errno;
  if (opt->mode != ~0U)
    umask(saved);
  if (r < 0)
    return fail_system(err, sys, "cannot listen on %s", path);
  if (((opt->uid != (uid_t)-1 || opt->gid != (gid_t)-1) &&
       lchown(path, opt->uid, opt->gid) < 0) ||
      listen(sock->fd, BACKLOG) < 0 || lstat(path, &sock->made) < 0 ||
      (sock->path = strdup(path)) == NULL) {
    sys = errno;
    unlink(path);
    return fail_system(err, sys, "cannot listen on %s", path);
  }
  return 0;
}

int
socket_listen_unix(const char *path, const struct socket_unix_options *opt,
                   struct socket *sock, struct vhd_error *err)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  *sock = (struct socket){ .fd = -1 };
  if (strlen(path) >= sizeof address.sun_path) {
    return fail_argument(err,
                         "%s: the path of a Unix socket has at most %zu "
                         "bytes",
                         path, sizeof address.sun_path - 1);
  }
  memcpy(address.sun_path, path, strlen(path));

  int lock = lock_directory(path);
  int r = remove_stale(path, &address, err);
  if (r == 0)
    r = bind_unix(sock, &address, opt, err);
  if (lock >= 0)
    close(lock);
  if (r < 0 && sock->fd >= 0) {
    close(sock->fd);
    sock->fd = -1;
  }
  return r;
}

void
socket_unlink(const struct socket *sock)
{
  struct stat st;

  /* Somebody may have replaced it: an inode alone can have been used again.
   * Its time of modification has not: it is that of its making, which chmod and
   * chown leave alone. */
  if (sock->path && lstat(sock->path, &st) == 0 &&
      st.st_dev == sock->made.st_dev && st.st_ino == sock->made.st_ino &&
      st.st_mtim.tv_sec == sock->made.st_mtim.tv_sec &&
      st.st_mtim.tv_nsec == sock->made.st_mtim.tv_nsec)
    unlink(sock->path);
}

void
socket_close(struct socket *sock)
{
  socket_unlink(sock);
  free(sock->path);
  if (sock->fd >= 0)
    close(sock->fd);
  *sock = (struct socket){ .fd = -1 };
}

/* ------------------------------------------------------------------- vsock */

#ifdef HAVE_LINUX_VM_SOCKETS_H

int
socket_listen_vsock(unsigned port, struct socket *sock, struct vhd_error *err)
{
  const struct sockaddr_vm address = {
    .svm_family = AF_VSOCK,
    .svm_cid = VMADDR_CID_ANY,
    .svm_port = port,
  };
  int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail_system(err, errno, "this kernel has no vsock");
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
      listen(fd, BACKLOG) < 0) {
    int sys = errno;
    close(fd);
    return fail_system(err, sys, "cannot listen on vsock port %u", port);
  }
  *sock = (struct socket){ .fd = fd };
  return 0;
}

#else

int
socket_listen_vsock(unsigned port, struct socket *sock, struct vhd_error *err)
{
  (void)port;
  (void)sock;
  return fail_argument(err, "this vhdkitd was built without vsock");
}

#endif

/* --------------------------------------------------------------- inherited */

int
socket_inherit(int fd, struct socket *sock, struct vhd_error *err)
{
  int type, listening;
  socklen_t type_len = sizeof type, listening_len = sizeof listening;

  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
    return fail_system(err, errno, "descriptor %d cannot be served", fd);
  if (type != SOCK_STREAM || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN,
                                        &listening, &listening_len) < 0)
    return fail_argument(err, "descriptor %d is not a stream socket", fd);
  struct sockaddr_storage peer;
  socklen_t peer_len = sizeof peer;
  if (!listening && getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0) {
    return fail_argument(err,
                         "the socket of descriptor %d neither listens nor "
                         "is connected",
                         fd);
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return fail_system(err, errno, "descriptor %d cannot be served", fd);
  socket_tune(fd);
  *sock = (struct socket){ .fd = fd, .connected = !listening };
  return 0;
}

/* A whole decimal number, or -1. */
static long
env_number(const char *name)
{
  const char *text = getenv(name);
  char *end;

  if (!text || *text < '0' || *text > '9')
    return -1;
  errno = 0;
  long number = strtol(text, &end, 10);
  return errno == 0 && *end == '\0' ? number : -1;
}

int
socket_activation(struct vhd_error *err)
{
  long pid = env_number("LISTEN_PID"), n = env_number("LISTEN_FDS");

  if (pid != (long)getpid())
    return 0; /* meant for somebody else, or for nobody */
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  if (n < 0 || n > 1024)
    return fail_argument(err, "LISTEN_FDS in the environment is no number");
  return (int)n;
}

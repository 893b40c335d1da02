/* SPDX-License-Identifier: BSD-2-Clause */
/* walls.c: see walls.h. */
#include "config.h"

#include "unit/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "keeper/sanitized.h"

static const struct walls *walls;

/* ------------------------------------------------------ files by their name */

static long
try_read(void)
{
  return open("home/disk.vhd", O_RDONLY | O_CLOEXEC);
}

static long
try_write(void)
{
  return open("home/disk.vhd", O_RDWR | O_CLOEXEC);
}

static long
try_create(void)
{
  return open("home/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long
try_at(void)
{
  return openat(walls->home, "disk.vhd", O_RDONLY | O_CLOEXEC);
}

static long
try_list(void)
{
  return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long
try_passwd(void)
{
  return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

/* A descriptor for a place, made into one that reads. */
static long
try_place(void)
{
  char path[32];
  int place = open("home/disk.vhd", O_PATH | O_CLOEXEC);

  if (place < 0)
    return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", place);
  return open(path, O_RDONLY | O_CLOEXEC);
}

static long
try_device(void)
{
  return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static long
try_proc(void)
{
  return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static long
try_unlink(void)
{
  return unlink("home/other");
}

static long
try_rename(void)
{
  return rename("home/other", "home/moved");
}

static long
try_link(void)
{
  return link("home/other", "home/twin");
}

static long
try_mkdir(void)
{
  return mkdir("home/folder", 0700);
}

static long
try_chmod(void)
{
  return chmod("home/other", 0777);
}

static long
try_chmod_newly(void)
{
  return syscall(452, AT_FDCWD, "home/other", 0777, 0); /* fchmodat2() */
}

static long
try_truncate(void)
{
  return truncate("home/other", 0);
}

static long
try_date(void)
{
  return utimensat(AT_FDCWD, "home/other", NULL, 0);
}

static long
try_mark(void)
{
  return setxattr("home/other", "user.mark", "x", 1, 0);
}

static long
try_marks(void)
{
  return listxattr("home/other", NULL, 0);
}

static long
try_statfs(void)
{
  struct statfs fs;
  return statfs("home/other", &fs);
}

static long
try_chdir(void)
{
  return chdir("home");
}

/* -------------------------------------------------- sockets, and other ways */

static long
try_socket_unix(void)
{
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long
try_socket_inet(void)
{
  return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long
try_socket_netlink(void)
{
  return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

/* A pair needs no name, but gets nowhere. */
static long
try_connect(void)
{
  int pair[2];

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return 0;
  long r = connect(pair[0], (const struct sockaddr *)walls->listener,
                   sizeof *walls->listener);
  int error = errno;
  close(pair[0]);
  close(pair[1]);
  errno = error;
  return r;
}

static long
try_socketpair(void)
{
  int pair[2];
  return socketpair(AF_INET, SOCK_STREAM, 0, pair);
}

static long
try_datagrams(void)
{
  int pair[2];
  return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
}

static long
try_raw(void)
{
  int pair[2];
  return socketpair(AF_UNIX, SOCK_RAW, 0, pair);
}

static long
try_shm(void)
{
  return shmget(4711, 4096, IPC_CREAT | 0600);
}

/* What a ring does no filter sees. */
static long
try_ring(void)
{
  return syscall(SYS_io_uring_setup, 1, NULL);
}

static long
try_mq(void)
{
  return syscall(SYS_mq_open, "vhdkit-no-such-queue", O_RDONLY, 0, NULL);
}

/* ------------------------------------------------- programs and processes */

static long
try_execve(void)
{
  char *const none[] = { NULL };
  return execve("/bin/true", none, none);
}

static long
try_fork(void)
{
  long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid == 0)
    _exit(0);
  return pid;
}

static long
try_fork_user(void)
{
  long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0)
    _exit(0);
  return pid;
}

static long
try_ptrace(void)
{
  return ptrace(PTRACE_ATTACH, walls->other, 0, 0);
}

static long
try_poke(void)
{
  char byte = 0;
  const struct iovec iov = { &byte, 1 };
  return process_vm_writev(walls->other, &iov, 1, &iov, 1, 0);
}

static long
try_kill(void)
{
  return kill(walls->other, SIGCONT);
}

static long
try_tgkill(void)
{
  return syscall(SYS_tgkill, walls->other, walls->other, SIGCONT);
}

static long
try_limit(void)
{
  const struct rlimit limit = { 3, 3 };
  return prlimit(walls->other, RLIMIT_CORE, &limit, NULL);
}

static long
try_slow(void)
{
  return setpriority(PRIO_PROCESS, (id_t)walls->other, 19);
}

static long
try_pin(void)
{
  cpu_set_t set;

  CPU_ZERO(&set);
  CPU_SET(0, &set);
  return sched_setaffinity(walls->other, sizeof set, &set);
}

static long
try_own(void)
{
  return fcntl(STDERR_FILENO, F_SETOWN, walls->other);
}

static long
try_own_ex(void)
{
  const struct f_owner_ex owner = { F_OWNER_PID, walls->other };
  return fcntl(STDERR_FILENO, F_SETOWN_EX, &owner);
}

static long
try_signal_choice(void)
{
  return fcntl(STDERR_FILENO, F_SETSIG, SIGKILL);
}

static long
try_untie(void)
{
  return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static long
try_type(void)
{
  return ioctl(STDERR_FILENO, TIOCSTI, "x");
}

/* The kernel looks at the lower half alone. */
static long
try_type_disguised(void)
{
  return syscall(SYS_ioctl, STDERR_FILENO, (1UL << 32) | TIOCSTI, "x");
}

/* Root could, without a capability of its own for it. */
static long
try_chown(void)
{
  return chown(walls->listener->sun_path, 1, 1);
}

static long
try_setuid(void)
{
  return syscall(SYS_setuid, getuid());
}

/* --------------------------------------------------------------- the system */

static long
try_mount(void)
{
  return mount("none", "/proc", "tmpfs", 0, "");
}

static long
try_unshare(void)
{
  return unshare(CLONE_NEWUSER);
}

static long
try_chroot(void)
{
  return chroot("/");
}

static long
try_module(void)
{
  return syscall(SYS_delete_module, "vhdkit_no_such_module", 0);
}

static long
try_bpf(void)
{
  return syscall(SYS_bpf, 0, NULL, 0);
}

static long
try_perf(void)
{
  return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static long
try_keyring(void)
{
  return syscall(SYS_keyctl, 0, -3, 0);
}

static long
try_clock(void)
{
  return syscall(SYS_clock_settime, 0, NULL);
}

static long
try_mknod(void)
{
  return mknod("pipe", S_IFIFO | 0600, 0);
}

static long
try_symlink(void)
{
  return symlink("/", "way");
}

/* ---------------------------------------------------------------- the table */

#define ALL (WALLS_KEEPER | WALLS_HELPER | WALLS_DISKS | WALLS_WORKER)
#define CHILDREN (WALLS_HELPER | WALLS_DISKS | WALLS_WORKER)
/* The keeper's other child, which has its filter too, makes links of its own
 * among the disks. */
#define LINKLESS (WALLS_HELPER | WALLS_WORKER)
#define NAMELESS (WALLS_DISKS | WALLS_WORKER)

/* Landlock alone forbids it to the worker too, on each kernel that has it. */
enum walled { TWICE, ONCE };

static const struct {
  const char *what;
  long (*try)(void);
  unsigned who;
  enum walled walled;
  bool late; /* sanitizers do it */
} attempts[] = {
  { "open to read", try_read, NAMELESS, TWICE, false },
  { "open to write", try_write, NAMELESS, TWICE, false },
  { "create", try_create, NAMELESS, TWICE, false },
  { "openat a folder", try_at, NAMELESS, TWICE, false },
  { "list", try_list, NAMELESS, TWICE, false },
  { "open /etc/passwd", try_passwd, NAMELESS, TWICE, false },
  { "open what was found", try_place, NAMELESS, TWICE, false },
  { "open /dev/null", try_device, NAMELESS, TWICE, true },
  { "open /proc/self/mem", try_proc, NAMELESS, TWICE, true },
  { "unlink", try_unlink, NAMELESS, TWICE, false },
  { "rename", try_rename, NAMELESS, TWICE, false },
  { "link", try_link, NAMELESS, TWICE, false },
  { "mkdir", try_mkdir, NAMELESS, TWICE, false },
  { "chmod", try_chmod, WALLS_WORKER, ONCE, false },
  { "fchmodat2", try_chmod_newly, WALLS_WORKER, ONCE, false },
  { "truncate", try_truncate, WALLS_WORKER, ONCE, false },
  { "date a file", try_date, WALLS_WORKER, ONCE, false },
  { "set an attribute", try_mark, WALLS_WORKER, ONCE, false },
  { "list attributes", try_marks, WALLS_WORKER, ONCE, false },
  { "look at a file system", try_statfs, WALLS_WORKER, ONCE, false },
  { "chdir", try_chdir, WALLS_WORKER, ONCE, false },
  { "make a Unix socket", try_socket_unix, ALL, ONCE, false },
  { "make an Internet socket", try_socket_inet, ALL, ONCE, false },
  { "make a netlink socket", try_socket_netlink, ALL, ONCE, false },
  { "connect", try_connect, ALL, ONCE, false },
  { "make an odd pair", try_socketpair, ALL, ONCE, false },
  { "make a pair of datagrams", try_datagrams, ALL, ONCE, false },
  { "make a raw pair", try_raw, ALL, ONCE, false },
  { "share memory", try_shm, ALL, ONCE, false },
  { "make a ring", try_ring, CHILDREN, ONCE, false },
  { "open a message queue", try_mq, ALL, ONCE, false },
  { "execve", try_execve, ALL, TWICE, false },
  { "fork", try_fork, CHILDREN, ONCE, true },
  { "fork as another user", try_fork_user, ALL, ONCE, true },
  { "ptrace another", try_ptrace, ALL, TWICE, true },
  { "write into another", try_poke, ALL, TWICE, false },
  { "signal another", try_kill, ALL, ONCE, true },
  { "tgkill another", try_tgkill, CHILDREN, ONCE, true },
  { "limit another", try_limit, ALL, ONCE, false },
  { "slow another down", try_slow, ALL, ONCE, false },
  { "pin another", try_pin, ALL, ONCE, false },
  { "have another signalled", try_own, ALL, ONCE, false },
  { "have another signalled thus", try_own_ex, ALL, ONCE, false },
  { "choose the signal", try_signal_choice, ALL, ONCE, false },
  { "outlive the keeper", try_untie, CHILDREN, ONCE, false },
  { "type", try_type, ALL, ONCE, false },
  { "type in disguise", try_type_disguised, ALL, ONCE, false },
  { "give a file away", try_chown, ALL, ONCE, false },
  { "setuid", try_setuid, CHILDREN, ONCE, false },
  { "mount", try_mount, ALL, ONCE, false },
  { "unshare", try_unshare, ALL, ONCE, false },
  { "chroot", try_chroot, ALL, ONCE, false },
  { "remove a module", try_module, ALL, ONCE, false },
  { "bpf", try_bpf, ALL, ONCE, false },
  { "perf", try_perf, ALL, ONCE, false },
  { "use a keyring", try_keyring, ALL, ONCE, false },
  { "set the clock", try_clock, ALL, ONCE, false },
  { "make a pipe", try_mknod, ALL, TWICE, false },
  { "make a link", try_symlink, LINKLESS, TWICE, false },
};

#ifdef SANITIZED
#define LATE true
#else
#define LATE false
#endif

const char *
walls_gap(const struct walls *w, enum walls_who who, bool filter)
{
  walls = w;
#ifndef HAVE_LIBSECCOMP
  filter = false;
#endif
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    if (!(attempts[i].who & who) || (attempts[i].late && LATE) ||
        (!filter && attempts[i].walled == ONCE))
      continue;
    errno = 0;
    if (attempts[i].try() >= 0 ||
        (errno != EPERM && errno != EACCES && errno != ENOSYS))
      return attempts[i].what;
  }
  return NULL;
}

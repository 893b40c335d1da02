/* SPDX-License-Identifier: BSD-2-Clause */
/* seccomp.c: the system call filter, with libseccomp; see seccomp.h.
 *
 * It names what is forbidden, not what is needed: the C library, io_uring and
 * the sanitizers use what they like from one version to the next, and a filter
 * that breaks on an upgrade is switched off for good.  Forbidden calls fail
 * with EPERM, clone3() with ENOSYS, upon which the C library falls back to
 * clone(), whose flags the filter can see.
 *
 * What the filter does not see is what io_uring does.  Our own rings can only
 * read and write what is open (io/uring.c), and once they are made, nobody can
 * make others. */
#include "config.h"

#include "keeper/seccomp.h"

#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "keeper/sanitized.h"

#ifdef HAVE_LIBSECCOMP

#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* As many in a line as there is room for. */
/* clang-format off */
static const int forbidden[] = {
  /* Starting programs. */
  SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(uselib),
#ifndef SANITIZED
  /* Looking into other processes. */
  SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
  /* Signals to them. */
  SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
  SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
#endif
  SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp),
  SCMP_SYS(process_madvise), SCMP_SYS(perf_event_open), SCMP_SYS(bpf),
  SCMP_SYS(userfaultfd), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages),
  /* Talking to them by a name or a number. */
  SCMP_SYS(mq_open), SCMP_SYS(mq_unlink), SCMP_SYS(shmget), SCMP_SYS(shmat),
  SCMP_SYS(msgget), SCMP_SYS(semget), SCMP_SYS(shmctl), SCMP_SYS(msgctl),
  SCMP_SYS(semctl), SCMP_SYS(semop), SCMP_SYS(semtimedop), SCMP_SYS(msgsnd),
  SCMP_SYS(msgrcv),
  /* Slowing them down, or ending them. */
  SCMP_SYS(setpriority), SCMP_SYS(ioprio_set), SCMP_SYS(sched_setscheduler),
  SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr),
  SCMP_SYS(sched_setaffinity), SCMP_SYS(process_mrelease),
  /* New sockets: those we need are open. */
  SCMP_SYS(socket), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(connect),
  /* Mounts and namespaces. */
  SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
  SCMP_SYS(chroot), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(fsconfig),
  SCMP_SYS(fspick), SCMP_SYS(open_tree), SCMP_SYS(move_mount),
  SCMP_SYS(mount_setattr), SCMP_SYS(setns), SCMP_SYS(unshare),
  SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
  /* Files that are none. */
  SCMP_SYS(mknod), SCMP_SYS(mknodat),
  /* The kernel. */
  SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
  SCMP_SYS(create_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
  SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
  SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(quotactl),
  SCMP_SYS(quotactl_fd), SCMP_SYS(modify_ldt), SCMP_SYS(vhangup),
  SCMP_SYS(nfsservctl), SCMP_SYS(lookup_dcookie), SCMP_SYS(personality),
  /* Keys, the clock, names. */
  SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(request_key),
  SCMP_SYS(clock_settime), SCMP_SYS(clock_settime64), SCMP_SYS(settimeofday),
  SCMP_SYS(stime), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime),
  SCMP_SYS(clock_adjtime64), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
};

/* What the keeper must, and its children need no more. */
static const int forbidden_children[] = {
#ifndef SANITIZED
  SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(kill),
#endif
  SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid),
  SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setgroups),
  SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(capset),
};

/* What leads to a disk's versions, and is made by who changes those alone. */
static const int forbidden_links[] = {
  SCMP_SYS(symlink), SCMP_SYS(symlinkat),
};

/* Everything that takes a name to open or change what it stands for, or to read
 * more of it than stat(2) tells.  Names can still be looked at, as the library
 * does where it looks for parents.  And openat() is left for O_PATH alone. */
static const int forbidden_opening[] = {
#ifndef SANITIZED
  SCMP_SYS(open), SCMP_SYS(openat2),
#endif
  SCMP_SYS(creat), SCMP_SYS(truncate), SCMP_SYS(truncate64),
  SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir),
  SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
  SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
  SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(chown32),
  SCMP_SYS(lchown), SCMP_SYS(lchown32), SCMP_SYS(fchownat),
  SCMP_SYS(utime), SCMP_SYS(utimes), SCMP_SYS(futimesat),
  SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(removexattr),
  SCMP_SYS(lremovexattr), SCMP_SYS(getxattr), SCMP_SYS(lgetxattr),
  SCMP_SYS(listxattr), SCMP_SYS(llistxattr), SCMP_SYS(statfs),
  SCMP_SYS(statfs64), SCMP_SYS(chdir), SCMP_SYS(fchdir),
  SCMP_SYS(inotify_init), SCMP_SYS(inotify_init1), SCMP_SYS(fanotify_init),
};

/* From where on calls are newer than the list above: of those only what is
 * named here.  Their numbers are the same on each architecture. */
#define NEWER_BEGIN 452
#define NEWER_END 512
static const int newer_allowed[] = {
  453, /* map_shadow_stack */
  454, /* futex_wake */
  455, /* futex_wait */
  456, /* futex_requeue */
  462, /* mseal */
};

static const int forbidden_rings[] = {
  SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_register),
};
/* clang-format on */

#define N(array) (sizeof(array) / sizeof *(array))

/* -EDOM, -EINVAL: this architecture or version does not have it. */
static int
known(int r)
{
  return r == -EDOM || r == -EINVAL ? 0 : r;
}

static int
forbid(scmp_filter_ctx filter, const int *calls, size_t n)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < n; i++)
    r = known(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0));
  return r;
}

static bool
is_newer_allowed(int call)
{
  for (size_t i = 0; i < N(newer_allowed); i++)
    if (newer_allowed[i] == call)
      return true;
  return false;
}

/* As if the kernel did not know them: whoever uses them can do without. */
static int
forbid_newer(scmp_filter_ctx filter)
{
  int r = 0;

  for (int call = NEWER_BEGIN; r == 0 && call < NEWER_END; call++)
    if (!is_newer_allowed(call))
      r = known(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0));
  return r;
}

/* A call, where one of its arguments is such. */
struct condition {
  int call;
  struct scmp_arg_cmp argument;
};

static int
forbid_where(scmp_filter_ctx filter, const struct condition *c, size_t n)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < n; i++)
    r = known(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), c[i].call,
                                     1, &c[i].argument));
  return r;
}

/* Arguments of 32 bits come in 64, of which the kernel looks at the lower. */
#define LOW UINT32_MAX

static int
forbid_common(scmp_filter_ctx filter)
{
  const struct condition where[] = {
    { SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_NE, AF_UNIX) },
    /* By these one can send to any address; "raw" ones are the same. */
    { SCMP_SYS(socketpair), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM) },
    { SCMP_SYS(socketpair), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW) },
    /* Signals to the owner of a descriptor, who may be anybody. */
    { SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETOWN) },
    { SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETOWN_EX) },
    { SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETSIG) },
    { SCMP_SYS(fcntl64), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETOWN) },
    { SCMP_SYS(fcntl64), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETOWN_EX) },
    { SCMP_SYS(fcntl64), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, F_SETSIG) },
    { SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, FIOSETOWN) },
    { SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, SIOCSPGRP) },
    /* Typing into the terminal that the log may go to. */
    { SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, TIOCSTI) },
    { SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, LOW, TIOCLINUX) },
    /* Other processes' limits. */
    { SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_NE, 0) },
  };
  int r = forbid(filter, forbidden, N(forbidden));

  if (r == 0)
    r = forbid_newer(filter);
  return r == 0 ? forbid_where(filter, where, N(where)) : r;
}

/* It is tied to the keeper (keeper_tie()), and stays so. */
static int
forbid_untying(scmp_filter_ctx filter)
{
  const struct condition untie = {
    SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_MASKED_EQ, LOW, PR_SET_PDEATHSIG)
  };

  return forbid_where(filter, &untie, 1);
}

/* Threads, but no processes, nor signals to any. */
static int
forbid_processes(scmp_filter_ctx filter)
{
#ifndef SANITIZED
  const struct condition where[] = {
    { SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0) },
    { SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()) },
  };
  int r = forbid_where(filter, where, N(where));

  return r == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                                   SCMP_SYS(clone3), 0)
                : r;
#else
  (void)filter;
  return 0;
#endif
}

/* Processes, but in no namespaces of their own; and signals to itself. */
static int
forbid_namespaces(scmp_filter_ctx filter)
{
#ifndef SANITIZED
  static const int flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                               CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                               CLONE_NEWNET };
  const struct condition kill = {
    SCMP_SYS(kill), SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())
  };
  int r = forbid_where(filter, &kill, 1);

  for (size_t i = 0; r == 0 && i < N(flags); i++) {
    const scmp_datum_t flag = (unsigned)flags[i];
    const struct condition clone = { SCMP_SYS(clone),
                                     SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag) };
    r = forbid_where(filter, &clone, 1);
  }
  return r == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                                   SCMP_SYS(clone3), 0)
                : r;
#else
  (void)filter;
  return 0;
#endif
}

static int
forbid_names(scmp_filter_ctx filter)
{
  const struct condition where[] = {
#ifndef SANITIZED
    { SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, O_PATH, 0) },
#endif
    /* Without a name it is futimens(). */
    { SCMP_SYS(utimensat), SCMP_A1(SCMP_CMP_NE, 0) },
    { SCMP_SYS(utimensat_time64), SCMP_A1(SCMP_CMP_NE, 0) },
  };
  int r = forbid(filter, forbidden_opening, N(forbidden_opening));

  return r == 0 ? forbid_where(filter, where, N(where)) : r;
}

static int
forbid_children(scmp_filter_ctx filter)
{
  return forbid(filter, forbidden_children, N(forbidden_children));
}

static int
forbid_links(scmp_filter_ctx filter)
{
  return forbid(filter, forbidden_links, N(forbidden_links));
}

/* To all threads there are, not to the calling one alone. */
static int
forbid_rings(scmp_filter_ctx filter)
{
  const int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

  return r == 0 ? forbid(filter, forbidden_rings, N(forbidden_rings)) : r;
}

/* Adds something to a filter; 0 or -errno. */
typedef int rule(scmp_filter_ctx filter);

/* A filter of these, up to NULL. */
static int
enter(rule *const rules[], struct vhd_error *err)
{
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  int r = 0;

  if (!filter)
    return fail_system(err, ENOMEM, "cannot make a system call filter");
  for (size_t i = 0; r == 0 && rules[i]; i++)
    r = rules[i](filter);
  if (r == 0)
    r = seccomp_load(filter);
  seccomp_release(filter);
  return r < 0 ? fail_system(err, -r, "cannot enter the system call filter")
               : 0;
}

int
filter_enter_keeper(struct vhd_error *err)
{
  static rule *const rules[] = { forbid_common, forbid_namespaces, NULL };

  return enter(rules, err);
}

int
filter_enter(struct vhd_error *err)
{
  static rule *const rules[] = { forbid_common,    forbid_children,
                                 forbid_links,     forbid_untying,
                                 forbid_processes, NULL };

  return enter(rules, err);
}

int
filter_enter_disks(struct vhd_error *err)
{
  static rule *const rules[] = { forbid_common, forbid_children,
                                 forbid_untying, forbid_processes, NULL };

  return enter(rules, err);
}

int
filter_forbid_opening(struct vhd_error *err)
{
  static rule *const rules[] = { forbid_names, NULL };

  return enter(rules, err);
}

int
filter_forbid_rings(struct vhd_error *err)
{
  static rule *const rules[] = { forbid_rings, NULL };

  return enter(rules, err);
}

#else

static int
without(struct vhd_error *err)
{
  fail_argument(err, "this vhdkitd was built without a system call filter");
  return -EOPNOTSUPP;
}

int
filter_enter_keeper(struct vhd_error *err)
{
  return without(err);
}

int
filter_enter(struct vhd_error *err)
{
  return without(err);
}

int
filter_enter_disks(struct vhd_error *err)
{
  return without(err);
}

int
filter_forbid_opening(struct vhd_error *err)
{
  return without(err);
}

int
filter_forbid_rings(struct vhd_error *err)
{
  return without(err);
}

#endif

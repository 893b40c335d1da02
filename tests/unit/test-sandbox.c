/* SPDX-License-Identifier: BSD-2-Clause */
/* test-sandbox.c: what confines the keeper and its helpers, from inside: each
 * case enters it in a process of its own and tries what must fail, and what
 * must still work.  The worker has test-worker.c. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#include <sys/eventfd.h>
#endif

#include "config/command_line.h"
#include "io/engine.h"
#include "keeper/confine.h"
#include "keeper/landlock.h"
#include "keeper/sanitized.h"
#include "keeper/seccomp.h"
#include "unit/walls.h"

enum {
  FINE = 0,
  CANNOT = 77, /* this kernel or build lacks it */
};

/* Runs body in a child; what it returns (a line number: what failed) becomes
 * its exit status. */
static void
in_child(int (*body)(void))
{
  int status;
  pid_t pid = fork();

  assert_true(pid >= 0);
  if (pid == 0)
    _exit(body());
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == CANNOT)
    skip();
  assert_int_equal(WEXITSTATUS(status), FINE);
}

/* A number that tells which of a table's rows failed. */
#define FAILED(i) (1 + (int)(i))

static bool
opens(const char *path, int flags)
{
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

/* ------------------------------------------------------------ the processes */

#ifdef HAVE_LIBSECCOMP /* neither of them has landlock */

static int
wrong(const char *who, const char *what)
{
  fprintf(stderr, "a %s may: %s\n", who, what);
  return EXIT_FAILURE;
}

static int
missing(const char *who, const char *what)
{
  fprintf(stderr, "a %s may not: %s\n", who, what);
  return EXIT_FAILURE;
}

static struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "s" };
static struct walls walls = { .home = -1, .listener = &address };

/* As the keeper makes a worker or a helper. */
static int
become_child(void)
{
  return setgid(getgid()) == 0 && setuid(getuid()) == 0 &&
             opens("known", O_RDWR)
           ? FINE
           : EXIT_FAILURE;
}

static bool
makes_children(void)
{
  int status;
  pid_t pid = fork();

  if (pid == 0)
    _exit(become_child());
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int
keeper_body(void)
{
  const struct options options = { .user = NULL };
  struct vhd_error err;
  int pair[2];

  if (confine_keeper(&options, &err) < 0)
    return CANNOT;
  const char *gap = walls_gap(&walls, WALLS_KEEPER, true);
  if (gap)
    return wrong("keeper", gap);
#ifndef SANITIZED
  if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
    return wrong("keeper", "be looked into");
#endif
  return !makes_children()       ? missing("keeper", "make children")
         : kill(getpid(), 0) < 0 ? missing("keeper", "signal itself")
         : socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0
           ? missing("keeper", "talk to its children")
         : unlink("gone") < 0 ? missing("keeper", "remove its sockets")
                              : FINE;
}

static void *
thread_main(void *opaque)
{
  *(bool *)opaque = true;
  return NULL;
}

static bool
makes_threads(void)
{
  pthread_t thread;
  bool ran = false;

  return pthread_create(&thread, NULL, thread_main, &ran) == 0 &&
         pthread_join(thread, NULL) == 0 && ran;
}

static int
helper_body(void)
{
  const struct options options = { .user = NULL };
  struct vhd_error err;

  /* It is the keeper's child. */
  if (confine_keeper(&options, &err) < 0 || confine_helper(&options, &err) < 0)
    return CANNOT;
  const char *gap = walls_gap(&walls, WALLS_HELPER, true);
  return gap != NULL               ? wrong("helper", gap)
         : !makes_threads()        ? missing("helper", "make threads")
         : !opens("known", O_RDWR) ? missing("helper", "open")
                                   : FINE;
}

static int
disks_body(void)
{
  const struct options options = { .user = NULL };
  static const struct confine_place places[] = {
    { "disks", LANDLOCK_CHANGE },
    { "absent", LANDLOCK_CHANGE },
  };
  struct vhd_error err;

  if (confine_keeper(&options, &err) < 0 ||
      confine_disks(&options, places, 2, &err) < 0)
    return CANNOT;
  const char *gap = walls_gap(&walls, WALLS_DISKS, true);
  return gap != NULL ? wrong("helper for disks", gap)
         : !opens("disks/1.vhd", O_RDWR | O_CREAT)
           ? missing("helper for disks", "make versions")
         : symlink("1.vhd", "disks/new") < 0 ||
             rename("disks/new", "disks/production") < 0
           ? missing("helper for disks", "promote them")
         : !opens("/proc/self/mountinfo", O_RDONLY)
           ? missing("helper for disks", "see mounts")
           : FINE;
}

static int
enter(void **state)
{
  (void)state;
  int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  assert_int_equal(bind(sock, (const struct sockaddr *)&address,
                        sizeof address),
                   0);
  assert_true(opens("known", O_WRONLY | O_CREAT));
  assert_true(opens("gone", O_WRONLY | O_CREAT));
  assert_int_equal(mkdir("disks", 0700), 0);
  assert_int_equal(mkdir("home", 0700), 0);
  assert_true(opens("home/disk.vhd", O_WRONLY | O_CREAT));
  assert_true(opens("home/other", O_WRONLY | O_CREAT));
  walls.home = open("home", O_PATH | O_CLOEXEC);
  walls.other = getpid();
  return 0;
}

static void
a_keeper_makes_children_and_little_else(void **state)
{
  (void)state;
  in_child(keeper_body);
}

static void
a_helper_opens_and_does_little_else(void **state)
{
  (void)state;
  in_child(helper_body);
}

static void
a_helper_changes_disks_and_nothing_else(void **state)
{
  (void)state;
  int ruleset = landlock_new();

  if (ruleset < 0)
    skip();
  landlock_close(ruleset);
  in_child(disks_body);
}

#define ENTER enter
#else
#define ENTER NULL
#endif

/* ----------------------------------------------------------------- landlock */

static int
landlock_body(void)
{
  struct vhd_error err;
  int ruleset = landlock_new();

  if (ruleset < 0)
    return CANNOT;
  if (landlock_allow(ruleset, "open", LANDLOCK_WRITE, &err) < 0 ||
      landlock_allow(ruleset, "shown", LANDLOCK_READ, &err) < 0 ||
      landlock_allow(ruleset, "given", LANDLOCK_CHANGE, &err) < 0 ||
      landlock_allow(ruleset, "missing", LANDLOCK_CHANGE, &err) < 0 ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      landlock_enter(ruleset, &err) < 0)
    return FAILED(60);
  const bool outcomes[] = {
    opens("open/file", O_RDWR),
    !opens("open/new", O_RDWR | O_CREAT),
    unlink("open/file") < 0,
    !opens("other/file", O_RDONLY),
    unlink("other/file") < 0,
    !opens("open/link", O_RDONLY),
    link("open/file", "open/twin") < 0,
    rename("other/file", "open/moved") < 0,
    opens("shown/file", O_RDONLY),
    !opens("shown/file", O_RDWR),
    unlink("shown/file") < 0,
    opens("given/new", O_RDWR | O_CREAT | O_EXCL),
    opens("given/new", O_RDWR | O_TRUNC),
    rename("given/new", "given/file") == 0,
    mkdir("given/folder", 0700) == 0,
    rename("given/file", "given/folder/file") == 0,
    symlink("folder/file", "given/link") == 0,
    unlink("given/folder/file") == 0,
    rmdir("given/folder") == 0,
    mkfifo("given/fifo", 0600) < 0,
    rename("given/link", "open/link2") < 0,
  };
  for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
    if (!outcomes[i])
      return FAILED(i);
  return FINE;
}

static void
landlock_confines(void **state)
{
  (void)state;
  assert_int_equal(mkdir("open", 0700), 0);
  assert_int_equal(mkdir("other", 0700), 0);
  assert_int_equal(mkdir("shown", 0700), 0);
  assert_int_equal(mkdir("given", 0700), 0);
  assert_true(opens("shown/file", O_WRONLY | O_CREAT));
  assert_true(opens("given/file", O_WRONLY | O_CREAT));
  assert_true(opens("open/file", O_WRONLY | O_CREAT));
  assert_true(opens("other/file", O_WRONLY | O_CREAT));
  assert_int_equal(symlink("../other/file", "open/link"), 0);
  in_child(landlock_body);
}

/* ------------------------------------------------------------------- rings */

#ifdef HAVE_LIBURING

/* What the operation that the next entry of the ring asks for comes to. */
static int
ring_try(struct io_uring *ring)
{
  struct io_uring_cqe *cqe;

  if (io_uring_submit_and_wait(ring, 1) < 0 ||
      io_uring_peek_cqe(ring, &cqe) < 0)
    return -EIO;
  int res = cqe->res;
  io_uring_cqe_seen(ring, cqe);
  return res;
}

/* The system calls that no filter sees, one after the other. */
static int
ring_op(struct io_uring *ring, int fd, unsigned opcode)
{
  struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

  io_uring_prep_rw((int)opcode, sqe, fd, "/dev/null", 1, 0);
  return ring_try(ring);
}

static int
ring_body(void)
{
  static const unsigned forbidden[] = {
    IORING_OP_NOP,       IORING_OP_OPENAT,
    IORING_OP_OPENAT2,   IORING_OP_CONNECT,
    IORING_OP_ACCEPT,    IORING_OP_SENDMSG,
    IORING_OP_SEND,      IORING_OP_RECV,
    IORING_OP_RENAMEAT,  IORING_OP_UNLINKAT,
    IORING_OP_STATX,     IORING_OP_CLOSE,
    IORING_OP_FALLOCATE, 45 /* IORING_OP_SOCKET */,
  };
  struct io_uring ring;
  char byte = 1;
  int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

  if (uring_open(&ring, eventfd(0, EFD_CLOEXEC)) < 0)
    return CANNOT;
  for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
    if (ring_op(&ring, zero, forbidden[i]) != -EACCES)
      return FAILED(i);
  if (io_uring_register_files(&ring, &zero, 1) != -EACCES)
    return FAILED(60);
  io_uring_prep_read(io_uring_get_sqe(&ring), zero, &byte, 1, 0);
  return ring_try(&ring) == 1 && byte == 0 ? FINE : FAILED(61);
}

static void
ring_reads_and_writes_only(void **state)
{
  (void)state;
  in_child(ring_body);
}

static int
try_ring(void)
{
  struct io_uring ring;
  int r = io_uring_queue_init(4, &ring, 0);

  if (r == 0)
    io_uring_queue_exit(&ring);
  return r;
}

/* A thread that runs before the others' rings are forbidden. */
struct early {
  pthread_barrier_t barrier;
  int result;
};

static void *
early_main(void *opaque)
{
  struct early *early = opaque;

  pthread_barrier_wait(&early->barrier);
  pthread_barrier_wait(&early->barrier);
  early->result = try_ring();
  return NULL;
}

static int
no_more_rings_body(void)
{
  struct early early = { .result = 0 };
  struct vhd_error err;
  pthread_t thread;

  if (try_ring() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      filter_enter(&err) < 0 || try_ring() < 0)
    return CANNOT;
  pthread_barrier_init(&early.barrier, NULL, 2);
  pthread_create(&thread, NULL, early_main, &early);
  pthread_barrier_wait(&early.barrier);
  int r = filter_forbid_rings(&err);
  pthread_barrier_wait(&early.barrier);
  pthread_join(thread, NULL);
  return r == 0 && early.result == -EPERM && try_ring() == -EPERM ? FINE
                                                                  : FAILED(0);
}

static void
no_more_rings(void **state)
{
  (void)state;
  in_child(no_more_rings_body);
}

#endif

int
main(void)
{
  const struct CMUnitTest tests[] = {
#ifdef HAVE_LIBSECCOMP
    cmocka_unit_test(a_keeper_makes_children_and_little_else),
    cmocka_unit_test(a_helper_opens_and_does_little_else),
    cmocka_unit_test(a_helper_changes_disks_and_nothing_else),
#endif
    cmocka_unit_test(landlock_confines),
#ifdef HAVE_LIBURING
    cmocka_unit_test(ring_reads_and_writes_only),
    cmocka_unit_test(no_more_rings),
#endif
  };
  return cmocka_run_group_tests(tests, ENTER, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-worker.c: what a worker can still do, from inside: a keeper with its
 * helpers, as vhdkitd has them, and in the place of the worker a program that
 * has been taken over.  By itself it opens, connects, starts and disturbs
 * nothing; by its helpers it opens what the command line names. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/command_line.h"
#include "keeper/broker/broker.h"
#include "keeper/broker/helper.h"
#include "keeper/keeper.h"
#include "keeper/landlock.h"
#include "keeper/confine.h"
#include "keeper/sanitized.h"
#include "unit/walls.h"

enum {
  FINE = 0,
  CANNOT = 77, /* this kernel or build lacks it */
};

static struct options_export image = { .path = "home/disk.vhd" };
static struct options options = {
  .exports = &image,
  .nexports = 1,
  .tls_psk = "keys.psk",
};
static struct walls walls;

static int
wrong(const char *what)
{
  fprintf(stderr, "a worker may: %s\n", what);
  return EXIT_FAILURE;
}

/* --------------------------------------------------------- what must work */

static int
serve_images(void)
{
  const struct vhd_open_options readonly = { .flags = VHD_OPEN_READONLY };
  struct vhd_image *opened;
  struct vhd_error err;
  char text[5] = "";

  if (vhd_open("home/disk.vhd", NULL, &opened, &err) < 0)
    return wrong(err.message);
  /* It stands on a parent, and changes go to the journal. */
  if (vhd_parent(opened) == NULL ||
      vhd_pwrite(opened, "text", 5, 4096, 0) < 0 ||
      vhd_pread(opened, text, 5, 4096) < 0 || strcmp(text, "text") != 0) {
    vhd_close(opened, NULL);
    return wrong("not write and read");
  }
  if (vhd_close(opened, &err) < 0)
    return wrong(err.message);
  if (vhd_open("home/secret.vhd", &readonly, &opened, &err) == 0 ||
      vhd_open("far/other.vhd", &readonly, &opened, &err) == 0)
    return wrong("open by its helpers what is not its own");
  return FINE;
}

static int
read_keys(void)
{
  unsigned char *bytes = NULL;
  struct vhd_error err;
  size_t n;

  if (keeper_read(NULL, "keys.psk", &bytes, &n, &err) < 0)
    return wrong(err.message);
  bool right = n == 5 && memcmp(bytes, "a:00\n", 5) == 0;
  free(bytes);
  return !right ? wrong("not read keys")
         : keeper_read(NULL, "home/other", &bytes, &n, &err) != -EACCES
           ? wrong("read what is no key")
           : FINE;
}

/* ------------------------------------------------------------ the processes */

static int
work(void *opaque, const struct keeper_ties *ties)
{
  struct vhd_error err;

  (void)opaque;
  walls.other = ties->keeper;
  int probe = landlock_new();
  if (probe < 0 && !options.no_landlock)
    return CANNOT;
  if (probe >= 0)
    landlock_close(probe);
  if (broker_begin(ties->asks, &err) < 0 || confine_worker(&options, &err) < 0)
    return wrong(err.message);
  confine_worker_threads(&options);
  keeper_say(ties, KEEPER_READY);
  const char *gap = walls_gap(&walls, WALLS_WORKER, !options.no_seccomp);
  int r = gap ? wrong(gap) : serve_images();
  if (r == FINE)
    r = read_keys();
  broker_end();
  return r;
}

static void
help(void *opaque, const struct keeper_ties *ties, int channel, int kind)
{
  struct options confining = options;

  (void)opaque;
  (void)ties;
  confining.no_landlock = false;
  helper_run(channel, (enum broker_helper)kind, &confining);
}

static void
nothing(void *opaque)
{
  (void)opaque;
}

static void
ignore(void *opaque, const char *text)
{
  (void)opaque;
  (void)text;
}

static int
keep(void)
{
  const struct keeper_duties duties = {
    .work = work,
    .help = help,
    .ready = nothing,
    .stopping = nothing,
    .trouble = ignore,
    .tidy = nothing,
    .once = true,
  };

  keeper_hold_signals();
  return keeper_run(&duties);
}

static void
make_images(void)
{
  const struct vhd_create_options plain = { .size = 1 << 20 };
  const struct vhd_create_options child = { .parent = "home/parent.vhd" };
  struct vhd_error err;

  assert_int_equal(mkdir("home", 0700), 0);
  assert_int_equal(mkdir("far", 0700), 0);
  assert_int_equal(vhd_create("home/parent.vhd", &plain, &err), 0);
  assert_int_equal(vhd_create("home/disk.vhd", &child, &err), 0);
  assert_int_equal(vhd_create("far/other.vhd", &plain, &err), 0);
  int fd = open("home/other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "x", 1), 1);
  close(fd);
  assert_int_equal(symlink("other", "home/secret.vhd"), 0);
  /* As certbot renews: a link to what is elsewhere. */
  fd = open("far/keys", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "a:00\n", 5), 5);
  close(fd);
  assert_int_equal(symlink("far/keys", "keys.psk"), 0);
  walls.home = open("home", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(walls.home >= 0);
}

static int
enter(void **state)
{
  static struct sockaddr_un address = { .sun_family = AF_UNIX,
                                        .sun_path = "s" };
  int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  (void)state;
  make_images();
  assert_int_equal(bind(sock, (const struct sockaddr *)&address,
                        sizeof address),
                   0);
  walls.listener = &address;
  return 0;
}

static void
check_worker(void)
{
  struct stat st;
  int status;

  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0)
    _exit(keep());
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT)
    skip();
  assert_int_equal(status, 0);
  assert_int_equal(stat("home/other", &st), 0);
  assert_int_equal(st.st_size, 1);
}

static void
a_worker_can_do_nothing_by_itself(void **state)
{
  (void)state;
  check_worker();
}

static void
without_a_filter_landlock_keeps_it_from_files(void **state)
{
  (void)state;
  options.no_seccomp = true;
  check_worker();
  options.no_seccomp = false;
}

/* A sanitizer opens files. */
#if defined HAVE_LIBSECCOMP && !defined SANITIZED
#define WITHOUT_LANDLOCK 1
static void
without_landlock_the_filter_forbids_all(void **state)
{
  (void)state;
  options.no_landlock = true;
  check_worker();
  options.no_landlock = false;
}
#endif

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_worker_can_do_nothing_by_itself),
    cmocka_unit_test(without_a_filter_landlock_keeps_it_from_files),
#ifdef WITHOUT_LANDLOCK
    cmocka_unit_test(without_landlock_the_filter_forbids_all),
#endif
  };
  return cmocka_run_group_tests(tests, enter, NULL);
}

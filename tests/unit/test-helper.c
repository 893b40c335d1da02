/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A helper, as a process: how it answers packets, those too that no worker of
 * ours would send.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/command_line.h"
#include "keeper/broker/helper.h"
#include "keeper/broker/message.h"
#include "vhdkit.h"

#define N(array) (sizeof (array) / sizeof *(array))

static void
write_file(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static int
make_world(void **state)
{
  (void) state;
  assert_int_equal(mkdir("home", 0700), 0);
  write_file("home/disk.vhd", "disk");
  write_file("home/disk.vhd.vhdkit-redo", "redo");
  write_file("home/secret", "secret");
  write_file("keys.psk", "psk");
  return 0;
}

struct talk {
  pid_t pid;
  int channel;
};

static struct options_export talk_export = {.path = "home/disk.vhd"};

static struct talk
talk_begin(enum broker_helper kind)
{
  const struct options options = {.exports = &talk_export, .nexports = 1,
                                  .tls_psk = "keys.psk"};
  struct talk talk;
  int fds[2];

  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
                   0);
  talk.pid = fork();
  assert_true(talk.pid >= 0);
  if (talk.pid == 0) {
    close(fds[0]);
    helper_run(fds[1], kind, &options);
    _exit(0);
  }
  close(fds[1]);
  talk.channel = fds[0];
  return talk;
}

/* It has ended well, whatever it was told. */
static void
talk_end(struct talk *talk)
{
  int status;

  close(talk->channel);
  assert_int_equal(waitpid(talk->pid, &status, 0), talk->pid);
  assert_int_equal(status, 0);
}

/* The result, with *fd. */
static int
ask(const struct talk *talk, const struct broker_request *request, int with,
    int *fd)
{
  struct broker_answer answer;

  assert_int_equal(message_send(talk->channel, request, sizeof *request, with),
                   0);
  assert_int_equal(message_receive(talk->channel, &answer, sizeof answer, fd),
                   sizeof answer);
  return answer.result;
}

static void
requests_are_answered(void **state)
{
  struct talk talk = talk_begin(BROKER_FILES);
  struct broker_request request = {.op = BROKER_WRITE,
                                   .path = "home/disk.vhd"};
  char text[8];
  int fd;

  (void) state;
  assert_int_equal(ask(&talk, &request, -1, &fd), 0);
  assert_int_equal(pread(fd, text, 4, 0), 4);
  assert_memory_equal(text, "disk", 4);
  close(fd);
  strcpy(request.path, "home/secret");
  assert_int_equal(ask(&talk, &request, -1, &fd), -EACCES);
  assert_int_equal(fd, -1);
  request.op = BROKER_UNLINK_COMPANION;
  assert_int_equal(ask(&talk, &request, -1, &fd), -EACCES);
  strcpy(request.path, "home/disk.vhd.vhdkit-redo");
  assert_int_equal(ask(&talk, &request, -1, &fd), 0);
  assert_int_equal(fd, -1);
  assert_int_equal(ask(&talk, &request, -1, &fd), -ENOENT);
  /* Keys are for another kind of helper. */
  request.op = BROKER_KEY;
  strcpy(request.path, "keys.psk");
  assert_int_equal(ask(&talk, &request, -1, &fd), -EINVAL);
  talk_end(&talk);
  talk = talk_begin(BROKER_KEYS);
  assert_int_equal(ask(&talk, &request, -1, &fd), 0);
  close(fd);
  request.op = BROKER_READ;
  assert_int_equal(ask(&talk, &request, -1, &fd), -EACCES);
  talk_end(&talk);
}

static void
nonsense_is_refused(void **state)
{
  struct talk talk = talk_begin(BROKER_FILES);
  struct broker_request request = {.op = BROKER_READ};
  int fd, mine = open("home/secret", O_RDONLY | O_CLOEXEC);

  (void) state;
  memset(request.path, 'x', sizeof request.path);
  assert_int_equal(ask(&talk, &request, -1, &fd), -EINVAL);
  strcpy(request.path, "home/disk.vhd");
  memset(request.to, 'x', sizeof request.to);
  assert_int_equal(ask(&talk, &request, -1, &fd), -EINVAL);
  memset(request.to, 0, sizeof request.to);
  memset(request.path, 'x', sizeof request.path - 1);
  request.path[sizeof request.path - 1] = '\0';
  assert_int_equal(ask(&talk, &request, -1, &fd), -ENAMETOOLONG);
  static const uint32_t ops[] = {0, 99, UINT32_MAX};
  for (size_t i = 0; i < N(ops); i++) {
    request.op = ops[i];
    assert_int_equal(ask(&talk, &request, mine, &fd), -EINVAL);
  }
  request = (struct broker_request){.op = BROKER_MAKE_JOURNAL,
                                    .path = "x.journal"};
  assert_int_equal(ask(&talk, &request, -1, &fd), -EACCES);
  assert_int_equal(ask(&talk, &request, mine, &fd), -EACCES);
  request.op = BROKER_HOLDER;
  assert_int_equal(ask(&talk, &request, -1, &fd), -EBADF);
  close(mine);
  talk_end(&talk);
}

/* Who does not send a whole request is not listened to any more. */
static void
broken_packets_end_it(void **state)
{
  struct { struct broker_request request; char more; } large = {
    .request = {.op = BROKER_READ, .path = "home/disk.vhd"}};
  const size_t sizes[] = {1, sizeof large.request - 1,
                          sizeof large.request + 1};

  (void) state;
  for (size_t i = 0; i < N(sizes); i++) {
    struct talk talk = talk_begin(BROKER_FILES);
    struct broker_answer answer;
    int fd;
    assert_int_equal(message_send(talk.channel, &large, sizes[i], -1), 0);
    assert_int_equal(
      message_receive(talk.channel, &answer, sizeof answer, &fd), 0);
    talk_end(&talk);
  }
}

/* What is asked about an image as a whole, and must be answered with that. */
static void
ask_change(const struct talk *talk, enum broker_op op, const char *path,
           const char *name, int wanted)
{
  struct broker_request request = {.op = op, .size = 64 << 20, .msec = 1000};
  int fd;

  strcpy(request.path, path);
  strcpy(request.to, name);
  const int r = ask(talk, &request, -1, &fd);
  if (r != wanted)
    fail_msg("operation %d of %s and %s: %d, not %d", op, path, name, r,
             wanted);
  assert_int_equal(fd, -1);
}

static void
images_are_changed_by_their_own_kind(void **state)
{
  static const char *const wrong[] = {"", ".vhd", "x", "../x.vhd", "a/x.vhd"};
  const struct vhd_create_options opt = {.size = 32 << 20};
  struct talk talk;

  (void) state;
  assert_int_equal(unlink("home/disk.vhd"), 0);
  unlink("home/disk.vhd.vhdkit-redo");
  assert_int_equal(vhd_create("home/disk.vhd", &opt, NULL), 0);
  assert_int_equal(vhd_create("home/other.vhd", &opt, NULL), 0);
  talk = talk_begin(BROKER_FILES);
  ask_change(&talk, BROKER_SNAPSHOT, "home/disk.vhd", "a.vhd", -EINVAL);
  talk_end(&talk);
  talk = talk_begin(BROKER_CHANGES);
  ask_change(&talk, BROKER_READ, "home/disk.vhd", "", -EACCES);
  ask_change(&talk, BROKER_UNLINK_COMPANION, "home/disk.vhd", "", -EACCES);
  for (unsigned op = BROKER_LOOK; op <= BROKER_REBASE; op++)
    ask_change(&talk, op, "home/other.vhd", "a.vhd", -EACCES);
  for (size_t i = 0; i < N(wrong); i++)
    ask_change(&talk, BROKER_SNAPSHOT, "home/disk.vhd", wrong[i], -EINVAL);
  ask_change(&talk, BROKER_SNAPSHOT, "home/disk.vhd", "other.vhd", -EEXIST);
  ask_change(&talk, BROKER_FLATTEN, "home/disk.vhd", "a.vhd", -EINVAL);
  assert_int_equal(access("home/a.vhd", F_OK), -1);
  ask_change(&talk, BROKER_RESIZE, "home/disk.vhd", "", 0);
  ask_change(&talk, BROKER_SNAPSHOT, "home/disk.vhd", "a.vhd", 0);
  ask_change(&talk, BROKER_COMPACT, "home/disk.vhd", "", 0);
  ask_change(&talk, BROKER_FLATTEN, "home/disk.vhd", "b.vhd", 0);
  ask_change(&talk, BROKER_REBASE, "home/disk.vhd", "b.vhd", 0);
  talk_end(&talk);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(requests_are_answered),
    cmocka_unit_test(nonsense_is_refused),
    cmocka_unit_test(broken_packets_end_it),
    cmocka_unit_test(images_are_changed_by_their_own_kind),
  };
  return cmocka_run_group_tests(tests, make_world, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* test-lock: who keeps whom out of a local file, and who is told to be it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/local.h"
#include "unit/disk.h"
#include "unit/unit.h"

#define KIB 1024U

/* Every pair of openings of one file by one process. */
static void
test_lock_pairs(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    enum local_mode first, second;
    int result;
    const char *held;
  } rows[] = {
    { "reader, reader", LOCAL_READ, LOCAL_READ, 0, NULL },
    { "reader, writer", LOCAL_READ, LOCAL_WRITE, -EBUSY, "for reading" },
    { "writer, reader", LOCAL_WRITE, LOCAL_READ, -EBUSY, "for writing" },
    { "writer, writer", LOCAL_WRITE, LOCAL_WRITE, -EBUSY, "for writing" },
    { "writer, unlocked", LOCAL_WRITE, LOCAL_UNLOCKED, 0, NULL },
    { "unlocked, writer", LOCAL_UNLOCKED, LOCAL_WRITE, 0, NULL },
  };
  make_file(PATH, 1000, 0);
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct vhd_file *first = open_file(PATH, rows[i].first), *second = NULL;
    struct vhd_error err = { .message = "" };
    int r = local_open(PATH, rows[i].second, &second, &err);
    ROW_INT(rows[i].name, r, rows[i].result);
    if (r < 0) {
      ROW_INT(rows[i].name, err.code, VHD_BUSY);
      char expected[64];
      snprintf(expected, sizeof expected, "(pid %d)", (int)getpid());
      ROW_TRUE(rows[i].name, strncmp(err.message, PATH ": ", 6) == 0);
      ROW_TRUE(rows[i].name, strstr(err.message, rows[i].held) != NULL);
      ROW_TRUE(rows[i].name, strstr(err.message, expected) != NULL);
    } else {
      file_close(second);
    }
    file_close(first);

    /* Nothing is left behind, neither by the closed nor by the refused. */
    file_close(open_file(PATH, LOCAL_WRITE));
  }
}

static void
test_lock_many_readers(void **state)
{
  (void)state;
  struct vhd_file *file[20], *writer;
  make_file(PATH, 1000, 0);
  for (size_t i = 0; i < ARRAY_SIZE(file); i++)
    file[i] = open_file(PATH, LOCAL_READ);
  for (size_t i = 0; i < ARRAY_SIZE(file); i++) {
    assert_int_equal(local_open(PATH, LOCAL_WRITE, &writer, NULL), -EBUSY);
    file_close(file[i]);
  }
  file_close(open_file(PATH, LOCAL_WRITE));
}

/* Through another name, and through another link. */
static void
test_lock_names(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0);
  unlink("hard");
  unlink("soft");
  assert_int_equal(link(PATH, "hard"), 0);
  assert_int_equal(symlink(PATH, "soft"), 0);
  struct vhd_file *file = open_file(PATH, LOCAL_WRITE), *second;
  assert_int_equal(local_open("hard", LOCAL_READ, &second, NULL), -EBUSY);
  assert_int_equal(local_open("soft", LOCAL_READ, &second, NULL), -EBUSY);
  file_close(file);
  unlink("hard");
  unlink("soft");
}

/* Holds the file in another process until killed; returns its pid. */
static pid_t
hold_elsewhere(const char *path, enum local_mode mode)
{
  int ready[2];
  char byte;
  assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct vhd_file *file;
    if (local_open(path, mode, &file, NULL) < 0 ||
        write(ready[1], "x", 1) != 1)
      _exit(1);
    pause();
    _exit(0);
  }
  close(ready[1]);
  assert_int_equal(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  return pid;
}

static void
test_lock_process(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0);
  /* Somebody who merely has it open must not be named. */
  int idle = open(PATH, O_RDONLY | O_CLOEXEC);
  assert_true(idle >= 0);
  pid_t pid = hold_elsewhere(PATH, LOCAL_WRITE);

  struct vhd_file *file;
  struct vhd_error err;
  assert_int_equal(local_open(PATH, LOCAL_WRITE, &file, &err), -EBUSY);
  char expected[64];
  snprintf(expected, sizeof expected, "(pid %d)", (int)pid);
  if (strstr(err.message, expected) == NULL)
    fail_msg("%s", err.message);
  assert_int_equal(local_open(PATH, LOCAL_READ, &file, &err), -EBUSY);

  /* A kill lets go. */
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  file_close(open_file(PATH, LOCAL_WRITE));
  close(idle);
}

/* The bytes themselves, since other programs go by them. */
static void
test_lock_bytes(void **state)
{
  (void)state;
  static const struct {
    enum local_mode mode;
    int held[8]; /* up to 0 */
  } rows[] = {
    { LOCAL_READ, { 100, 201, 203 } },
    { LOCAL_WRITE, { 100, 101, 103, 201, 203 } },
    { LOCAL_UNLOCKED, { 0 } },
  };
  make_file(PATH, 1000, 0);
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct vhd_file *file = open_file(PATH, rows[i].mode);
    int fd = open(PATH, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int byte = 0; byte < 300; byte++) {
      bool expected = false;
      for (size_t h = 0; rows[i].held[h] != 0; h++)
        expected = expected || rows[i].held[h] == byte;
      /* A read lock conflicts with a write lock, not with another one. */
      for (int type = 0; type < 2; type++) {
        struct flock lock = {
          .l_type = type == 0 ? F_WRLCK : F_RDLCK,
          .l_whence = SEEK_SET,
          .l_start = byte,
          .l_len = 1,
        };
        assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
        if ((lock.l_type != F_UNLCK) != (expected && type == 0))
          fail_msg("mode %d, byte %d", rows[i].mode, byte);
      }
    }
    close(fd);
    file_close(file);
  }
}

/* Each byte that keeps us out, held by somebody else. */
static void
test_lock_foreign(void **state)
{
  (void)state;
  make_file(PATH, 1000, 0);
  for (int byte = 95; byte < 210; byte++) {
    int fd = open(PATH, O_RDWR | O_CLOEXEC);
    struct flock lock = {
      .l_type = F_RDLCK,
      .l_whence = SEEK_SET,
      .l_start = byte,
      .l_len = 1,
    };
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    bool reader_out = byte == 101 || byte == 103 || byte == 200;
    bool writer_out = reader_out || byte == 201 || byte == 203;
    struct vhd_file *file;
    for (int writer = 0; writer < 2; writer++) {
      int r = local_open(PATH, writer ? LOCAL_WRITE : LOCAL_READ, &file,
                         NULL);
      if ((r == -EBUSY) != (writer ? writer_out : reader_out))
        fail_msg("byte %d, writer %d: %d", byte, writer, r);
      if (r == 0)
        file_close(file);
    }
    close(fd);
  }
}

static void *
open_later(void *opaque)
{
  struct vhd_error err;
  struct vhd_file *file;
  int *result = opaque;

  *result = local_open(PATH, LOCAL_WRITE, &file, &err);
  if (*result == 0)
    file_close(file);
  return NULL;
}

/* A process that was killed, but still has its files: it is waited for. */
static void
test_lock_dying(void **state)
{
  (void)state;
  int status, result = 1;
  pthread_t thread;

  make_file(PATH, 1000, 0);
  const pid_t pid = hold_elsewhere(PATH, LOCAL_WRITE);
  if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT) < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    skip();
  }
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
  assert_int_equal(pthread_create(&thread, NULL, open_later, &result), 0);
  usleep(200 * 1000);
  assert_int_equal(ptrace(PTRACE_CONT, pid, 0, 0), 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  pthread_join(thread, NULL);
  assert_int_equal(result, 0);
}

/* Whenever the library opens something, another one tries to write. */
static struct rival {
  const struct vhd_host *plain;
  bool begun, busy;
  unsigned came_in, kept_out;
} rival;

static int
open_after_rival(void *opaque, int folder, const char *path, int flags,
                 unsigned mode)
{
  struct rival *r = opaque;
  struct vhd_file *file;

  if (r->begun && !r->busy) {
    r->busy = true;
    int e = local_open("resized.vhd", LOCAL_WRITE, &file, NULL);
    r->kept_out += e == -EBUSY;
    r->came_in += e == 0;
    if (e == 0)
      file_close(file);
    r->busy = false;
  }
  return r->plain->open(NULL, folder, path, flags, mode);
}

static int
wait_for_first(void *opaque, uint64_t done, uint64_t total)
{
  (void)done;
  (void)total;
  ((struct rival *)opaque)->begun = true;
  return 0;
}

/* From its first look at the image to the last change nobody else writes. */
static void
test_lock_resize(void **state)
{
  (void)state;
  const struct vhd_create_options options = { .size = 1 << 20 };
  const struct vhd_resize_options grow = {
    .progress = { .report = wait_for_first, .opaque = &rival },
  };
  struct vhd_host host = *vhd_host();

  assert_int_equal(vhd_create("resized.vhd", &options, NULL), 0);
  rival = (struct rival){ .plain = vhd_host() };
  host.open = open_after_rival;
  host.opaque = &rival;
  vhd_set_host(&host);
  int e = vhd_resize("resized.vhd", 8 << 20, &grow, NULL);
  vhd_set_host(NULL);
  assert_int_equal(e, 0);
  assert_true(rival.kept_out > 0);
  assert_int_equal(rival.came_in, 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lock_pairs),
    cmocka_unit_test(test_lock_many_readers),
    cmocka_unit_test(test_lock_names),
    cmocka_unit_test(test_lock_process),
    cmocka_unit_test(test_lock_dying),
    cmocka_unit_test(test_lock_bytes),
    cmocka_unit_test(test_lock_foreign),
    cmocka_unit_test(test_lock_resize),
  };
  return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The helper that changes disks, as a process: what it carries out, and what it
 * does not, of orders that no worker of ours would give.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/broker/disks.h"
#include "keeper/broker/message.h"
#include "provision/disk_folder.h"
#include "provision/provision_config.h"
#include "vhdkit.h"

#define N(array) (sizeof(array) / sizeof *(array))

static const struct provision_config config = { .disks = "disks",
                                                .children = "children" };

static int
make_world(void **state)
{
  const struct vhd_create_options options = { .size = 4 << 20 };

  (void)state;
  assert_int_equal(mkdir("disks", 0700), 0);
  assert_int_equal(mkdir("disks/d", 0700), 0);
  assert_int_equal(mkdir("children", 0700), 0);
  assert_int_equal(mkdir("children/outside", 0700), 0);
  assert_int_equal(vhd_create("disks/d/1.vhd", &options, NULL), 0);
  assert_int_equal(symlink("1.vhd", "disks/d/production"), 0);
  assert_int_equal(vhd_create("victim.vhd", &options, NULL), 0);
  return 0;
}

struct talk {
  pid_t pid;
  int channel;
};

static struct talk
talk_begin(void)
{
  struct talk talk;
  int fds[2];

  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
                   0);
  talk.pid = fork();
  assert_true(talk.pid >= 0);
  if (talk.pid == 0) {
    close(fds[0]);
    disks_run(fds[1], &config);
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

static int
give(const struct talk *talk, const struct broker_order *order, int with)
{
  struct broker_report report;
  int fd;

  assert_int_equal(message_send(talk->channel, order, sizeof *order, with), 0);
  assert_int_equal(message_receive(talk->channel, &report, sizeof report, &fd),
                   sizeof report);
  assert_int_equal(fd, -1);
  assert_non_null(memchr(report.text, '\0', sizeof report.text));
  assert_int_equal(report.result < 0, report.text[0] != '\0');
  return report.result;
}

static ino_t
file_of(const char *path)
{
  struct stat st;

  return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void
children_are_made_replaced_and_removed(void **state)
{
  struct talk talk = talk_begin();
  struct broker_order order = {
    .verb = BROKER_CHILD, .disk = "d", .client = "pc1", .version = "production"
  };
  struct vhd_image *image;
  struct stat st;

  (void)state;
  assert_int_equal(give(&talk, &order, -1), 0);
  const ino_t first = file_of("children/d/pc1.vhd");
  assert_int_not_equal(first, 0);
  assert_int_equal(stat("children/d/pc1.vhd", &st), 0);
  assert_int_equal(st.st_mode & 077, 0);
  /* Once more: it is there. */
  assert_int_equal(give(&talk, &order, -1), 0);
  assert_int_equal(file_of("children/d/pc1.vhd"), first);
  order.fresh = true;
  assert_int_equal(vhd_open("children/d/pc1.vhd",
                            &(struct vhd_open_options){
                              .roots = &config.disks,
                              .nroots = 1,
                            },
                            &image, NULL),
                   0);
  assert_int_equal(give(&talk, &order, -1), -EBUSY);
  assert_int_equal(file_of("children/d/pc1.vhd"), first);
  assert_int_equal(vhd_close(image, NULL), 0);
  assert_int_equal(give(&talk, &order, -1), 0);
  assert_int_not_equal(file_of("children/d/pc1.vhd"), first);
  order.verb = BROKER_REMOVE;
  order.version[0] = '\0';
  assert_int_equal(give(&talk, &order, -1), 0);
  assert_int_equal(file_of("children/d/pc1.vhd"), 0);
  assert_int_equal(give(&talk, &order, -1), 0);
  talk_end(&talk);
}

#define ORDER(a_verb, is_fresh, a_disk, a_client, a_version) \
  { \
    .verb = (a_verb), .fresh = (is_fresh), .disk = (a_disk), \
    .client = (a_client), .version = (a_version) \
  }

static void
what_is_no_order_changes_nothing(void **state)
{
  static const struct broker_order orders[] = {
    ORDER(0, false, "d", "pc1", "production"),
    ORDER(99, false, "d", "pc1", "production"),
    ORDER(UINT32_MAX, false, "d", "pc1", "production"),
    ORDER(BROKER_CHILD, false, "", "pc1", "production"),
    ORDER(BROKER_CHILD, false, "..", "pc1", "production"),
    ORDER(BROKER_CHILD, false, "../children/outside", "pc1", "production"),
    ORDER(BROKER_CHILD, false, "d/", "pc1", "production"),
    ORDER(BROKER_CHILD, false, "d", "", "production"),
    ORDER(BROKER_CHILD, false, "d", "../outside/pc1", "production"),
    ORDER(BROKER_CHILD, false, "d", "/pc1", "production"),
    ORDER(BROKER_CHILD, false, "d", "pc1.vhd/x", "production"),
    ORDER(BROKER_CHILD, false, "d", "PC1", "production"),
    ORDER(BROKER_CHILD, false, "d", ".new-pc1", "production"),
    ORDER(BROKER_CHILD, false, "d", "pc1", ""),
    ORDER(BROKER_CHILD, false, "d", "pc1", "../../victim"),
    ORDER(BROKER_CHILD, false, "d", "pc1", "01"),
    ORDER(BROKER_CHILD, true, "d", "../../victim", "production"),
    ORDER(BROKER_REMOVE, false, "d", "../../victim", ""),
    ORDER(BROKER_REMOVE, false, "..", "victim", ""),
    ORDER(BROKER_APPLY, false, "d", "../../victim", ""),
    ORDER(BROKER_STATE, false, "../children", "", ""),
    ORDER(BROKER_CHILDREN, false, "..", "", ""),
    { .verb = BROKER_PROMOTE, .disk = "d", .number = UINT32_MAX },
    { .verb = BROKER_DELETE, .disk = "..", .number = 1 },
  };
  struct talk talk = talk_begin();

  (void)state;
  for (size_t i = 0; i < N(orders); i++)
    if (give(&talk, &orders[i], -1) != -EINVAL)
      fail_msg("order %zu was obeyed", i);
  assert_int_not_equal(file_of("victim.vhd"), 0);
  assert_int_equal(rmdir("children/outside"), 0);
  talk_end(&talk);
}

static void
strings_without_an_end_are_none(void **state)
{
  struct talk talk = talk_begin();
  struct broker_order order;

  (void)state;
  memset(&order, 'a', sizeof order);
  order.verb = BROKER_CHILD;
  assert_int_equal(give(&talk, &order, -1), -EINVAL);
  order = (struct broker_order){ .verb = BROKER_REMOVE, .disk = "d" };
  memset(order.client, 'a', sizeof order.client);
  assert_int_equal(give(&talk, &order, -1), -EINVAL);
  order =
    (struct broker_order){ .verb = BROKER_DESCRIBE, .disk = "d", .number = 1 };
  memset(order.line, 'a', sizeof order.line);
  assert_int_equal(give(&talk, &order, -1), -EINVAL);
  talk_end(&talk);
}

/* As many items follow as the report says, and then the next order is heard. */
static void
what_there_is_comes_in_items(void **state)
{
  struct broker_order order = { .verb = BROKER_STATE, .disk = "d" };
  struct talk talk = talk_begin();
  struct broker_report report;
  struct disk_version version;
  int fd;

  (void)state;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(message_send(talk.channel, &order, sizeof order, -1), 0);
    assert_int_equal(message_receive(talk.channel, &report, sizeof report, &fd),
                     sizeof report);
    assert_int_equal(report.result, 0);
    assert_int_equal(report.links.production, 1);
    assert_int_equal(report.nitems, 1);
    assert_int_equal(report.item_size, sizeof version);
    assert_int_equal(
      message_receive(talk.channel, &version, sizeof version, &fd),
      sizeof version);
    assert_int_equal(version.number, 1);
  }
  order = (struct broker_order){ .verb = BROKER_STATE, .disk = "none" };
  assert_int_equal(message_send(talk.channel, &order, sizeof order, -1), 0);
  assert_int_equal(message_receive(talk.channel, &report, sizeof report, &fd),
                   sizeof report);
  assert_int_equal(report.result, -ENOENT);
  assert_int_equal(report.nitems, 0);
  talk_end(&talk);
}

/* What comes with an order is closed. */
static void
descriptors_are_of_no_use(void **state)
{
  const struct broker_order order = { .verb = BROKER_REMOVE,
                                      .disk = "d",
                                      .client = "pc7" };
  struct talk talk = talk_begin();
  char name[40];

  (void)state;
  for (int i = 0; i < 20; i++)
    assert_int_equal(give(&talk, &order, STDERR_FILENO), 0);
  snprintf(name, sizeof name, "/proc/%d/fd/12", (int)talk.pid);
  assert_int_equal(file_of(name), 0);
  talk_end(&talk);
}

static void
who_does_not_speak_like_us_is_left(void **state)
{
  struct talk talk = talk_begin();

  (void)state;
  assert_int_equal(send(talk.channel, "order", 5, 0), 5);
  talk_end(&talk);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(children_are_made_replaced_and_removed),
    cmocka_unit_test(what_is_no_order_changes_nothing),
    cmocka_unit_test(strings_without_an_end_are_none),
    cmocka_unit_test(what_there_is_comes_in_items),
    cmocka_unit_test(descriptors_are_of_no_use),
    cmocka_unit_test(who_does_not_speak_like_us_is_left),
  };

  return cmocka_run_group_tests(tests, make_world, NULL);
}

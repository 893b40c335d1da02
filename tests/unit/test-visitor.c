/* SPDX-License-Identifier: BSD-2-Clause */
/* test-visitor: what is known of a client's socket, who counts as one address,
 * and what a client's socket is set to. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef HAVE_LINUX_VM_SOCKETS_H
#include <linux/vm_sockets.h>
#endif

#include "net/address_limit.h"
#include "net/socket.h"
#include "net/visitor.h"
#include "unit/unit.h"

static struct visitor
of_ip(const char *address)
{
  struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(7) };
  struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(7) };
  struct visitor visitor;

  if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
    visitor_init(&visitor, -1, (struct sockaddr *)&in, sizeof in);
  } else {
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    visitor_init(&visitor, -1, (struct sockaddr *)&in6, sizeof in6);
  }
  return visitor;
}

static struct visitor
of_user(uid_t uid)
{
  const sa_family_t family = AF_UNIX;
  struct visitor visitor;

  visitor_init(&visitor, -1, (const struct sockaddr *)&family, sizeof family);
  visitor.uid = uid;
  return visitor;
}

/* May the second come while the first is there, if each may come once? */
static bool
both(struct visitor a, struct visitor b)
{
  struct address_limit *limit = address_limit_new(1);
  struct peer *first, *second;

  assert_non_null(limit);
  assert_int_equal(address_limit_enter(limit, &a, &first), 0);
  const int r = address_limit_enter(limit, &b, &second);
  assert_true(r == 0 || r == -EDQUOT);
  address_limit_leave(limit, first);
  if (r < 0) /* a place is free again */
    assert_int_equal(address_limit_enter(limit, &b, &second), 0);
  address_limit_leave(limit, second);
  address_limit_free(limit);
  return r == 0;
}

static void
who_counts_as_one(void **state)
{
  (void)state;
  assert_false(both(of_ip("192.0.2.1"), of_ip("192.0.2.1")));
  assert_true(both(of_ip("192.0.2.1"), of_ip("192.0.2.10")));
  assert_false(both(of_ip("192.0.2.1"), of_ip("::ffff:192.0.2.1")));
  assert_false(both(of_ip("2001:db8::1"), of_ip("2001:db8::ffff:1")));
  assert_true(both(of_ip("2001:db8::1"), of_ip("2001:db8:1::1")));
  assert_false(both(of_user(7), of_user(7)));
  assert_true(both(of_user(7), of_user(8)));
  assert_true(both(of_user(0), of_ip("0.0.0.0")));
  /* It is not known who that is. */
  assert_true(both(of_user((uid_t)-1), of_user((uid_t)-1)));
}

#ifdef HAVE_LINUX_VM_SOCKETS_H
static struct visitor
of_machine(unsigned cid, unsigned port)
{
  const struct sockaddr_vm vm = {
    .svm_family = AF_VSOCK,
    .svm_cid = cid,
    .svm_port = port,
  };
  struct visitor visitor;

  visitor_init(&visitor, -1, (const struct sockaddr *)&vm, sizeof vm);
  return visitor;
}
#endif

static void
virtual_machines_count(void **state)
{
  (void)state;
#ifdef HAVE_LINUX_VM_SOCKETS_H
  char name[VISITOR_NAME_SIZE];
  const struct visitor visitor = of_machine(3, 1024);

  visitor_name(&visitor, name, sizeof name);
  assert_string_equal(name, "vsock:3:1024");
  assert_false(both(of_machine(3, 1024), of_machine(3, 1025)));
  assert_true(both(of_machine(3, 1024), of_machine(4, 1024)));
  assert_true(both(of_machine(3, 1024), of_user(3)));
#endif
}

static void
a_unix_client_has_a_process(void **state)
{
  const sa_family_t family = AF_UNIX;
  char name[VISITOR_NAME_SIZE], wanted[VISITOR_NAME_SIZE];
  struct visitor visitor;
  int fd[2];

  (void)state;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
  visitor_init(&visitor, fd[0], (const struct sockaddr *)&family,
               sizeof family);
  close(fd[0]);
  close(fd[1]);
  visitor_name(&visitor, name, sizeof name);
  snprintf(wanted, sizeof wanted, "process %ld", (long)getpid());
  assert_string_equal(name, wanted);
  snprintf(wanted, sizeof wanted, "uid:%lu", (unsigned long)geteuid());
  assert_string_equal(visitor_identity(&visitor, name, sizeof name), wanted);
}

/* A peer that has vanished is noticed whether or not something was sent. */
static void
a_vanished_peer_is_dropped(void **state)
{
  struct sockaddr_in to = { .sin_family = AF_INET };
  socklen_t len = sizeof to;
  unsigned timeout = 0;

  (void)state;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int listening = socket(AF_INET, SOCK_STREAM, 0);
  socket_tune(listening);
  assert_int_equal(listen(listening, 1), 0);
  assert_int_equal(getsockname(listening, (struct sockaddr *)&to, &len), 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
  const int accepted = accept(listening, NULL, NULL);
  assert_true(accepted >= 0);
  len = sizeof timeout;
  assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT,
                              &timeout, &len), 0);
  assert_int_equal(timeout, 120000);
  close(accepted);
  close(client);
  close(listening);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_counts_as_one),
    cmocka_unit_test(virtual_machines_count),
    cmocka_unit_test(a_unix_client_has_a_process),
    cmocka_unit_test(a_vanished_peer_is_dropped),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* message.c: packets with a descriptor; see message.h. */
#include "config.h"

#include "keeper/broker/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr align;
};

int
message_send(int channel, const void *data, size_t size, int fd)
{
  struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
  union control control = { .bytes = { 0 } };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
  ssize_t n;

  if (fd >= 0) {
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_LEN(sizeof fd);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
  }
  do {
    n = sendmsg(channel, &msg, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : (size_t)n == size ? 0 : -EMSGSIZE;
}

/* There is room for one descriptor: the kernel closes what is more. */
ssize_t
message_receive(int channel, void *data, size_t size, int *fd)
{
  struct iovec iov = { .iov_base = data, .iov_len = size };
  union control control;
  struct msghdr msg = {
    .msg_iov = &iov,
    .msg_iovlen = 1,
    .msg_control = control.bytes,
    .msg_controllen = CMSG_LEN(sizeof *fd),
  };
  ssize_t n;

  *fd = -1;
  do {
    n = recvmsg(channel, &msg, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0)
    return -errno;
  const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
  if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
      cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof *fd))
    memcpy(fd, CMSG_DATA(cmsg), sizeof *fd);
  else if (msg.msg_flags & MSG_CTRUNC)
    *fd = -EMFILE; /* there was one, and no place for it */
  return msg.msg_flags & MSG_TRUNC ? (ssize_t)size + 1 : n;
}

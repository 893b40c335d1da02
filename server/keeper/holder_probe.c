/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The process outside of the sandbox; see holder_probe.h.  It waits for one
 * byte, or for its parent to end.
 */
#include "config.h"

#include "keeper/holder_probe.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Opens what the server would; err is filled if an image is busy. */
static void
look(const struct server_config *config, struct vhd_error *err)
{
  err->code = VHD_OK;
  for (size_t i = 0; i < config->nexports && err->code != VHD_BUSY; i++) {
    struct vhd_open_options open = config->open;
    struct vhd_image *image;

    if (config->readonly || config->exports[i].readonly) {
      open.flags |= VHD_OPEN_READONLY;
    }
    if (vhd_open(config->exports[i].path, &open, &image, err) == 0) {
      vhd_close(image, NULL);
      err->code = VHD_OK;
    }
  }
}

static void __attribute__((noreturn))
witness_main(int fd, const struct server_config *config)
{
  struct vhd_error err;
  char byte;

  memset(&err, 0, sizeof err);
  if (recv(fd, &byte, 1, 0) == 1) {
    look(config, &err);
    send(fd, &err, sizeof err, MSG_NOSIGNAL);
  }
  _exit(0);
}

void
witness_start(struct witness *witness, const struct server_config *config)
{
  int fds[2];

  witness->fd = -1;
  if (config->nexports == 0 ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
    return;
  }
  witness->pid = fork();
  if (witness->pid == 0) {
    close(fds[0]);
    witness_main(fds[1], config);
  }
  close(fds[1]);
  if (witness->pid < 0) {
    close(fds[0]);
  } else {
    witness->fd = fds[0];
  }
}

void
witness_ask(struct witness *witness, struct vhd_error *err)
{
  struct vhd_error seen;

  if (witness->fd >= 0 && send(witness->fd, "", 1, MSG_NOSIGNAL) == 1 &&
      recv(witness->fd, &seen, sizeof seen, 0) == sizeof seen &&
      seen.code == VHD_BUSY) {
    *err = seen;
  }
}

void
witness_end(struct witness *witness)
{
  if (witness->fd >= 0) {
    close(witness->fd);
    witness->fd = -1;
    while (waitpid(witness->pid, NULL, 0) < 0 && errno == EINTR) {
    }
  }
}

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where the system has no thread left for the server, a disk that hangs holds
up who asked for it, and nobody else."""

import contextlib
import os
import pwd
import resource
import struct

from fronttest import PATIENCE, connect_unix, needs_root, read_all
from mounttest import Disk, goes_with_us
from servertest import SOCKET, served
from tooltest import MiB, Skip, case, equal, run, vhdkit

# The server, its loop, its helper of the start, the reserve.
THREADS = 4
HANGING = 3


def idle_user():
    """One that has no process, so that those of the server are all he has."""
    busy = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            busy.add(os.stat(f"/proc/{pid}").st_uid)
    for user in pwd.getpwall():
        if 0 < user.pw_uid < 65534 and user.pw_uid not in busy:
            return user.pw_name
    raise Skip("each user has a process")


def open_to_all(path):
    """So that another user gets here."""
    while path not in ("/", "/tmp"):
        os.chmod(path, os.stat(path).st_mode | 0o055)
        path = os.path.dirname(path)


def without_leak_check():
    """A sanitizer looks for leaks with a thread of its own."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return dict(os.environ, ASAN_OPTIONS=f"{options}:detect_leaks=0")


def limit_threads():
    resource.setrlimit(resource.RLIMIT_NPROC, (THREADS, THREADS))


class Client:
    def __init__(self):
        self.sock = connect_unix(SOCKET)
        equal(len(read_all(self.sock, 18)), 18)
        self.sock.sendall(struct.pack(">I", 3))

    def send(self, option, data=b""):
        self.sock.sendall(struct.pack(">8sII", b"IHAVEOPT", option,
                                      len(data)) + data)

    def go(self, name):
        self.send(7, struct.pack(">I", len(name)) + name + b"\0\0")

    def ask(self):
        """STRUCTURED_REPLY, which a loop answers by itself."""
        self.send(8)
        try:
            return len(read_all(self.sock, 20))
        except TimeoutError:
            return 0


@case("opens that hang do not hold up the loop")
def _():
    needs_root()
    with Disk(64 * MiB) as disk, contextlib.ExitStack() as stack:
        os.chmod("d", 0o777)
        for i in range(HANGING):
            vhdkit("create", "--size", str(MiB), f"d/{i}.vhd")
            os.chmod(f"d/{i}.vhd", 0o666)
        open_to_all(os.getcwd())
        stack.enter_context(served("--threads", "1", "--user", idle_user(),
                                   "d", preexec_fn=limit_threads,
                                   env=without_leak_check()))
        hanging = [Client() for _ in range(HANGING)]
        other = Client()
        equal(other.ask(), 20)
        # A loop that has answered twice has seen what came before.
        other.sock.settimeout(PATIENCE / 2)
        with disk.frozen():
            for i, client in enumerate(hanging):
                client.go(b"%d" % i)
            answers = [other.ask() for _ in range(3)]
        equal(answers, [20, 20, 20], "answers while opens hang")
        for client in hanging:
            equal(len(read_all(client.sock, 20)), 20)
            client.sock.close()
        other.sock.close()


goes_with_us()
run()

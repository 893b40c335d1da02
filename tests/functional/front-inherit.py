#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sockets that vhdkitd inherits: from systemd, by --fd, in inetd's manner.

The launcher is this process: it does between fork and exec what systemd does.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time

from fronttest import (GREETING, PATIENCE, VHDKITD, Server, abort,
                       connect_tcp, connect_unix, greeting, image, refused,
                       serving)
from tooltest import case, check, contains, equal, run, without

# Puts descriptors to 3 and following, says for whom, and becomes the server.
LAUNCHER = """
import os, sys
fds, pid, program = eval(sys.argv[1]), sys.argv[2], sys.argv[3:]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "self" else pid
os.execv(program[0], program)
"""


def tcp_listener():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(16)
    return sock


@contextlib.contextmanager
def activated(socks, *args, pid="self", program=VHDKITD, **popen):
    fds = [sock.fileno() for sock in socks]
    with serving("-c", LAUNCHER, repr(fds), pid, program, *args,
                 executable=sys.executable, pass_fds=fds, **popen) as server:
        yield server


@case("systemd's sockets are served, and those alone")
def _():
    first, second = tcp_listener(), socket.socket(socket.AF_UNIX)
    second.bind("s.sock")
    second.listen(16)
    with activated([first, second], image()) as server:
        server.wait_for(r"unix:s\.sock$")
        equal(server.addresses(),
              ["127.0.0.1:%d" % first.getsockname()[1], "unix:s.sock"])
        equal(greeting(connect_tcp(*first.getsockname())), GREETING)
        equal(greeting(connect_unix("s.sock")), GREETING)
    check(os.path.exists("s.sock"), "the socket is systemd's to remove")


@case("a client that waits in systemd's socket is served")
def _():
    listener = tcp_listener()
    early = connect_tcp(*listener.getsockname())
    with activated([listener], image()):
        equal(greeting(early), GREETING)


@case("systemd's sockets and --listen go together; --fd may name one again")
def _():
    listener = tcp_listener()
    with activated([listener], "--fd", "3", "--unix", "s.sock",
                   image()) as server:
        server.wait_for("unix:s.sock$")
        equal(len(server.addresses()), 2)
        equal(greeting(connect_tcp(*listener.getsockname())), GREETING)


@case("sockets meant for another process are not touched")
def _():
    listener = tcp_listener()
    with activated([listener], "--unix", "s.sock", image(),
                   pid="1") as server:
        equal(server.addresses(), ["unix:s.sock"])


@case("a listening descriptor by --fd")
def _():
    listener = tcp_listener()
    fd = listener.fileno()
    with serving("--fd", str(fd), image(), pass_fds=[fd]):
        equal(greeting(connect_tcp(*listener.getsockname())), GREETING)
        equal(greeting(connect_tcp(*listener.getsockname())), GREETING)


def serve_pair(leave, *args, **popen):
    """One connected socket as --fd 0; the status of the server, which ends by
    itself, and what it said."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    server = Server(["--fd", "0", *args, image()], stdin=theirs, **popen)
    theirs.close()
    try:
        equal(greeting(ours), GREETING)
        leave(ours)
        return server.wait(), server.log()
    finally:
        server.process.kill()
        server.process.wait()


@case("one connected client, in inetd's manner: the server leaves with it")
def _():
    equal(serve_pair(abort)[0], 0, "status after ABORT")
    equal(serve_pair(lambda sock: sock.close())[0], 0, "status after a close")


@case("a connected socket from systemd (Accept=yes)")
def _():
    listener = tcp_listener()
    client = connect_tcp(*listener.getsockname())
    accepted, _ = listener.accept()
    fd = accepted.fileno()
    server = Server(["-c", LAUNCHER, repr([fd]), "self", VHDKITD, image()],
                    executable=sys.executable, pass_fds=[fd])
    accepted.close()
    try:
        equal(greeting(client), GREETING)
        abort(client)
        equal(server.wait(), 0, "status")
    finally:
        server.process.kill()
        server.process.wait()


@case("inetd's client gets no message of ours, though it is standard error")
def _():
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    server = Server(["--verbose", "--fd", "0", image()], stdin=theirs,
                    stdout=theirs, stderr=theirs)
    theirs.close()
    try:
        equal(greeting(ours), GREETING)
        ours.shutdown(socket.SHUT_WR)
        equal(ours.recv(1000), b"", "what came behind the greeting")
        equal(server.wait(), 0, "status")
    finally:
        server.process.kill()
        server.process.wait()


def listened(path):
    """A socket's name is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


@case("who does not read the messages holds nobody up, and hears how many it was")
def _():
    theirs, ours = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 4096)
    server = Server(["--verbose", "--unix", "s.sock", image()], stderr=ours)
    os.close(ours)
    try:
        while not listened("s.sock"):
            time.sleep(0.02)
        for _ in range(200):
            client = connect_unix("s.sock")
            client.settimeout(PATIENCE)
            equal(greeting(client), GREETING)
            abort(client)
        said = os.read(theirs, 1 << 20)
        check(b"missing" not in said, said)
        client = connect_unix("s.sock")
        equal(greeting(client), GREETING)
        contains(os.read(theirs, 1 << 20).decode(), "messages are missing here")
        equal(server.stop(), 0)
    finally:
        os.close(theirs)
        server.process.kill()
        server.process.wait()


@case("descriptors that cannot be served are refused")
def _():
    image()
    refused("--fd", "77", "disk.vhd", says=["descriptor 77", "Bad file"])
    with open("disk.vhd", "rb") as file:
        refused("--fd", str(file.fileno()), "disk.vhd",
                pass_fds=[file.fileno()],
                says=[f"descriptor {file.fileno()}"])
    for kind, says in ((socket.SOCK_DGRAM, "not a stream socket"),
                       (socket.SOCK_STREAM, "neither listens nor")):
        with socket.socket(socket.AF_INET, kind) as sock:
            refused("--fd", str(sock.fileno()), "disk.vhd",
                    pass_fds=[sock.fileno()], says=says)
    ours, theirs = socket.socketpair()
    refused("--fd", str(theirs.fileno()), "--unix", "s.sock", "disk.vhd",
            pass_fds=[theirs.fileno()], says=["connected", "--unix"])
    ours.close()
    theirs.close()


@case("started without standard files, others take their place: /dev/null's")
def _():
    for closed in "2>&-", "<&- >&- 2>&-":
        listener = tcp_listener()
        fd = listener.fileno()
        command = without(closed, VHDKITD, "--fd", str(fd), image())
        server = Server(command[1:], executable=command[0], pass_fds=[fd])
        try:
            equal(greeting(connect_tcp(*listener.getsockname())), GREETING)
            for number in (0, 1, 2) if "<" in closed else (2,):
                equal(os.readlink(f"/proc/{server.pid}/fd/{number}"),
                      "/dev/null", f"descriptor {number}")
        finally:
            equal(server.stop(), 0, "status")


@case("systemd is told when we are ready, and when we stop")
def _():
    for address in ("notify.sock", "\0vhdkit-test-%d" % os.getpid()):
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inbox.settimeout(PATIENCE)
        inbox.bind(address)
        if address[0] != "\0":
            address = os.path.abspath(address)
        environment = dict(os.environ,
                           NOTIFY_SOCKET=address.replace("\0", "@"))
        with serving("--unix", "s.sock", image(), env=environment) as server:
            contains(inbox.recv(4096).decode(), "READY=1\n")
            # Ready means that clients are served.
            equal(greeting(connect_unix("s.sock")), GREETING)
            server.process.send_signal(signal.SIGTERM)
            contains(inbox.recv(4096).decode(), "STOPPING=1\n")
            server.wait()
        inbox.close()


run()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where vhdkitd listens: what it was told, and nothing else."""

import os
import signal
import socket
import stat
import subprocess
import time

from fronttest import (GREETING, VHDKITD, abort, connect_tcp, connect_unix,
                       greeting, image, needs_root, refused, serving)
from tooltest import Skip, case, check, contains, equal, need, run


def sockets(pid, *more):
    """The TCP addresses that a process listens on, as its namespace sees
    them."""
    need("ss")
    out = subprocess.run([*more, "ss", "-Hltnp"], capture_output=True,
                         text=True, check=True).stdout
    return sorted(line.split()[3] for line in out.splitlines()
                  if f"pid={pid}," in line)


@case("an IPv4 address, with a port that the system chooses")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        host, port = server.tcp()
        equal(host, "127.0.0.1")
        check(port != 0, "the port is told")
        equal(greeting(connect_tcp(host, port)), GREETING)
        equal(sockets(server.pid), [f"127.0.0.1:{port}"])


@case("an IPv6 address")
def _():
    with serving("--listen", "[::1]:0", image()) as server:
        host, port = server.tcp()
        equal(host, "::1")
        equal(greeting(connect_tcp("::1", port)), GREETING)
        equal(sockets(server.pid), [f"[::1]:{port}"])


@case("every address: both families, each on a socket of its own")
def _():
    for every in (":0", "*:0"):
        with serving("--listen", every, image()) as server:
            _, port = server.tcp()
            server.wait_for(r"listening on \[::\]")
            equal(sockets(server.pid), [f"0.0.0.0:{port}", f"[::]:{port}"])
            equal(greeting(connect_tcp("127.0.0.1", port)), GREETING)
            equal(greeting(connect_tcp("::1", port)), GREETING)


@case("several addresses and sockets at once, and a host name")
def _():
    with serving("--listen", "localhost:0", "--listen", "127.0.0.2:0",
                 "--unix", "a.sock", "--unix", "b.sock", image()) as server:
        server.wait_for("unix:b.sock$")
        check(len(server.addresses()) >= 4, server.log())
        equal(len(sockets(server.pid)), len(server.addresses()) - 2)
        for path in ("a.sock", "b.sock"):
            equal(greeting(connect_unix(path)), GREETING)


@case("without a word, loopback of both families on port 10809 alone")
def _():
    needs_root()
    need("ip")
    need("unshare")
    if subprocess.run(["unshare", "-n", "true"], check=False,
                      capture_output=True).returncode != 0:
        raise Skip("no network namespaces here")
    # A moment until the kernel has made sure that nobody else is ::1.
    script = 'ip link set lo up && sleep 0.2 && exec "$0" "$@"'
    with serving("-n", "sh", "-c", script, VHDKITD, image(),
                 executable="unshare") as server:
        server.wait_for(r"listening on \[::1\]:10809$")
        equal(server.addresses(), ["127.0.0.1:10809", "[::1]:10809"])
        equal(sockets(server.pid, "nsenter", "-t", str(server.pid), "-n"),
              ["127.0.0.1:10809", "[::1]:10809"])


@case("an address in use, or not ours, is refused with a hint")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        _, port = server.tcp()
        refused("--listen", f"127.0.0.1:{port}", image("other.vhd"),
                says=["127.0.0.1", str(port), "another server"])
        # Where one of several cannot be had, none is taken.
        refused("--unix", "gone.sock", "--listen", f"127.0.0.1:{port}",
                "other.vhd")
        check(not os.path.exists("gone.sock"), "nothing is left behind")
    refused("--listen", "192.0.2.77:0", "other.vhd",
            says=["192.0.2.77", "does not have that address"])


@case("a port can be bound again at once after a client was there")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        _, port = server.tcp()
        abort_after_greeting(connect_tcp("127.0.0.1", port))
    with serving("--listen", f"127.0.0.1:{port}", image()):
        pass


def abort_after_greeting(sock):
    equal(greeting(sock), GREETING)
    abort(sock)


@case("accepted connections are probed when they fall silent")
def _():
    need("ss")
    with serving("--listen", "127.0.0.1:0", image()) as server:
        host, port = server.tcp()
        client = connect_tcp(host, port)
        equal(greeting(client), GREETING)
        out = subprocess.run(["ss", "-Htno", "sport", "=", f":{port}"],
                             capture_output=True, text=True, check=True)
        contains(out.stdout, "timer:(keepalive,")
        client.close()


@case("a Unix socket has the mode that was asked for, from the start")
def _():
    for mode in ("600", "660", "666"):
        with serving("--unix", "s.sock", "--unix-mode", mode, image()):
            info = os.lstat("s.sock")
            check(stat.S_ISSOCK(info.st_mode), "a socket")
            equal(oct(info.st_mode & 0o777), oct(int(mode, 8)))
    with serving("--unix", "s.sock", image(), umask=0o027):
        equal(oct(os.lstat("s.sock").st_mode & 0o777), oct(0o750))


@case("a stale Unix socket is replaced, and ours is removed at the end")
def _():
    dead = socket.socket(socket.AF_UNIX)
    dead.bind("s.sock")
    dead.close()
    check(os.path.exists("s.sock"), "the stale one")
    with serving("--unix", "s.sock", image()):
        equal(greeting(connect_unix("s.sock")), GREETING)
    check(not os.path.exists("s.sock"), "removed")


@case("after kill -9 the next server takes the socket over")
def _():
    with serving("--unix", "s.sock", image(), status=-9) as server:
        server.process.send_signal(signal.SIGKILL)
        server.wait()
    check(os.path.exists("s.sock"), "left by the killed one")
    with serving("--unix", "s.sock", image()):
        equal(greeting(connect_unix("s.sock")), GREETING)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@case("what a killed server's other process still holds is waited for")
def _():
    image()

    def orphan(make):
        """A listener whose maker has died, and that goes in a moment."""
        maker = os.fork()
        if maker == 0:
            sock = make()
            if os.fork() == 0:
                time.sleep(0.5)
                sock.close()
            os._exit(0)
        os.waitpid(maker, 0)

    def on_unix():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind("s.sock")
        sock.listen()
        return sock

    orphan(on_unix)
    with serving("--unix", "s.sock", "disk.vhd"):
        equal(greeting(connect_unix("s.sock")), GREETING)
    port = free_port()
    orphan(lambda: socket.create_server(("127.0.0.1", port)))
    with serving("--listen", f"127.0.0.1:{port}", "disk.vhd"):
        equal(greeting(connect_tcp("127.0.0.1", port)), GREETING)


@case("a Unix socket in use is refused, and its process named")
def _():
    with serving("--unix", "s.sock", image()) as server:
        before = os.lstat("s.sock")
        refused("--unix", "s.sock", image("other.vhd"),
                says=["s.sock is in use", f"process {server.pid} "])
        equal(os.lstat("s.sock").st_ino, before.st_ino)
        equal(greeting(connect_unix("s.sock")), GREETING)


@case("what is no socket is left alone")
def _():
    with open("s.sock", "w", encoding="ascii") as file:
        file.write("precious")
    refused("--unix", "s.sock", image(), says=["s.sock", "not a socket"])
    with open("s.sock", encoding="ascii") as file:
        equal(file.read(), "precious")
    os.symlink("s.sock", "link.sock")
    refused("--unix", "link.sock", "disk.vhd", says="not a socket")


@case("a socket that somebody put in the place of ours is not removed")
def _():
    other = socket.socket(socket.AF_UNIX)
    with serving("--unix", "s.sock", image()):
        os.unlink("s.sock")
        other.bind("s.sock")
    check(os.path.exists("s.sock"), "still there")
    other.close()


@case("the path of a Unix socket can be as long as the system takes, not more")
def _():
    fits, too_long = "s" * 107, "s" * 108
    with serving("--unix", fits, image()):
        equal(greeting(connect_unix(fits)), GREETING)
    refused("--unix", too_long, "disk.vhd", says=[too_long, "107"])
    refused("--unix", "no/such/folder.sock", "disk.vhd",
            says=["no/such/folder.sock", "No such file"])


@case("ten servers started at once: one gets the socket")
def _():
    for i in range(10):
        image(f"{i}.vhd")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind("s.sock")
    dead.close()
    started = [subprocess.Popen([VHDKITD, "--unix", "s.sock", f"{i}.vhd"],
                                stderr=subprocess.PIPE, text=True)
               for i in range(10)]
    try:
        end = time.monotonic() + 60
        while (sum(p.poll() is None for p in started) > 1 and
               time.monotonic() < end):
            time.sleep(0.05)
        alive = [p for p in started if p.poll() is None]
        equal(len(alive), 1, "servers still running")
        equal(greeting(connect_unix("s.sock")), GREETING)
        for loser in started:
            if loser is not alive[0]:
                contains(loser.stderr.read(), "in use")
                equal(loser.returncode, 1)
    finally:
        for p in started:
            if p.poll() is None:
                p.terminate()
            p.wait()
            p.stderr.close()


@case("vsock")
def _():
    port = 20000 + os.getpid() % 20000
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        refused("--vsock", str(port), image(), says="vsock")
        raise Skip("this kernel has no vsock") from None
    with serving("--vsock", str(port), image()) as server:
        equal(server.addresses(), [f"vsock:{port}"])
        client = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        client.settimeout(5)
        try:
            client.connect((1, port))  # VMADDR_CID_LOCAL
        except OSError as error:
            raise Skip(f"no vsock loopback here: {error.strerror}") from None
        equal(greeting(client), GREETING)


run()

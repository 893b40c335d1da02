#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How vhdkitd ends, and the pid file."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from fronttest import (GREETING, PATIENCE, VHDKITD, Server, connect_unix,
                       greeting, image, needs_root, refused, serving)
from tooltest import case, check, content, equal, program, run


@case("SIGTERM and SIGINT end it with status 0, an idle client or not")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Server(["--unix", "s.sock", image()])
        server.wait_for("listening on")
        client = connect_unix("s.sock")
        equal(greeting(client), GREETING)
        equal(server.stop(number), 0, "status")
        check(not os.path.exists("s.sock"), "the socket is gone")
        client.close()


@case("what was written is in the image after SIGTERM")
def _():
    with serving("--unix", "s.sock", image()) as server:
        program("qemu-io", "-f", "raw", "-c", "write -P 0x5a 1M 64k",
                "nbd+unix:///?socket=s.sock")
        equal(server.process.poll(), None)
    equal(content("disk.vhd")[1 << 20:][:65536], b"\x5a" * 65536)
    program("qemu-img", "check", "-f", "vpc", "disk.vhd", code=None)


@case("the pid file holds the pid once clients are served, and goes again")
def _():
    with open("pid", "w", encoding="ascii") as file:
        file.write("4000000000\n")
    with serving("--unix", "s.sock", "--pid-file", "pid", image()) as server:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open("pid", encoding="ascii") as file:
                text = file.read()
            if text == f"{server.pid}\n":
                break
            time.sleep(0.02)
        equal(text, f"{server.pid}\n")
        equal(greeting(connect_unix("s.sock")), GREETING)
    check(not os.path.exists("pid"), "removed")


@case("the pid file is its server's alone")
def _():
    image("other.vhd")
    with serving("--unix", "s.sock", "--pid-file", "pid", image()):
        refused("--unix", "t.sock", "--pid-file", "pid", "other.vhd",
                says="pid is in use")
        check(os.path.exists("pid"), "the first one's is there")
        check(not os.path.exists("t.sock"), "the second one left no socket")
    check(not os.path.exists("pid"), "removed")


@case("a socket whose mode was changed is removed at the end all the same")
def _():
    with serving("--unix", "s.sock", image()):
        os.chmod("s.sock", 0o666)
    check(not os.path.exists("s.sock"), "the socket is gone")


@case("SIGHUP is no reason to stop")
def _():
    with serving("--unix", "s.sock", image()) as server:
        client = connect_unix("s.sock")
        equal(greeting(client), GREETING)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        equal(server.process.poll(), None)
        equal(greeting(connect_unix("s.sock")), GREETING)


@case("a server whose start fails leaves nothing behind")
def _():
    image()
    done = program(VHDKITD, "--unix", "s.sock", "--pid-file", "pid",
                   "x=missing.vhd", "y=disk.vhd", code=1)
    check("missing.vhd" in done.err, done.err)
    equal(sorted(os.listdir()), ["disk.vhd"])


def await_that(what):
    end = time.monotonic() + PATIENCE
    while not what():
        check(time.monotonic() < end, "not in time")
        time.sleep(0.02)


@contextlib.contextmanager
def stopped(server):
    """Its worker does not get on meanwhile."""
    worker = server.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@case("two signals at once, as timeout(1) sends, are no impatience")
def _():
    with serving("--unix", "s.sock", image()) as server:
        with stopped(server):
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
            await_that(lambda: not os.path.exists("s.sock"))


@case("a second signal later on ends it at once, and what was served is sound")
def _():
    server = Server(["--unix", "s.sock", image()])
    server.wait_for("listening on")
    with stopped(server):
        server.process.send_signal(signal.SIGTERM)
        await_that(lambda: not os.path.exists("s.sock"))
        time.sleep(1.5)
        equal(server.stop(), -signal.SIGTERM)


@case("the first process of a container can be ended, too")
def _():
    needs_root()
    image()
    with open("log", "wb") as log:
        container = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", VHDKITD, "--unix",
             "t.sock", "disk.vhd"], stderr=log)

    def first():
        with open(f"/proc/{container.pid}/task/{container.pid}/children",
                  encoding="ascii") as file:
            return int(file.read() or 0)

    await_that(lambda: b"listening on" in open("log", "rb").read())
    os.unlink("disk.vhd")  # so that no worker starts any more
    keeper = first()
    with open(f"/proc/{keeper}/task/{keeper}/children",
              encoding="ascii") as file:
        for child in file.read().split():
            os.kill(int(child), signal.SIGKILL)
    await_that(lambda: b"ended with status 1" in open("log", "rb").read())
    os.kill(keeper, signal.SIGTERM)
    equal(container.wait(PATIENCE), 128 + signal.SIGTERM)


@case("a signal to stop is not lost behind many to reload")
def _():
    with serving("--unix", "s.sock", image()) as server:
        with stopped(server):
            for _ in range(1000):  # more than there is room for
                server.process.send_signal(signal.SIGHUP)
                time.sleep(0.002)
            server.process.send_signal(signal.SIGTERM)
            await_that(lambda: not os.path.exists("s.sock"))
        server.wait()


@case("a supervisor that does not listen keeps nobody from anything")
def _():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        deaf.bind("notify")
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"full", "notify")
        except BlockingIOError:
            pass
        with serving("--unix", "s.sock", image(),
                     env=dict(os.environ,
                              NOTIFY_SOCKET=os.path.abspath("notify"))):
            equal(greeting(connect_unix("s.sock")), GREETING)


run()

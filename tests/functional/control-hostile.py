#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The control socket: those who flood it, fall silent, take nothing or say too
much, and those who may only look; others are served meanwhile."""

import contextlib
import os
import re
import time

from controltest import CONTROL, NOBODY, Control, as_user, controlled
from fronttest import GREETING, connect_unix, greeting, image
from rawclient import SOCKET, Client
from tooltest import Skip, case, check, equal, run

LINE = 64 << 10
ALL, LOOKING = 32, 16


def alive():
    """The server still answers, here and there."""
    sock = connect_unix(SOCKET)
    equal(greeting(sock), GREETING)
    sock.close()
    c = Control()
    c.ask("status")
    c.close()


@case("a line of 64 KiB is heard, a longer one ends its sender")
def _():
    with controlled(image()):
        c = Control()
        request = b'{"verb":"status"}'
        c.say(request + b" " * (LINE - len(request)) + b"\n")
        check("result" in c.line(), "heard")
        for end in (b"\n", b""):
            c = Control()
            with contextlib.suppress(OSError):
                c.say(request + b" " * (LINE - len(request) + 1) + end)
            equal(c.line()["error"]["class"], "usage")
            equal(c.line(), None)
        alive()


@case("bytes without end, without a line, are not kept")
def _():
    with controlled(image()) as server:
        c = Control()
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                c.say(b"x" * (1 << 20))
                sent += 1 << 20
        check(sent < 8 << 20, f"{sent} bytes were taken")
        alive()
        memory = int(server.status()["VmHWM"].split()[0])
        check(memory < 200 << 10, f"{memory} KiB")


@case("who asks and does not take the answers is not asked any more")
def _():
    strangers = list(range(10 ** 6, 10 ** 6 + 4000))  # a long answer
    with controlled(image()) as server:
        c = Control()
        c.sock.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(300):
                c.send("disconnect", clients=strangers)
        time.sleep(0.5)
        heeded = len(re.findall(": disconnect ", server.log()))
        check(5 < heeded < 100, f"{heeded} were answered, and nobody reads")
        alive()


@case("a thousand questions at once keep nobody else waiting")
def _():
    with controlled(image()):
        flooding = [Control() for _ in range(4)]
        for c in flooding:
            c.sock.setblocking(False)
        for _ in range(200):
            for c in flooding:
                with contextlib.suppress(BlockingIOError):
                    c.sock.send(b'{"verb":"status"}\n' * 1000)
            for c in flooding:
                with contextlib.suppress(BlockingIOError):
                    c.sock.recv(1 << 20)
        alive()


@case("those who say nothing have their number, and so have others")
def _():
    with controlled(image()) as server:
        silent = [Control() for _ in range(ALL)]
        one_more = Control()
        equal(one_more.greeting["error"]["class"], "in-use")
        equal(one_more.line(), None)
        server.wait_for("control: refused process")
        silent.pop().close()
        end = time.monotonic() + 10
        while "error" in Control().greeting:
            check(time.monotonic() < end, "no room again")
        alive()


@case("those who leave in the middle of something are forgotten")
def _():
    with controlled(image()) as server:
        Control().ask("status")
        before = len(os.listdir(f"/proc/{server.worker()}/fd"))
        for i in range(100):
            c = Control()
            c.say(b'{"verb":"clients"}\n{"verb":"status"}\n{"ve'[:10 + i])
            c.close()
        end = time.monotonic() + 10
        while len(os.listdir(f"/proc/{server.worker()}/fd")) > before:
            check(time.monotonic() < end, "descriptors are left")
            time.sleep(0.01)
        alive()


@case("the server ends while questions are under way")
def _():
    with controlled(image()):
        c = Control()
        c.say(b'{"verb":"clients"}\n' * 500)


def looks(**who):
    with as_user(NOBODY, **who):
        c = Control()
    c.ask("clients")
    return [c.greeting["may-change"], "version" in c.ask("status")]


@case("whom the mode lets in may look, but not change anything")
def _():
    with controlled("--control-mode", "666", image()):
        equal(looks(), [False, True])
        equal(Control().greeting["may-change"], True)


@case("whom the mode does not let in is not let in")
def _():
    with controlled(image()), as_user(NOBODY):
        with contextlib.suppress(PermissionError):
            Control()
            raise AssertionError("let in")


@case("those of one group may change something, whichever of theirs it is")
def _():
    with controlled("--control-mode", "666", "--control-admins", "12345",
                    image()):
        equal(looks(), [False, True])
        equal(looks(groups=[7, 8, 12344]), [False, True])
        equal(looks(gid=12345), [True, True])
        equal(looks(groups=[7, 12345, 9]), [True, True])
        equal(os.lstat(CONTROL).st_gid, 12345)
    with controlled("--control-admins", "12345", image()):
        equal(oct(os.lstat(CONTROL).st_mode & 0o777), oct(0o660))
        equal(looks(groups=[12345]), [True, True])


@case("the user as whom the server runs may")
def _():
    if os.geteuid() != 0:
        raise Skip("needs root")
    image()
    os.chown("disk.vhd", NOBODY, NOBODY)
    os.chmod(".", 0o755)
    os.chmod("..", 0o755)
    with controlled("--user", str(NOBODY), "disk.vhd"):
        equal(os.lstat(CONTROL).st_uid, NOBODY)
        equal(looks(), [True, True])
        equal(Control().greeting["may-change"], True)


@case("those who may only look keep nobody out who may do more")
def _():
    with controlled("--control-mode", "666", image()):
        with as_user(NOBODY):
            them = [Control() for _ in range(LOOKING)]
            equal(Control().greeting["error"]["class"], "in-use")
        equal(Control().greeting["may-change"], True)
        them[0].ask("status")


@case("nobody hears of what is in others' names but as text")
def _():
    with controlled(f"weßb={image()}"):
        client = Client().go("weßb")
        equal(Control().ask("clients")["clients"][0]["export"], "weßb")
        client.close()


run()

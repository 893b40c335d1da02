#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How vhdkitd ends, and the pid file."""

import os
import signal
import time

from fronttest import (GREETING, VHDKITD, Server, connect_unix, greeting,
                       image,
                       refused, serving)
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


run()

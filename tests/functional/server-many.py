#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many exports: what starting and stopping with them costs, in threads and in
opened files, and that parents among them are found all the same."""

import contextlib
import ctypes
import os
import struct
import subprocess
import threading
import time

from fronttest import PATIENCE, Server
from servertest import connect, need_nbd, served
from tooltest import (MiB, case, check, contains, equal, program, run,
                      vhdkit)
from vhdimage import write_dynamic

IN_CLOSE = 0x18
IN_OPEN = 0x20
THREADS = 64
EXPORTS = 1500


class Opens:
    """How often each file of a folder is opened, as inotify tells."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        check(self.fd >= 0, "no inotify")
        equal(libc.inotify_add_watch(self.fd, folder.encode(),
                                     IN_OPEN | IN_CLOSE) > 0, True)

    def count(self):
        """{name: times}; a folder's own opens have no name."""
        found = {}
        while True:
            try:
                data = os.read(self.fd, 1 << 20)
            except BlockingIOError:
                os.close(self.fd)
                return found
            at = 0
            while at < len(data):
                _, mask, _, size = struct.unpack_from("iIII", data, at)
                check(not mask & 0x4000, "inotify's queue was too short")
                name = data[at + 16:at + 16 + size].rstrip(b"\0").decode()
                at += 16 + size
                if name and mask & IN_OPEN:
                    found[name] = found.get(name, 0) + 1


class Threads:
    """The most threads that a server's processes are seen to have."""

    def __init__(self, server):
        self.server = server
        self.most = 0
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while self.server.process.poll() is None:
            # Before it is there, and at its end.
            with contextlib.suppress(OSError):
                pids = [self.server.pid, *self.server.children()]
                n = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)
                self.most = max(self.most, n)
            time.sleep(0.0005)

    def end(self):
        self.thread.join(PATIENCE)
        return self.most


def many(n):
    os.mkdir("dir")
    for i in range(n):
        write_dynamic(f"dir/{i}.vhd", MiB, {})
    return [f"e{i}=dir/{i}.vhd" for i in range(n)]


@case("start and stop take a bounded number of threads, and each image is "
      "opened once")
def _():
    names = many(EXPORTS)
    opens = Opens("dir")
    began = time.monotonic()
    server = Server(["--unix", "s.sock", *names])
    try:
        threads = Threads(server)
        server.wait_for("listening on ", 4 * PATIENCE)
        started = time.monotonic() - began
        end = time.monotonic() + 4 * PATIENCE
        while not os.path.exists("s.sock") and time.monotonic() < end:
            time.sleep(0.01)
        need_nbd()
        h = connect("e7")
        h.pwrite(b"7" * 512, 0)
        h.shutdown()
    finally:
        status = server.stop()
    equal(status, 0, server.log())
    most = threads.end()
    print(f"# {EXPORTS} exports: {started:.2f} s to start, {most} threads")
    check(0 < most <= THREADS, f"{most} threads")
    opened = opens.count()
    equal({n: opened.get(f"{n}.vhd") for n in range(EXPORTS)},
          {n: 1 for n in range(EXPORTS)})
    equal(vhdkit("read", "dir/7.vhd", "--length", "3").stdout, b"777")


@case("parents among many exports are served read-only, in whatever order")
def _():
    need_nbd()
    os.mkdir("dir")
    names, wanted = [], {}
    for i in range(20):
        write_dynamic(f"dir/a{i}.vhd", MiB, {})
        vhdkit("create", "--parent", f"dir/a{i}.vhd", f"dir/b{i}.vhd")
        vhdkit("create", "--parent", f"dir/b{i}.vhd", f"dir/c{i}.vhd")
        for letter in "abc":
            names.append(f"{letter}{i}=dir/{letter}{i}.vhd")
            wanted[f"{letter}{i}"] = letter != "c"
            # Neither the order of names nor that of times tells who is whose.
            os.utime(f"dir/{letter}{i}.vhd")
    for order in (names, names[::-1]):
        with served(*order) as server:
            equal({name: connect(name).is_read_only() for name in wanted},
                  wanted)
            for name, parent in wanted.items():
                if parent:
                    contains(server.log(), f"export '{name}': it is a parent")


@case("a parent is warned of where a child in its folder is not served")
def _():
    os.mkdir("dir")
    for name in "ab":
        write_dynamic(f"dir/{name}.vhd", MiB, {})
        vhdkit("create", "--parent", f"dir/{name}.vhd", f"dir/of-{name}.vhd")
    with served("a=dir/a.vhd", "b=dir/b.vhd", "of-b=dir/of-b.vhd") as server:
        contains(server.log(), "export 'a': it is the parent of "
                               "'dir/of-a.vhd'")
        check("export 'b': it is the parent of" not in server.log(),
              server.log())


@case("too few descriptors for a start are called by the name of their limit")
def _():
    vhdkit("create", "--size", str(MiB), "a.vhd")
    done = program("/bin/sh", "-c", "ulimit -n 16; exec "
                   f"'{os.environ['VHDKITD']}' --unix t.sock a.vhd", code=1)
    contains(done.err, "raise its limit (ulimit -n, LimitNOFILE=)")


@case("one that cannot be opened ends the start, and nothing stays locked")
def _():
    names = many(40)
    done = subprocess.run([os.environ["VHDKITD"], "--unix", "s.sock", *names,
                           "bad=dir/none.vhd", "worse=dir/nil.vhd"],
                          check=False, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE)
    equal(done.returncode, 1)
    contains(done.stderr, "dir/none.vhd")
    for i in range(40):
        equal(vhdkit("check", f"dir/{i}.vhd", code=None).returncode, 0)


run()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A disk that hangs under one export leaves the clients of another alone."""

import contextlib
import os
import signal
import subprocess
import threading
import time

from controltest import CONTROL, Control
from fronttest import Server
from mounttest import end, goes_with_us, root_or_skip, unmount
from servertest import connect, nbd, need_nbd, served
from tooltest import MiB, Skip, case, check, equal, need, run, vhdkit


@contextlib.contextmanager
def fuse_file():
    """slow.raw appears as slow.vhd, which stops when its process does."""
    for name in ("nbdfuse", "nbdkit", "fusermount3"):
        need(name)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("no access to /dev/fuse")
    open("slow.vhd", "wb").close()
    with contextlib.ExitStack() as stack:
        fuse = subprocess.Popen(
            ["nbdfuse", "slow.vhd", "--command", "nbdkit", "-s", "file",
             "slow.raw"], stderr=subprocess.DEVNULL)
        stack.callback(end, fuse)
        stack.callback(unmount, os.path.abspath("slow.vhd"))
        wait_for_size("slow.vhd", fuse)
        stack.callback(fuse.send_signal, signal.SIGCONT)
        yield fuse


def wait_for_size(path, fuse):
    while os.stat(path).st_size == 0:
        if fuse.poll() is not None:
            raise Skip("this system lets nobody mount by FUSE")
        time.sleep(0.05)


@contextlib.contextmanager
def fuse_image():
    vhdkit("create", "--size", str(16 * MiB), "--type", "fixed", "--full",
           "slow.raw")
    with fuse_file() as fuse:
        yield fuse


@contextlib.contextmanager
def local_image():
    """d/slow.vhd, on an ext4 whose disk stops when a process does."""
    with open("slow.raw", "wb") as f:
        f.truncate(64 * MiB)
    root_or_skip("mkfs.ext4", "-q", "-F", "slow.raw")
    os.mkdir("d")
    with contextlib.ExitStack() as stack:
        fuse = stack.enter_context(fuse_file())
        # The device goes with the mount: nobody has to remember it.
        root_or_skip("mount", "-t", "ext4", "-o", "loop", "slow.vhd", "d")
        stack.callback(unmount, os.path.abspath("d"))
        vhdkit("create", "--size", str(16 * MiB), "--type", "fixed", "--full",
               "d/slow.vhd")
        with open("d/slow.vhd", "r+b") as f:  # else no disk is read
            f.write(os.urandom(15 * MiB))
        stack.callback(fuse.send_signal, signal.SIGCONT)
        yield fuse


def appears(path, server):
    while not os.path.exists(path):
        equal(server.process.poll(), None, server.log())
        time.sleep(0.02)


def forget(*paths):
    """Nothing of these files is in memory."""
    os.sync()
    for path in paths:
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def percentile(h, n=2000):
    times = []
    for i in range(n):
        began = time.perf_counter()
        h.pread(4096, i % 256 * 4096)
        times.append(time.perf_counter() - began)
    return sorted(times)[n * 99 // 100]


def hammer(h, n=200):
    """Everything at once, without waiting."""
    for i in range(n):
        off = i * 65536 % (15 * MiB)
        buf = nbd.Buffer(65536)
        if i % 4 == 0:
            h.aio_pwrite(buf, off)
        elif i % 4 == 1:
            h.aio_zero(65536, off)
        elif i % 50 == 2:
            h.aio_flush()
        else:
            h.aio_pread(buf, off)
    for _ in range(200):
        h.poll(5)


@contextlib.contextmanager
def beside(disk, path, *options):
    """Clients of a quick image and of the one at path on this disk, and the
    process below the disk."""
    need_nbd()
    vhdkit("create", "--size", str(16 * MiB), "quick.vhd")
    with disk as fuse:
        with served("--threads", "1", *options, "quick=quick.vhd",
                    f"slow={path}"):
            quick, slow = connect("quick"), connect("slow")
            quick.pwrite(os.urandom(MiB), 0)
            yield fuse, quick, slow
            equal(len(slow.pread(4096, 0)), 4096)
            slow.shutdown()
            quick.shutdown()


def hung(*options):
    with beside(fuse_image(), "slow.vhd", *options) as (fuse, quick, slow):
        slow.pwrite(b"s" * 4096, 0)
        fuse.send_signal(signal.SIGSTOP)
        hammer(slow)
        # A loop that waited for the disk would answer none of these.
        print(f"# 99 % of reads within {percentile(quick) * 1e3:.2f} ms")
        quick.pwrite(os.urandom(MiB), MiB)
        quick.flush()
        equal(connect("quick").get_size(), 16 * MiB)
        fuse.send_signal(signal.SIGCONT)
        while slow.aio_in_flight() > 0:
            slow.poll(-1)


@case("a hung disk under one export")
def _():
    hung()


@case("a hung disk under one export, by threads")
def _():
    hung("--io", "threads")


@case("a change of an image whose disk hangs holds up no other's clients")
def _():
    with beside(fuse_image(), "slow.vhd", "--control", CONTROL) as \
            (fuse, quick, slow):
        slow.pread(4096, 0)
        fuse.send_signal(signal.SIGSTOP)
        slow.aio_pread(nbd.Buffer(MiB), MiB)
        slow.poll(0)
        change = Control()
        change.send("resize", export="slow", size=32 * MiB)
        # A loop that waited for the gate would answer none of these.
        print(f"# 99 % of reads within {percentile(quick) * 1e3:.2f} ms")
        quick.pwrite(os.urandom(MiB), MiB)
        # So does a change of another: it looks for children in the folder, in
        # which a file hangs; but no client waits for that.
        other = Control()
        other.send("snapshot", export="quick", name="frozen.vhd")
        percentile(quick, 200)
        slow.aio_pread(nbd.Buffer(4096), 0)  # held
        slow.poll(0)
        quick.flush()
        equal(slow.aio_in_flight(), 2)
        fuse.send_signal(signal.SIGCONT)
        # The file is a mount of its own, which cannot grow.
        change.error(change.last)
        check(answered(slow), "held for ever")
        other.answer(other.last)
        equal(other.ask("status")["clients"], 2)


@case("a client has its time for the handshake while its image is slow to open")
def _():
    os.mkdir("folder")
    os.symlink("../slow.vhd", "folder/late.vhd")
    with fuse_image() as fuse, \
            served("--handshake-timeout", "5", "--no-sandbox", "folder"):
        fuse.send_signal(signal.SIGSTOP)
        threading.Timer(8, fuse.send_signal, [signal.SIGCONT]).start()
        h = connect("late")  # GO is answered when the image is open
        equal(h.get_size(), 16 * MiB)
        h.shutdown()


def answered(h, seconds=60):
    """Whether all that was asked has been answered."""
    until = time.monotonic() + seconds
    while h.aio_in_flight() > 0 and time.monotonic() < until:
        h.poll(100)
    return h.aio_in_flight() == 0


def ask(h, at):
    """What waits for a hung disk in as many ways.  Ranges that overlap would
    wait in the server already; parts of a page wait in the kernel."""
    h.aio_pread(nbd.Buffer(512), at)
    h.aio_pwrite(nbd.Buffer(512), at + 1024)
    h.aio_zero(1024, at + 2048)
    h.aio_pread(nbd.Buffer(30720), at + 33792)
    h.aio_pwrite(nbd.Buffer(1024), at + 32768)
    h.aio_pwrite(nbd.Buffer(65536), at + 65536)


def hung_local(before, *options):
    with beside(local_image(), "d/slow.vhd", *options) as (fuse, quick, slow):
        if before:
            slow.pread(4096, 8 * MiB)  # it is known for a local disk
            slow.pwrite(b"s" * 4096, 8 * MiB)
            slow.flush()
        forget("d/slow.vhd", "slow.vhd")
        time.sleep(0.5)  # its last answer is no sign of life any more
        fuse.send_signal(signal.SIGSTOP)
        try:
            for i in range(60):
                ask(slow, i * 131072)
            slow.aio_flush()
            for _ in range(5):
                slow.poll(100)
                ask(slow, 0)
            for i in range(100):
                quick.aio_pread(nbd.Buffer(4096), i * 4096)
            quick.aio_pwrite(nbd.Buffer(65536), 0)
            equal(answered(quick), True, "the other export answers")
            equal(answered(slow, 0.3), False, "the disk goes on")
        finally:
            fuse.send_signal(signal.SIGCONT)
        equal(answered(slow), True, "an answer after the disk's")


@case("a hung disk that the server takes for one of its own")
def _():
    hung_local(True)


@case("the same, by threads")
def _():
    hung_local(True, "--io", "threads")


@case("the same, from the first request on")
def _():
    hung_local(False)


@case("an image is opened for writing beside a loop device whose file hangs")
def _():
    os.mkdir("own")
    vhdkit("create", "--size", "1M", "own/own.vhd")
    with local_image() as fuse:
        time.sleep(1.5)  # FUSE's answers are good for a second
        fuse.send_signal(signal.SIGSTOP)
        timer = threading.Timer(20, fuse.send_signal, [signal.SIGCONT])
        timer.start()
        try:
            with served("own/own.vhd"):
                h = connect()
                h.pwrite(b"w" * 512, 0)
                h.shutdown()
            check(timer.is_alive(), "it waited for the loop's file")
        finally:
            timer.cancel()
            fuse.send_signal(signal.SIGCONT)


@case("an image is served beside a file that hangs")
def _():
    vhdkit("create", "--size", "1M", "quick.vhd")
    vhdkit("create", "--parent", "quick.vhd", "child.vhd")
    with fuse_image() as fuse:
        time.sleep(1.5)  # FUSE's answers are good for a second
        fuse.send_signal(signal.SIGSTOP)
        timer = threading.Timer(20, fuse.send_signal, [signal.SIGCONT])
        timer.start()
        try:
            with served("quick.vhd") as server:
                h = connect()
                h.pwrite(b"w" * 512, 0)
                check(timer.is_alive(), "it waited for the file")
                server.wait_for("a disk beside the images does not answer")
                fuse.send_signal(signal.SIGCONT)
                server.wait_for("it is the parent of '(./)?child.vhd'")
                h.shutdown()
        finally:
            timer.cancel()
            fuse.send_signal(signal.SIGCONT)


@case("signals while the server starts and stops upon a hung disk")
def _():
    with fuse_image() as fuse:
        fuse.send_signal(signal.SIGSTOP)
        server = Server(["--unix", "s.sock", "--pid-file", "pid", "slow.vhd"])
        appears("s.sock", server)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        equal(server.process.poll(), None, "SIGHUP ends no start")
        equal(server.stop(), -signal.SIGTERM)
        equal(sorted(os.listdir()), ["slow.raw", "slow.vhd", "vhdkitd.log"])
        fuse.send_signal(signal.SIGCONT)
        with served("slow.vhd") as server:
            h = connect()
            h.pwrite(b"s" * 4096, 0)
            fuse.send_signal(signal.SIGSTOP)
            server.process.send_signal(signal.SIGTERM)
            while os.path.exists("s.sock"):
                time.sleep(0.02)
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            equal(server.process.poll(), None, "SIGHUP ends no stop")
            fuse.send_signal(signal.SIGCONT)
            equal(server.wait(), 0)


@case("a list leaves out what hangs, and says the rest")
def _():
    need_nbd()
    os.mkdir("dir")
    with fuse_image() as fuse:
        vhdkit("create", "--size", str(MiB), "dir/alone.vhd")
        vhdkit("create", "--size", str(MiB), "dir/base.vhd")
        vhdkit("create", "--parent", "dir/base.vhd", "dir/child.vhd")
        for i in range(12):
            vhdkit("create", "--root", ".", "--parent", "slow.vhd",
                   f"dir/hung{i}.vhd")
        with served("--root", ".", "dir") as server:
            try:
                fuse.send_signal(signal.SIGSTOP)
                for _ in range(2):
                    names = []
                    h = nbd.NBD()
                    h.set_opt_mode(True)
                    h.connect_unix("s.sock")
                    h.opt_list(lambda name, text: names.append(name) or 0)
                    h.opt_abort()
                    equal([n for n in names if n.startswith("hung")], [])
                    check("alone" in names, f"{names}")
                server.wait_for("export 'hung.*' is not listed")
            finally:
                fuse.send_signal(signal.SIGCONT)


goes_with_us()
run()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A disk that hangs under one export leaves the clients of another alone."""

import contextlib
import os
import signal
import subprocess
import time

from servertest import connect, nbd, need_nbd, served
from tooltest import MiB, Skip, case, equal, need, run, vhdkit


@contextlib.contextmanager
def fuse_image():
    """An image on a file system that stops when its process does."""
    need("nbdfuse")
    need("nbdkit")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("no access to /dev/fuse")
    vhdkit("create", "--size", str(16 * MiB), "--type", "fixed", "--full",
           "slow.raw")
    open("slow.vhd", "wb").close()
    fuse = subprocess.Popen(
        ["nbdfuse", "slow.vhd", "--command", "nbdkit", "-s", "file",
         "slow.raw"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if os.stat("slow.vhd").st_size > 0:
                break
            if fuse.poll() is not None:
                raise Skip("this system lets nobody mount by FUSE")
            time.sleep(0.1)
        yield fuse
    finally:
        fuse.send_signal(signal.SIGCONT)
        subprocess.run(["fusermount3", "-u", "-z", "slow.vhd"], check=False,
                       stderr=subprocess.DEVNULL)
        fuse.terminate()
        fuse.wait()


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


def hung(*options):
    need_nbd()
    vhdkit("create", "--size", str(16 * MiB), "quick.vhd")
    with fuse_image() as fuse:
        with served("--threads", "1", *options, "quick=quick.vhd",
                    "slow=slow.vhd"):
            quick, slow = connect("quick"), connect("slow")
            quick.pwrite(os.urandom(MiB), 0)
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
            equal(len(slow.pread(4096, 0)), 4096)
            slow.shutdown()
            quick.shutdown()


@case("a hung disk under one export")
def _():
    hung()


@case("a hung disk under one export, by threads")
def _():
    hung("--io", "threads")


run()

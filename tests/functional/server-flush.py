#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A flush behind a new block takes two syncs, and no detour by the loop between
them."""

import contextlib
import re
import signal
import subprocess
import time

from fronttest import PATIENCE
from servertest import connect, need_nbd, served
from tooltest import MiB, Skip, case, check, equal, need, run, vhdkit

LOG = "calls.log"
CALLS = "fdatasync,read,write,pwrite64,pwritev2"


def text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


@contextlib.contextmanager
def traced(pid):
    need("strace")
    with open("strace.err", "w", encoding="utf-8") as err:
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", LOG, "-e",
             f"trace={CALLS}"], stderr=err)
    try:
        end = time.monotonic() + PATIENCE
        while "attached" not in text("strace.err"):
            if tracer.poll() is not None:
                raise Skip("strace cannot trace here: " + text("strace.err"))
            check(time.monotonic() < end, "strace does not begin")
            time.sleep(0.02)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)


def calls():
    """(thread, call) in the order in which they returned."""
    found = re.findall(r"^(\d+) +(?:<\.\.\. )?(\w+)[ (](?!.*<unfinished).*$",
                       text(LOG), flags=re.M)
    return [call for call in found if call[1] in CALLS.split(",")]


@case("bitmap and table are written between two syncs, by one thread")
def _():
    need_nbd()
    vhdkit("create", "--size", str(16 * MiB), "disk.vhd")
    with served("--threads", "1", "--no-sandbox", "disk.vhd") as server:
        h = connect()
        h.pwrite(b"1" * 65536, 0)
        h.flush()
        h.pwrite(b"2" * 65536, 4 * MiB)
        with traced(server.worker()):
            h.flush()
        h.shutdown()
    syncs = [i for i, call in enumerate(calls()) if call[1] == "fdatasync"]
    equal(len(syncs), 2, f"syncs in {calls()}")
    between = calls()[syncs[0]:syncs[1] + 1]
    equal({thread for thread, _ in between}, {between[0][0]},
          f"threads in {between}")
    equal([name for _, name in between[1:-1] if name in ("read", "write")], [])


run()

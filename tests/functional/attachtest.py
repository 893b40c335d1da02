# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of attach and mount share."""

import contextlib
import os
import subprocess
import time

from fronttest import PATIENCE, is_alive
from servertest import need_nbd
from tooltest import Skip, check, equal, need, read_json, vhdkit

try:
    import nbd
except ImportError:
    nbd = None


@contextlib.contextmanager
def attaching():
    """A folder for attachments, in which nothing is left at the end, and of
    which nothing runs."""
    folder = os.path.abspath("at")
    os.environ["VHDKIT_ATTACH_DIR"] = folder
    seen = set()
    try:
        yield seen
        equal(os.listdir(folder) if os.path.exists(folder) else [], [],
              "what is left")
        equal([p for p in seen if is_alive(p)], [], "processes left")
    finally:
        for entry in listed():
            vhdkit("detach", "--force", entry["image"], code=None)


def disk(name="a.vhd", *args):
    vhdkit("create", "--size", "8M", *args, name)
    vhdkit("write", name, data=b"old " * 1024)
    return name


def client(socket):
    need_nbd()
    h = nbd.NBD()
    h.connect_unix(socket)
    return h


def listed():
    return read_json("attach", "--json")


def attach(*args):
    out = vhdkit("attach", *args).out
    check(out.endswith("\n"), out)
    return out[:-1]


def the_one(seen):
    """What the list says of the only attachment."""
    entry, = listed()
    seen.update(p for p in (entry["server-pid"], entry["client-pid"]) if p)
    return entry


def need_fuse():
    need("nbdfuse")
    need("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("/dev/fuse cannot be used here")


def ended(pid):
    end = time.monotonic() + PATIENCE
    while is_alive(pid):
        check(time.monotonic() < end, f"{pid} lives on")
        time.sleep(0.01)


def worker_of(keeper):
    """The one that serves; the other child opens files for it."""
    done = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(keeper)],
                          check=True, stdout=subprocess.PIPE, text=True)
    pid, = [line.split()[0] for line in done.stdout.splitlines()
            if line.split()[1] == "vhdkitd-worker"]
    return int(pid)


def wait_for_state(seen, state):
    end = time.monotonic() + PATIENCE
    while the_one(seen)["state"] != state:
        check(time.monotonic() < end, f"never {state}: {listed()}")

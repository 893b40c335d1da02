#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Images on file systems that are full, or whose every I/O fails: each call is
done or not done, what was acknowledged is there, and once there is space again
all goes on.  On real ones, of a loop device each, which only root can have.

FS_WHOLE=1 tries everything (make check-fs); without it, a selection."""

import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "functional"))

# pylint: disable=wrong-import-position
from mounttest import goes_with_us, root_or_skip, unmount
from tooltest import MiB, case, run

PROGRAMS = os.path.join(os.environ["BUILDDIR"], "tests", "fs")
WHOLE = os.environ.get("FS_WHOLE", "0") != "0"

# How each is made, and how large: more than the disk, which is to fit once there
# is space.
SYSTEMS = {
    "ext4": (("mkfs.ext4", "-q", "-F"), 128 * MiB),
    "ext4 of 1 KiB": (("mkfs.ext4", "-q", "-F", "-b", "1024"), 128 * MiB),
    "xfs": (("mkfs.xfs", "-q"), 320 * MiB),
    "btrfs": (("mkfs.btrfs", "-q"), 200 * MiB),
    "tmpfs": (None, 128 * MiB),
}
# A write to what is already there takes new space.
COPY_ON_WRITE = ("btrfs",)
# Whose power can be cut from outside; that of the others is cut by going on
# with a copy of their disk.
SHUT_DOWN = ("ext4", "ext4 of 1 KiB", "xfs")
TYPES = ("dynamic", "small", "child", "small-child")
ENDINGS = ("closed", "killed", "cut")
# Enough of each to meet all of them with all file systems.
CHOSEN = {
    "ext4": (("dynamic", "cut"), ("small-child", "closed")),
    "ext4 of 1 KiB": (("small-child", "killed"),),
    "xfs": (("small", "cut"), ("child", "closed")),
    "btrfs": (("dynamic", "killed"),),
    "tmpfs": (("small", "closed"), ("child", "closed")),
}
# Each Nth call, and the random numbers' seed.
FAULTS = {"ext4": (3, 1), "xfs": (3, 2), "btrfs": (3, 3), "tmpfs": (1, 0)}
CHOSEN_FAULTS = {"tmpfs": (41, 0)}


class FileSystem:
    """One on fs/, and a folder of another for what is to survive it."""

    def __init__(self, name):
        self.name = name
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        mkfs, size = SYSTEMS[self.name]
        with self.stack:
            self.mount("state", "-t", "tmpfs", "none")
            if mkfs is None:
                self.mount("fs", "-t", "tmpfs", "-o", f"size={size}", "none")
            else:
                with open("state/disk", "wb") as file:
                    file.truncate(size)
                root_or_skip(*mkfs, "state/disk")
                self.mount("fs", "-o", "loop", "state/disk")
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def mount(self, folder, *what):
        os.makedirs(folder, exist_ok=True)
        root_or_skip("mount", *what, folder)
        self.stack.callback(unmount, os.path.abspath(folder))

    def anew(self):
        """Mounted again."""
        subprocess.run(["umount", "fs"], check=True)
        self.mount("fs", "-o", "loop", "state/disk")

    def copied(self):
        """Another machine finds the disk as it is now."""
        subprocess.run(["cp", "--sparse=always", "state/disk", "state/copy"],
                       check=True)
        subprocess.run(["umount", "fs"], check=True)
        os.rename("state/copy", "state/disk")
        self.mount("fs", "-o", "loop", "state/disk")


def tell(text):
    for line in text.splitlines():
        print("#", line.removeprefix("# "))


def full(fs, step, *args):
    environment = dict(os.environ)
    if fs.name in COPY_ON_WRITE:
        environment["FULL_FLUSH_MAY_FAIL"] = "1"
    done = subprocess.run(
        [os.path.join(PROGRAMS, "full"), step, "fs", "state", *args],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment, encoding="utf-8", errors="replace")
    tell(done.stdout)
    if done.returncode != 0:
        print(f"# ^ in the step '{step}'")
    return done.returncode == 0


def fill_up(name, kind, ending):
    with FileSystem(name) as fs:
        cut = ending == "cut"
        if cut and name not in SHUT_DOWN:
            ending = "killed"
        right = full(fs, "make", kind) and full(fs, "fill", kind, ending)
        if cut and right:
            if ending == "cut":
                fs.anew()
            else:
                fs.copied()
            right = full(fs, "lost", kind)
        # Each of these stands by itself.
        for step in ("full", "trim", "free"):
            right = full(fs, step, kind) and right
        if not right:
            raise AssertionError("see above")


def fail_each(name, step, seed):
    with FileSystem(name):
        with subprocess.Popen(
                [os.path.join(PROGRAMS, "faults"), "fs", "state", str(step),
                 str(seed)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                encoding="utf-8", errors="replace") as faults:
            tell("".join(line for line in faults.stdout
                         if WHOLE or not line.startswith("ok ")))
        if faults.returncode != 0:
            raise AssertionError("see above")


def register():
    for name in SYSTEMS:
        pairs = [(k, e) for k in TYPES for e in ENDINGS
                 if e != "cut" or SYSTEMS[name][0]]
        for kind, ending in pairs if WHOLE else CHOSEN[name]:
            case(f"{name} fills up: {kind}, {ending}")(
                lambda a=(name, kind, ending): fill_up(*a))
    for name, how in (FAULTS if WHOLE else CHOSEN_FAULTS).items():
        case(f"{name}: each I/O fails")(lambda a=(name, *how): fail_each(*a))


goes_with_us()
register()
run()

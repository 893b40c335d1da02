# SPDX-License-Identifier: BSD-2-Clause
"""What the tests that mount something share: that nothing of it outlives them,
however they end.

    goes_with_us()   # before the first case
    run()
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

from fronttest import PATIENCE
from tooltest import Skip, check, need

MARK = "VHDKIT_TEST_MOUNTS"


def quiet(*command):
    """What is done on the way out: whether it was needed does not matter, nor
    whether there is such a program."""
    try:
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pass


def goes_with_us():
    """Root goes on in a mount namespace of its own, whose mounts (and with
    them loop devices) go with its last process, even one that was killed.
    Who is asked to end does so in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.geteuid() != 0 or MARK in os.environ:
        return
    probe = subprocess.run(["unshare", "--mount", "true"], check=False,
                           stderr=subprocess.DEVNULL)
    if probe.returncode == 0:
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--", sys.executable,
                              *sys.argv])


def root_or_skip(*command):
    """What only root can do, and not on every system."""
    if os.geteuid() != 0:
        raise Skip(f"{command[0]} needs root")
    need(command[0])
    done = subprocess.run(command, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Skip(f"{command[0]}: {done.stdout.strip()[-100:]}")
    return done.stdout.strip()


def unmount(path):
    if os.geteuid() == 0:
        quiet("umount", "-l", path)
    else:
        quiet("fusermount3", "-u", "-z", path)


def end(process):
    """A process that may hang, or be stopped."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Disk:
    """d, a file system of its own that can be frozen: whoever writes there
    waits until it is thawed."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        with open("disk", "wb") as f:
            f.truncate(self.size)
        root_or_skip("mkfs.ext4", "-q", "-F", "disk")
        os.mkdir("d")
        root_or_skip("mount", "-t", "ext4", "-o", "loop", "disk", "d")
        try:
            with self.frozen():
                pass
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        unmount(os.path.abspath("d"))

    @staticmethod
    @contextlib.contextmanager
    def frozen():
        root_or_skip("fsfreeze", "--freeze", "d")
        try:
            yield
        finally:
            quiet("fsfreeze", "--unfreeze", "d")

    @staticmethod
    def wait_for(pid):
        """Until a thread of the process waits for the disk."""
        end = time.monotonic() + PATIENCE
        while "D" not in thread_states(pid):
            check(time.monotonic() < end, "nobody waits for the disk")
            time.sleep(0.01)


def thread_states(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            yield f.read().rpartition(")")[2].split()[0]

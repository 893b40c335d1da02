# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of vhdkitd's front share: starting and stopping it, and
talking just enough NBD to see that somebody serves.

    with serving("--unix", "s.sock", image()) as server:
        equal(greeting(connect_unix("s.sock")), GREETING)
"""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import time

from tooltest import MiB, Skip, check, contains
from vhdimage import write_dynamic

VHDKITD = os.environ.get("VHDKITD", "vhdkitd")
GREETING = b"NBDMAGICIHAVEOPT"
PATIENCE = 30  # seconds until something that must happen counts as failed


def image(path="disk.vhd", size=4 * MiB):
    write_dynamic(path, size, {})
    return path


def is_alive(pid):
    """Nobody may have waited for it yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii",
                  errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Server:
    """A running vhdkitd.  Its messages are collected in a file, so that it
    never waits for us to read them."""

    def __init__(self, args, log="vhdkitd.log", **popen):
        self.log_path = os.path.abspath(log)
        self.args = [VHDKITD, *args]
        with open(self.log_path, "wb") as out:
            popen.setdefault("stderr", out)
            popen.setdefault("stdin", subprocess.DEVNULL)
            self.process = subprocess.Popen(self.args, **popen)
        self.pid = self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, seconds=PATIENCE):
        """Waits for a line of the log; returns the match."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log(), flags=re.M)
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"{self.args} ended with status "
                                     f"{self.process.returncode}: "
                                     f"{self.log()}")
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {self.log()!r}")
            time.sleep(0.02)

    def addresses(self):
        return re.findall(r"listening on (.*)$", self.log(), flags=re.M)

    def tcp(self):
        """Host and port of the first TCP address."""
        found = self.wait_for(r"listening on \[?([0-9a-f.:]+?)\]?:(\d+)$")
        return found[1], int(found[2])

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"not ended by signal {number}: "
                                 f"{self.log()}") from None

    def kill(self):
        """kill -9 of the whole.  What serves goes first: it might notice the
        end of the process that was started before the kernel kills it for
        that, and stop in order.  It must not be replaced meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        children = self.children()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + PATIENCE
        while any(map(is_alive, children)):
            check(time.monotonic() < end, f"{children} live on")
            time.sleep(0.001)

    def children(self):
        with contextlib.suppress(OSError), \
                open(f"/proc/{self.pid}/task/{self.pid}/children",
                     encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
        return []

    def worker(self):
        """The process that serves, a child of the one that was started."""
        for child in self.children():
            with contextlib.suppress(OSError), \
                    open(f"/proc/{child}/comm", encoding="ascii") as file:
                if file.read() == "vhdkitd-worker\n":
                    return child
        raise AssertionError(f"no worker: {self.log()}")

    def status(self):
        """/proc/PID/status of the worker as a dictionary."""
        with open(f"/proc/{self.worker()}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file
                        if ":\t" in line)


@contextlib.contextmanager
def serving(*args, status=0, **popen):
    """A server that listens, and that must end with status on SIGTERM.  A
    sanitizer's report makes it end with another."""
    server = Server(args, **popen)
    try:
        server.wait_for(r"listening on ")
        yield server
    except BaseException:
        print("#", server.log().replace("\n", "\n# "))
        server.process.kill()
        server.process.wait()
        raise
    ended = server.stop()
    check(ended == status, f"ended with {ended}, not {status}: "
                           f"{server.log()}")


def refused(*args, status=1, says=(), **popen):
    """A server that must not come up, for a reason that it tells."""
    done = subprocess.run([VHDKITD, *args], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE,
                          check=False, **popen)
    check(done.returncode == status,
          f"{args}: status {done.returncode}, not {status}: {done.stderr}")
    check(done.stdout == "", f"{args} wrote {done.stdout!r}")
    lines = done.stderr.splitlines()
    check(lines and lines[-1].startswith("vhdkitd: error: "),
          f"{args} said {done.stderr!r}")
    for part in [says] if isinstance(says, str) else says:
        contains(done.stderr, part)
    return done.stderr


def connect_tcp(host, port):
    return socket.create_connection((host, port), timeout=PATIENCE)


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return sock


def read_all(sock, length):
    data = b""
    while len(data) < length:
        more = sock.recv(length - len(data))
        if not more:
            break
        data += more
    return data


def greeting(sock):
    """The 16 bytes a server begins with; the flags behind are read too."""
    return read_all(sock, 18)[:16]


def abort(sock):
    """Leaves in order: NBD_OPT_ABORT."""
    sock.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 2, 0))
    read_all(sock, 20)
    sock.close()


def needs_root():
    if os.geteuid() != 0:
        raise Skip("needs root")

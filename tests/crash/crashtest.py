# SPDX-License-Identifier: BSD-2-Clause
"""What the crash proof's tests share: a server that is recorded from inside
(recorder.h), a client that writes down what it asked for and was told, and the
replayer that looks at what power cuts leave.

    run = Recording("child", seed=7)
    with run:
        run.live(Load(requests=300, flush=0.05), kill="40:after")
        run.live(Load(requests=100))
        print(run.replay(images=500))
"""

import atexit
import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "functional"))
import tooltest
from crashclient import (BEGIN, CLOSED, KILLED, MAGIC, PATIENCE, RECORD, SEEN,
                         Client, Died, Load)
from tooltest import KiB, MiB, Skip, check, content, vhdkit

try:
    import nbd
except ImportError:
    nbd = None

BUILD = os.path.join(os.environ.get("BUILDDIR", "."), "tests", "crash")
RECORDER = os.path.join(BUILD, ".libs", "recorder.so")


# Orphans of what we have started become our children.
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def need():
    if nbd is None:
        raise Skip("package python3-libnbd is not installed")
    if os.environ.get("SANITIZE"):
        raise Skip("the recorder is preloaded, which sanitizers do not like")


__all__ = ["KiB", "Load", "Recording", "Skip", "check", "run_cases",
           "uses_ring"]


def run_cases(cases, report=None):
    """Like tooltest's, for cases that are listed by a program."""
    for sentence, function in cases:
        tooltest.case(sentence)(function)
    if report:
        atexit.register(report)
    tooltest.run()


def uses_ring(run):
    """Whether io_uring carried any of the calls."""
    with open(run.path("log"), "rb") as file:
        log = file.read()
    return any(fields[1] == BEGIN and fields[10]
               for fields in RECORD.iter_unpack(log))


class Recording:
    """A folder with an image, its parents, and the log of all its lives."""

    def __init__(self, kind, seed=1, size=2 * MiB, block=16 * KiB,
                 rule="", server=None, options=("--threads", "1")):
        self.kind, self.size, self.block = kind, size, block
        self.random = random.Random(seed)
        self.seed = seed
        self.rule, self.server, self.options = rule, server, options
        self.life = 0
        self.requests = 0
        self.unordered = False  # calls on one place met: no log tells how
        self.how = {}   # what start() is told in each life
        self.busy = {}  # requests that nobody has answered: (off, new)
        self.process = self.handle = self.log = None

    def __enter__(self):
        need()
        base = os.environ.get("TEST_SHM") or None
        self.folder = tempfile.mkdtemp(prefix="vkcrash.", dir=base)
        try:
            self.make_image()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.log, self.content):
            os.close(fd)
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.folder)
        else:
            print("# kept:", self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    # ------------------------------------------------------------- the image

    def make_image(self):
        image = self.path("image.vhd")
        size = ["--size", str(self.size)]
        if self.kind == "fixed":
            vhdkit("create", "--type", "fixed", *size, image)
        elif self.kind == "dynamic":
            vhdkit("create", *size, "--block-size", str(self.block), image)
        else:
            self.make_chain(image, {"child": 1, "deep": 5}[self.kind])
        self.parents = {name: self.digest(name)
                        for name in os.listdir(self.folder)
                        if name.startswith("base")}
        self.begin()

    def begin(self):
        """The recording begins with the image as it is now, all durable."""
        os.mkdir(self.path("journal"), 0o700)
        self.known = bytearray(content(self.path("image.vhd")))
        self.busy = {}
        with open(self.path("disk"), "wb") as file:
            file.write(self.known)
        shutil.copy(self.path("image.vhd"), self.path("image.0"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.log = os.open(self.path("log"), flags, 0o600)
        self.content = os.open(self.path("content"), flags, 0o600)
        self.content_end = 0

    def power_cut(self):
        """The machine loses power somewhere in what was recorded, and a new
        recording begins with what is left."""
        records = os.stat(self.path("log")).st_size // RECORD.size
        self.replayed("--leave", str(self.random.randrange(1, records + 1)))
        for fd in (self.log, self.content):
            os.close(fd)
        for name in os.listdir(self.folder):
            if name.split(".")[0] in ("log", "content", "data", "image"):
                os.unlink(self.path(name))
        shutil.rmtree(self.path("journal"))
        os.rename(self.path("left.vhd"), self.path("image.vhd"))
        self.life = 0
        self.begin()

    def make_chain(self, image, depth):
        below = self.path("base0.vhd")
        vhdkit("create", "--size", str(self.size), "--block-size",
               str(self.block), below)
        for level in range(depth):
            for _ in range(12):
                off = self.random.randrange(self.size // 512) * 512
                length = self.random.choice([512, 4096, 2 * self.block])
                length = min(length, self.size - off)
                vhdkit("write", below, "--offset", str(off),
                       data=self.random.randbytes(8) * (length // 8))
            above = image if level == depth - 1 else \
                self.path(f"base{level + 1}.vhd")
            vhdkit("create", "--parent", below, above)
            below = above

    def digest(self, name):
        with open(self.path(name), "rb") as file:
            return hash(file.read())

    # --------------------------------------------------------------- the log

    def note(self, kind, op=0, ident=0, off=0, length=0, result=0, data=0):
        os.write(self.log, RECORD.pack(MAGIC, kind, op, ident, off, length,
                                       result, data, 0, self.life, 0))

    def keep(self, data):
        """Where these bytes are from now on."""
        at = self.content_end
        os.write(self.content, data)
        self.content_end += len(data)
        return at

    # ------------------------------------------------------------ the server

    def start(self, kill=None, fail=None, delay="300:300:1500:1500", local=True,
              io="auto"):
        self.life += 1
        env = dict(os.environ)
        env.update(
            LD_PRELOAD=RECORDER,
            CRASH_IMAGE=self.path("image.vhd"), CRASH_LOG=self.path("log"),
            CRASH_DATA=self.path(f"data.{self.life}"),
            CRASH_LIFE=str(self.life),
            CRASH_SEED=str(self.random.randrange(1 << 60)),
            CRASH_DELAY=delay, CRASH_BREAK=self.rule,
            VHDKIT_JOURNAL_DIR=self.path("journal"))
        for name, value in (("CRASH_KILL", kill), ("CRASH_FAIL", fail),
                            ("CRASH_LOCAL", "1" if local else None)):
            if value:
                env[name] = value
        self.socket = self.path("s")
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with open(self.path("server.log"), "ab") as out:
            self.process = subprocess.Popen(
                self.command(io), env=env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out)
        self.connect()

    def command(self, io):
        image = self.path("image.vhd")
        if self.server == "nbdkit":
            return ["nbdkit", "-f", "--unix", self.socket,
                    os.environ["VHDKIT_PLUGIN"], image]
        program = os.environ.get("VHDKITD", "vhdkitd")
        if self.rule:
            program = os.path.join(BUILD, "breakable-vhdkitd")
        return [program, "--no-sandbox", "--unix", self.socket, "--io", io,
                *self.options, image]

    def connect(self):
        end = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None:
                raise Died
            try:
                self.handle = nbd.NBD()
                self.handle.connect_unix(self.socket)
                return
            except nbd.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def server_log(self):
        with open(self.path("server.log"), encoding="utf-8",
                  errors="replace") as file:
            return file.read()[-2000:]

    @staticmethod
    def bury():
        """Waits for what a killed server had started to be dead, too."""
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def ended(self, kind):
        """The file as the server left it."""
        self.bury()
        name = self.path(f"image.{self.life}")
        shutil.copy(self.path("image.vhd"), name)
        self.note(kind)
        with open(name, "rb") as file:
            file.seek(-512, os.SEEK_END)
            check(file.read(8) == b"conectix",
                  f"life {self.life} left a file that ends in no footer")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.handle = None
        for word in ("Assertion", "assert"):
            check(word not in self.server_log(), self.server_log())
        self.ended(KILLED)

    def stop(self):
        """True if it ended cleanly."""
        try:
            self.handle.shutdown()
        except nbd.Error:
            pass
        self.handle = None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.ended(CLOSED if status == 0 else KILLED)
        return status == 0

    # ------------------------------------------------------------- one life

    def live(self, load, end="stop", **how):
        """The server lives, serves this load, and ends, perhaps before its
        time.  What the disk holds at its start is compared."""
        self.errors = 0
        try:
            self.start(**{**how, **self.how})
            self.compare()
            Client(self, load).run()
            if load.settle:
                self.compare()
            clean = end == "stop"
        except Died:
            clean = False
            status = self.process.wait(PATIENCE)
            if status != -signal.SIGKILL and not (status == 1 and
                                                  how.get("fail")):
                raise AssertionError("the server ended by itself: " +
                                     self.server_log()) from None
        if clean:
            return self.stop()
        self.kill()
        return False

    def compare(self):
        """Each sector is what is known or, where a request was under way when
        the server died, old or new; from now on we know which."""
        maybe = {}
        for off, new in self.busy.values():
            for i in range(0, len(new), 512):
                maybe.setdefault(off + i, []).append(new[i:i + 512])
        step = 256 * KiB
        for at in range(0, self.size, step):
            try:
                got = self.handle.pread(min(step, self.size - at), at)
            except nbd.Error:
                self.dead_or_raise()
            if got != self.known[at:at + step]:
                self.compare_sectors(got, at, maybe)
        for off in sorted(maybe):
            self.saw(off, bytes(self.known[off:off + 512]))
        self.busy = {}

    def dead_or_raise(self):
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server refused: " +
                                 self.server_log()) from None
        raise Died

    def compare_sectors(self, got, at, maybe):
        for off in range(at, at + len(got), 512):
            now = got[off - at:off - at + 512]
            if now == self.known[off:off + 512]:
                continue
            check(now in maybe.get(off, []),
                  f"live, in life {self.life}: sector {off // 512} is "
                  f"{now[:12].hex()}, not {self.known[off:off + 12].hex()}")
            self.known[off:off + 512] = now

    def saw(self, off, data):
        self.note(SEEN, off=off, length=len(data), data=self.keep(data))

    # --------------------------------------------------------------- replay

    def replay(self, images, *options):
        """How many were opened, and what was wrong with them."""
        for name, digest in self.parents.items():
            check(self.digest(name) == digest, f"{name} was written to")
        if self.unordered:
            return 0, 0, []
        done = self.replayed("--images", str(images), *options)
        lines = done.stdout.splitlines()
        check(done.returncode in (0, 1) and lines,
              f"replay: status {done.returncode}: {done.stdout[-2000:]}"
              f"{done.stderr[-2000:]}")
        words = lines[-1].split()
        return int(words[0]), int(words[6]), lines[:-1]

    def replayed(self, *options):
        program = "breakable-replay" if self.rule else "replay"
        env = dict(os.environ, CRASH_BREAK=self.rule)
        return subprocess.run(
            [os.path.join(BUILD, program), "--seed", str(self.seed), *options,
             self.folder], env=env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=False)

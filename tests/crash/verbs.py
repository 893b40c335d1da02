# SPDX-License-Identifier: BSD-2-Clause
"""Verbs of the tool that change an image in place, recorded from inside as a
server is (crashtest.py), cut off, killed, failed and interrupted."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time

from crashtest import BEGIN, CLOSED, KILLED, RECORD, RECORDER, Recording
from inplacetest import findings, overwrite, write_at
from tooltest import (FAILED, NO_SPACE, KiB, check, content, same_bytes,
                      vhdkit)
from vhdimage import Image

SIZE, BLOCK = 768 * KiB, 16 * KiB
END, CALL_SYNC = 2, 6  # see record.h


def fill(path, rng, zeros=0.5):
    """Blocks in random order; some then hold zeros."""
    blocks = [blk for blk in range(SIZE // BLOCK) if rng.random() < 0.7]
    rng.shuffle(blocks)
    for blk in blocks:
        write_at(path, blk * BLOCK, rng.randbytes(512) * (BLOCK // 512))
    zeroed = [blk for blk in blocks if rng.random() < zeros]
    overwrite(path, {blk * BLOCK: bytes(BLOCK) for blk in zeroed})


def damage(path):
    """The copy of the footer is gone, and the table has entries that are no
    blocks."""
    image = Image(path)
    image.header.entries += 300
    image.bytes[image.header.table_offset + 4 * (image.header.entries - 300):
                image.header.table_offset + 4 * image.header.entries] = \
        bytes(4 * 300)
    image.save()
    with open(path, "r+b") as file:
        file.write(bytes(512))


class Verb(Recording):
    """One image, and a verb that is run on it, or on copies of it.  args: its
    name, and what follows the image.  becomes: the size that it gives the
    disk."""

    watch = "image.vhd"  # the file whose calls are seen
    goes = False  # the image itself

    def __init__(self, kind, args, seed=1, becomes=SIZE):
        super().__init__(kind, seed, SIZE, BLOCK)
        self.args = args
        self.becomes = becomes

    def make_image(self):
        rng = random.Random(self.seed)
        image, base = self.path("image.vhd"), self.path("base0.vhd")
        if self.kind == "fixed":
            vhdkit("create", "--type", "fixed", "--size", str(SIZE), image)
            vhdkit("write", image, data=rng.randbytes(SIZE // 2))
        elif self.kind in ("dynamic", "damaged"):
            vhdkit("create", "--size", str(SIZE), "--block-size", str(BLOCK),
                   image)
            fill(image, rng)
            if self.kind == "damaged":
                damage(image)
        else:
            vhdkit("create", "--size", str(SIZE), "--block-size", str(BLOCK),
                   base)
            fill(base, rng, 0.3)
            vhdkit("create", "--parent", base, image)
            fill(image, rng)
        self.parents = {name: self.digest(name)
                        for name in os.listdir(self.folder)
                        if name.startswith("base")}
        self.begin()

    # ------------------------------------------------------------- running it

    def start(self, delay="", **how):
        self.life += 1
        env = dict(os.environ, LD_PRELOAD=RECORDER,
                   CRASH_IMAGE=self.path(self.watch),
                   CRASH_LOG=self.path("log"),
                   CRASH_DATA=self.path(f"data.{self.life}"),
                   CRASH_LIFE=str(self.life), CRASH_SEED="1",
                   VHDKIT_JOURNAL_DIR=self.path("journal"))
        if delay:
            env["CRASH_DELAY"] = delay
        for name, value in how.items():
            env["CRASH_" + name.upper()] = value
        env["LD_LIBRARY_PATH"] = os.path.join(os.environ["BUILDDIR"], "lib",
                                              ".libs")
        verb, *args = [self.path(arg) if arg.endswith(".vhd") else arg
                       for arg in self.args]
        self.process = subprocess.Popen(
            [self.program(), verb, self.path("image.vhd"), *args], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    @staticmethod
    def program():
        """Past libtool's script, which a signal would not pass."""
        return os.path.join(os.environ["BUILDDIR"], "tool", ".libs", "vhdkit")

    def finish(self):
        """The exit status."""
        out, err = self.process.communicate(timeout=100)
        for word in (b"Assertion", b"Sanitizer"):
            check(word not in out + err, err)
        self.said = err.decode(errors="replace")
        self.ended(CLOSED if self.process.returncode == 0 else KILLED)
        return self.process.returncode

    def run(self, **how):
        self.start(**how)
        return self.finish()

    def calls(self):
        """How many there were so far."""
        with open(self.path("log"), "rb") as file:
            log = file.read()
        return sum(fields[1] == BEGIN for fields in RECORD.iter_unpack(log))

    def cut_log_before_change(self):
        """Up to the sync by which the change of store/redo.h begins: one more
        ends it."""
        with open(self.path("log"), "r+b") as file:
            log = file.read()
            syncs = [at for at, fields in enumerate(RECORD.iter_unpack(log))
                     if fields[1] == END and fields[2] == CALL_SYNC]
            file.truncate((syncs[-2] + 1) * RECORD.size)

    # ---------------------------------------------------------- looking at it

    def same(self, done=True):
        """It is sound, and reads as ever.  done: it has the size that it is to
        have; else that, or the one that it had."""
        path = self.path("image.vhd")
        if not done:
            # Whoever opens it for writing ends what was interrupted; until
            # then nobody reads it.
            if os.path.exists(path + ".vhdkit-redo"):
                vhdkit("write", path, data=b"")
            check(not os.path.exists(path + ".vhdkit-redo"), "it is there yet")
        disk = content(path)
        check(len(disk) == self.becomes or (not done and len(disk) == SIZE),
              f"the disk has {len(disk)} bytes")
        wanted = bytes(self.known) + bytes(max(0, self.becomes - SIZE))
        same_bytes(disk, wanted[:len(disk)], "the disk")
        bad = [f for f in findings(path, (0, 3)) if f["severity"] != "leaked"]
        check(not bad, bad)

    def long_as(self, size, why):
        """The file is no longer than without all that; a resize may leave free
        space in it."""
        now = os.path.getsize(self.path("image.vhd"))
        check(now == size or (now > size and self.becomes != SIZE),
              f"{why}: {now} bytes, not {size}")

    def again(self):
        """The image is what it was at first."""
        shutil.copy(self.path("image.0"), self.path("image.vhd"))
        self.forget()

    def forget(self):
        """What the runs so far have left."""
        for name in os.listdir(self.folder):
            if name.startswith(("data.", "log")) or \
                    name.endswith(("-redo", "-undo")):
                os.unlink(self.path(name))
        os.close(self.log)
        self.log = os.open(self.path("log"),
                           os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for name in os.listdir(self.path("journal")):
            os.unlink(os.path.join(self.path("journal"), name))
        self.life = 0


class Family(Verb):
    """Images of which a verb changes several, or removes one: image.vhd is a
    child of base0.vhd, upper.vhd one of image.vhd, and other.vhd holds something
    else.  goes: image.vhd does, and base0.vhd is then what it was."""

    def __init__(self, watch, args, seed=1, goes=False):
        super().__init__("child", args, seed)
        self.watch = watch
        self.goes = goes

    def make_image(self):
        super().make_image()
        rng = random.Random(self.seed + 1)
        for name, how in (("upper.vhd", ["--parent", self.path("image.vhd")]),
                          ("other.vhd", ["--size", str(SIZE), "--block-size",
                                         str(BLOCK)])):
            vhdkit("create", *how, self.path(name))
            fill(self.path(name), rng)
        os.unlink(self.path("image.0"))  # it looks like another child
        self.first, self.holds = {}, {}
        for name in ("base0.vhd", "image.vhd", "upper.vhd", "other.vhd"):
            with open(self.path(name), "rb") as file:
                self.first[name] = (file.read(),
                                    os.stat(self.path(name)).st_mtime_ns)
            self.holds[name] = content(self.path(name))

    def ended(self, kind):
        self.bury()

    def same(self, done=True):
        for name, data in self.holds.items():
            path = self.path(name)
            if self.goes and name == "image.vhd":
                check(not done or not os.path.exists(path), "it is there yet")
                if not os.path.exists(path):
                    continue
            if self.goes and name == "base0.vhd":
                if not done:
                    continue  # between what it was and what it becomes
                data = self.holds["image.vhd"]
            if not done and os.path.exists(path + ".vhdkit-redo"):
                vhdkit("write", path, data=b"")
            same_bytes(content(path), data, name)
            if done:
                bad = [f for f in findings(path, (0, 3, 4))
                       if f["severity"] == "broken"]
                check(not bad, bad)
        left = [name for name in os.listdir(self.folder)
                if name.endswith("-redo")]
        check(not done or not left, left)

    def long_as(self, size, why):
        """A rebase may leave its child longer."""

    def again(self):
        for name, (data, mtime) in self.first.items():
            with open(self.path(name), "wb") as file:
                file.write(data)
            os.utime(self.path(name), ns=(mtime, mtime))
        self.forget()


def power_cuts(verb, images):
    """(opened, wrong, lines) of what power cuts leave.  What an operation
    changes at last, with its companion's help, is proved with that
    (tests/unit/test-redo.c): the recording ends there."""
    check(verb.run() == 0, verb.said)
    verb.same()
    if verb.becomes != SIZE:
        verb.cut_log_before_change()
    return verb.replay(images)


def whole_run(verb):
    """How many calls it takes, and what is left: the size of the file."""
    check(verb.run() == 0, verb.said)
    verb.same()
    path = verb.path("image.vhd")
    size = os.path.getsize(path) if os.path.exists(path) else 0
    calls = verb.calls()
    verb.again()
    return calls, size


def goes_on(verb, size, why):
    """Once more, and it is as if nothing had been."""
    verb.same(done=False)
    if not (verb.goes and not os.path.exists(verb.path("image.vhd"))):
        check(verb.run() == 0, f"{why}: {verb.said}")
    verb.same()
    verb.long_as(size, why)
    verb.again()


def kills(verb, rounds):
    """Killed at any call, then run once more: as if nothing had been."""
    calls, size = whole_run(verb)
    done = 0
    for turn in range(rounds):
        at = 1 + verb.random.randrange(calls) if rounds < calls \
            else 1 + turn % calls
        when = verb.random.choice(["before", "after", "during"])
        status = verb.run(kill=f"{at}:{when}")
        check(status in (0, -signal.SIGKILL), f"status {status}: {verb.said}")
        done += status != 0
        goes_on(verb, size, f"killed at {at} {when}")
    return done


def failures(verb, most):
    """Each call fails once, for want of space and for good."""
    calls, size = whole_run(verb)
    step = max(1, 2 * calls // most)
    done = 0
    for at in range(1, calls + 1, step):
        for error in (errno.ENOSPC, errno.EIO):
            status = verb.run(fail_at=f"{at}:{error}")
            check(status in (0, FAILED, NO_SPACE),
                  f"status {status}: {verb.said}")
            check(status == 0 or verb.said, "no message")
            done += status != 0
            goes_on(verb, size, f"{error} at {at}")
    return done


def interrupts(verb, rounds):
    """Ctrl-C while it is at work."""
    calls, size = whole_run(verb)
    done = 0
    for turn in range(rounds):
        verb.start(delay="1000:4000:4000:0")
        end = time.monotonic() + 60
        while verb.process.poll() is None and time.monotonic() < end and \
                verb.calls() < calls * turn // rounds:
            time.sleep(0.001)
        verb.process.send_signal(signal.SIGINT)
        status = verb.finish()
        check(status in (0, -signal.SIGINT), f"status {status}: {verb.said}")
        done += status != 0
        goes_on(verb, size, "interrupted")
    return done

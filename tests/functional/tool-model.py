#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The verbs that manage images, one after the other at random, upon a chain,
against a model of what the disk of each image in it holds.

MODEL_STEPS=N   steps in all (default 250)
MODEL_SEED=N    another sequence than the usual one"""

import os
import random
import shutil

from tooltest import (REFUSED, KiB, MiB, case, check, content, equal, program,
                      refused, run, same_bytes, vhdkit)

STEPS = int(os.environ.get("MODEL_STEPS", "250"))
SEED = int(os.environ.get("MODEL_SEED", "11"))
BLOCKS = (4 * KiB, 16 * KiB, 64 * KiB, 512 * KiB, 2 * MiB)
DEPTH = 5
LEAST, MOST = 64 * KiB, 3 * MiB
LOOK_CLOSELY = 8
SOUND, LEAKED = 0, 3


class Level:
    """An image and what its disk must hold."""

    def __init__(self, name, data):
        self.name = name
        self.data = bytearray(data)

    def extended(self, size):
        return (self.data + bytes(max(0, size - len(self.data))))[:size]


class Model:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.number = 0
        self.said = []
        size = self.some_size()
        self.chain = [Level(self.new_name(), bytes(size))]
        self.vhdkit("create", "--size", str(size), *self.some_blocks(),
                    self.top.name)

    @property
    def top(self):
        return self.chain[-1]

    def vhdkit(self, *args, **more):
        self.said.append(" ".join(args))
        return vhdkit(*args, **more)

    def refused(self, *args, **more):
        self.said.append(" ".join(args) + " (refused)")
        return refused(*args, **more)

    # ------------------------------------------------------------ by chance

    def new_name(self, kind="vhd"):
        self.number += 1
        return f"{self.number}.{kind}"

    def some_size(self):
        return self.rng.randrange(LEAST, MOST, 512)

    def some_blocks(self):
        return "--block-size", str(self.rng.choice(BLOCKS))

    def some_level(self, least=0):
        return self.rng.randrange(least, len(self.chain))

    def some_range(self, size):
        """Unaligned, of sectors, or of blocks."""
        unit = self.rng.choice((1, 512, 4 * KiB, 64 * KiB))
        begin = self.rng.randrange(size) // unit * unit
        most = self.rng.choice((1, 5, 40)) * max(unit, 512)
        return begin, min(size, begin + self.rng.randint(unit, most))

    # ----------------------------------------------------------------- steps

    def write_to(self, level):
        begin, end = self.some_range(len(level.data))
        where = "--offset", str(begin), level.name
        kind = self.rng.choice(("bytes", "bytes", "zeros", "hole"))
        data = (self.rng.randbytes(end - begin) if kind == "bytes"
                else bytes(end - begin))
        if kind == "hole":
            with open("hole", "wb") as file:
                file.truncate(len(data))
            self.vhdkit("write", *where, "hole")
            os.remove("hole")
        else:
            self.vhdkit("write", *where, data=data)
        level.data[begin:end] = data

    def write(self):
        for _ in range(self.rng.randint(1, 4)):
            self.write_to(self.top)

    def snapshot(self):
        if len(self.chain) >= DEPTH:
            return
        level = Level(self.top.name, self.top.data)
        if self.rng.random() < 0.5:
            level.name = self.new_name()
            self.vhdkit("snapshot", self.top.name, level.name)
        elif self.rng.random() < 0.5:
            frozen = self.new_name()
            equal(self.vhdkit("snapshot", "--base", frozen, level.name).out,
                  frozen + "\n")
            self.top.name = frozen
        else:
            self.top.name = self.vhdkit("snapshot", level.name).out.strip()
        self.chain.append(level)

    def child(self):
        """Of another size, with other blocks."""
        if len(self.chain) >= DEPTH:
            return
        size = self.some_size()
        level = Level(self.new_name(), self.top.extended(size))
        self.vhdkit("create", "--parent", self.top.name, "--size", str(size),
                    *self.some_blocks(),
                    *self.rng.choice(((), ("--absolute",))), level.name)
        self.chain.append(level)

    def revert(self):
        if len(self.chain) == 1:
            self.refused("revert", self.top.name, says="no parent")
            return
        self.vhdkit("revert", self.top.name)
        below = self.chain[-2]
        self.top.data = below.extended(len(self.top.data))

    def merge(self):
        at = self.some_level()
        level = self.chain[at]
        if at == 0:
            self.refused("merge", level.name, says="no parent")
        elif len(level.data) != len(self.chain[at - 1].data):
            self.refused("merge", level.name, says="as large")
        else:
            self.vhdkit("merge", level.name)
            self.chain[at - 1].data = level.data
            del self.chain[at]

    def lead(self, at, below):
        """Level `at` has a new parent, the last of those below."""
        kept = below + self.chain[at:]
        for level in self.chain:
            if level not in kept:
                os.remove(level.name)
        self.chain = kept

    def replacement(self, at):
        """Another image of the same content as a level, and what it stands
        upon."""
        level = self.chain[at]
        other = Level(self.new_name(), level.data)
        if self.rng.random() < 0.5:
            self.said.append(f"cp {level.name} {other.name}")
            shutil.copy2(level.name, other.name)
            return self.chain[:at] + [other]
        self.vhdkit("convert", "--subformat",
                    self.rng.choice(("fixed", "dynamic")), level.name,
                    other.name)
        return [other]

    def rebase(self):
        at = self.some_level()
        if at == 0:
            return
        below = self.replacement(at - 1)
        how = ["", "--copy"]
        if self.chain[at] is self.top: # its children would be told of it
            how.append("--unchecked")
        args = "rebase", self.rng.choice(how)
        self.vhdkit(*filter(None, args), self.chain[at].name, below[-1].name)
        self.lead(at, below)

    def rebase_changed(self):
        """Onto an ancestor, or onto a parent that was written to."""
        at = self.some_level()
        if at == 0:
            return
        name = self.chain[at].name
        if at > 1 and self.rng.random() < 0.5:
            below = self.chain[:self.rng.randrange(1, at)]
        else:
            below = self.replacement(at - 1)
            for _ in range(self.rng.randint(1, 3)):
                self.write_to(below[-1])
        if self.rng.random() < 0.3:
            self.said.append(f"rebase {name} {below[-1].name} (perhaps)")
            done = vhdkit("rebase", name, below[-1].name, code=None)
            if done.returncode == 0:
                self.lead(at, below)
                return
            equal(done.returncode, REFUSED, "status")
            check("--copy" in done.err, done.err)
        self.vhdkit("rebase", "--copy", name, below[-1].name)
        self.lead(at, below)

    def compact(self):
        self.compact_level(self.chain[self.some_level()])

    def compact_level(self, level):
        fixed = '"type": "fixed"' in vhdkit("info", "--json", level.name).out
        if fixed:
            self.refused("compact", level.name, says="fixed")
            return
        self.vhdkit("compact", level.name)

    def resize(self):
        at = self.some_level()
        level, size = self.chain[at], self.some_size()
        old = len(level.data)
        below = self.chain[at - 1].data if at > 0 else b""
        how = ["--with-children"] if at + 1 < len(self.chain) else []
        if size < old:
            end = len(level.data.rstrip(b"\0"))
            if end < old and self.rng.random() < 0.5:
                size = self.rng.randrange(max(LEAST, -(-end // 512) * 512),
                                          old + 1, 512)
            if size < old:
                self.refused("resize", *how, level.name, str(size),
                             says="smaller")
            how.append("--shrink")
        args = "resize", *how, level.name, str(size)
        if any(level.data[size:]):
            self.refused(*args, says="data")
        elif any(below[old:size]):
            self.refused(*args, says="come to light")
        else:
            self.vhdkit(*args)
            level.data = level.extended(size)

    def convert(self):
        """Out of the chain, and perhaps to go on with that alone."""
        kind = self.rng.choice(("fixed", "dynamic", "raw"))
        other = Level(self.new_name("raw" if kind == "raw" else "vhd"),
                      self.top.data)
        if kind == "raw":
            self.vhdkit("convert", "--format", "raw", self.top.name,
                        other.name)
            raw, other.name = other.name, self.new_name()
            self.vhdkit("create", "--from", raw, "--from-format", "raw",
                        *self.some_blocks(), other.name)
            os.remove(raw)
        else:
            self.vhdkit("convert", "--subformat", kind, self.top.name,
                        other.name)
        self.vhdkit("compare", "--strict", self.top.name, other.name)
        gone = self.chain if self.rng.random() < 0.3 else [other]
        if gone is self.chain:
            self.chain = [other]
        for level in gone:
            os.remove(level.name)

    # --------------------------------------------------------------- looking

    def look(self, closely):
        equal(sorted(os.listdir()), sorted(l.name for l in self.chain),
              "files")
        same_bytes(content(self.top.name), bytes(self.top.data),
                   self.top.name)
        if not closely:
            return
        for level in self.chain:
            same_bytes(content(level.name), bytes(level.data), level.name)
        done = vhdkit("check", self.top.name, code=None)
        check(done.returncode in (SOUND, LEAKED), done.out)
        if shutil.which("qemu-img"):
            self.look_with_qemu(self.chain[0])

    @staticmethod
    def look_with_qemu(level):
        with open("raw", "wb") as file:
            file.write(level.data)
        program("qemu-img", "compare", "-f", "vpc", "-F", "raw", level.name,
                "raw")
        os.remove("raw")

    def step(self, number):
        steps = (self.write, self.write, self.write, self.snapshot,
                 self.snapshot, self.child, self.revert, self.merge,
                 self.merge, self.rebase, self.rebase_changed, self.compact,
                 self.compact, self.resize, self.resize, self.convert)
        try:
            self.rng.choice(steps)()
            self.look(closely=number % LOOK_CLOSELY == 0)
        except Exception:
            print(f"# step {number}; the last commands:")
            for line in self.said[-60:]:
                print("#  ", line)
            raise


@case("a chain keeps its content, whatever is done with its images")
def _():
    print(f"# {STEPS} steps with MODEL_SEED={SEED}")
    model = Model(SEED)
    for number in range(1, STEPS + 1):
        model.step(number)
    model.look(closely=True)


run()

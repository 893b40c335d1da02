# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of verbs that change an image in place share: images with
holes and zeros in them, other programs' images, and what must stay."""

import contextlib
import json
import lzma
import os
import random
import resource
import shutil
import signal
import subprocess

from tooltest import (KiB, MiB, VHDKIT, Skip, check, content, equal, program,
                      read_json, same_bytes, vhdkit)

FOLDER = os.environ.get("VHDKIT_IMAGES")
# Those that stand alone, and a chain.
ALONE = ("govhd-win8", "govhd-vbox", "govhd-xapi", "govhd-qemu",
         "nodevhd-dynamic", "vhdtool-win7dyn", "qemu72-force", "xen-base")
CHAIN = ("xen-base", "xen-child", "xen-grandchild")


def unpack(name):
    if not FOLDER:
        raise Skip("VHDKIT_IMAGES is not set")
    path = f"{name}.vhd"
    with lzma.open(os.path.join(FOLDER, path + ".xz")) as source, \
            open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    return path


def findings(path, status=(0,)):
    """Broken or leaked; notes aside."""
    done = vhdkit("check", "--json", path, code=None)
    got = json.loads(done.stdout)
    check(done.returncode in status,
          f"{path}: status {done.returncode}: {got['findings']}")
    return [f for f in got["findings"] if f["severity"] != "note"]


def sound(path):
    equal(findings(path), [], path)


@contextlib.contextmanager
def killed_writer(path, data):
    """Writes that and is killed at the end, without having flushed."""
    with subprocess.Popen([VHDKIT, "write", path], stdin=subprocess.PIPE
                          ) as writer:
        writer.stdin.write(data + b"?" * MiB * 2)
        writer.stdin.flush()
        yield
        writer.kill()
        writer.wait(timeout=60)


def qemu_content(path):
    """What qemu-img makes of it; None where there is no qemu-img."""
    if not shutil.which("qemu-img"):
        return None
    program("qemu-img", "convert", "-f", "vpc", "-O", "raw", path, "qemu.raw")
    with open("qemu.raw", "rb") as file:
        return file.read()


def write_at(path, off, data):
    vhdkit("write", "--offset", str(off), path, data=data)


def capped(size, *args, kills=False):
    """Runs the tool, which can write to no file past so many bytes: that fails,
    or kills it.  Returns what subprocess.run() does."""

    def cap():
        signal.signal(signal.SIGXFSZ,
                      signal.SIG_DFL if kills else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = subprocess.run([VHDKIT, *args], check=False, preexec_fn=cap,
                          capture_output=True)
    equal(done.returncode, -signal.SIGXFSZ if kills else 1,
          done.stderr.decode())
    return done


def allocated(path):
    return read_json("info", "--json", path)["blocks"]["allocated"]


def holed(path, seed=1, size=4 * MiB, block=64 * KiB, zeros=0.4):
    """A dynamic image written in random order, of which much was then
    overwritten with zeros that take their place all the same."""
    rng = random.Random(seed)
    vhdkit("create", "--size", str(size), "--block-size", str(block), path)
    blocks = [blk for blk in range(size // block) if rng.random() < 0.8]
    rng.shuffle(blocks)
    for blk in blocks:
        write_at(path, blk * block, rng.randbytes(512) * (block // 512))
    zeroed = [blk for blk in blocks if rng.random() < zeros]
    overwrite(path, {blk * block: bytes(block) for blk in zeroed})
    return path


def overwrite(path, pieces):
    """Writes where the disk has its bytes now, past every program.  pieces:
    offset -> bytes."""
    runs = json.loads(vhdkit("map", "--json", path).stdout)
    with open(path, "r+b") as file:
        for off, data in pieces.items():
            left = len(data)
            for run in runs:
                start = max(off, run["start"])
                end = min(off + len(data), run["start"] + run["length"])
                if start >= end:
                    continue
                equal((run["data"], run["depth"]), (True, 0))
                file.seek(run["offset"] + start - run["start"])
                file.write(data[start - off:end - off])
                left -= end - start
            equal(left, 0, "bytes that were not written")


def keeps(path, *args, below=(), qemu=True):
    """The verb leaves the disk as it reads, here, through its children and for
    qemu.  Returns what it printed."""
    before = {name: content(name) for name in (path, *below)}
    other = qemu_content(path) if qemu else None
    got = read_json(*args)
    for name, data in before.items():
        same_bytes(content(name), data, name)
        sound(name)
    if other is not None:
        same_bytes(qemu_content(path), other, f"{path} in qemu")
    return got

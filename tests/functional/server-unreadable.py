#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A page of the image that cannot be read, between pages that can and are in
memory: clients are told, and what else they asked for is answered."""

import contextlib
import errno
import fcntl
import os
import struct

from fronttest import needs_root
from mounttest import Disk, goes_with_us, root_or_skip
from servertest import connect, nbd, need_nbd, served
from tooltest import MiB, case, check, equal, run, vhdkit

PAGE = 4096
FIBMAP = 1
IMAGE = "d/x.vhd"
# Of the range that is read, and of the page in there that is bad.
AT, LENGTH = 4 * MiB, MiB
BAD = AT + LENGTH // 2


def forget(path):
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load_around_bad():
    """Into memory, page by page, so that nothing is read ahead."""
    fd = os.open(IMAGE, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for off in range(AT, AT + LENGTH, PAGE):
        if off != BAD:
            equal(len(os.pread(fd, PAGE, off)), PAGE)
    os.close(fd)


def end_disk_at_bad():
    """The device of the file system does not read past its file's end, if it
    reads by itself."""
    device = root_or_skip("findmnt", "-n", "-o", "SOURCE", "d")
    root_or_skip("losetup", "--direct-io=on", device)
    with open(IMAGE, "rb") as f:
        size = os.fstatvfs(f.fileno()).f_bsize
        block = fcntl.ioctl(f.fileno(), FIBMAP, struct.pack("i", BAD // size))
    os.sync()
    os.truncate("disk", struct.unpack("i", block)[0] * size)


def load_bad():
    fd = os.open(IMAGE, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    try:
        os.pread(fd, PAGE, BAD)
    except OSError as e:
        equal(e.errno, errno.EIO)
    else:
        raise AssertionError("the page can be read")
    finally:
        os.close(fd)


@contextlib.contextmanager
def bad_page():
    """A client of the image, which the server knows already."""
    needs_root()
    need_nbd()
    with Disk(64 * MiB):
        vhdkit("create", "--size", str(16 * MiB), "--type", "fixed", "--full",
               IMAGE)
        with open(IMAGE, "r+b") as f:
            f.write(os.urandom(16 * MiB))
        forget(IMAGE)
        load_around_bad()
        with served("--threads", "1", "--readonly", IMAGE):
            h = connect()
            h.pread(PAGE, AT)
            end_disk_at_bad()
            yield h


def told(h):
    """Asks for the range, and for other things; the error, if any, of the
    first."""
    errors = {}
    for name, length, off in (("range", LENGTH, AT), ("other", PAGE, AT),
                              ("more", LENGTH // 4, AT)):
        h.aio_pread(nbd.Buffer(length), off,
                    lambda e, name=name: errors.update({name: e.value}) or 1)
    while h.aio_is_ready() and h.aio_in_flight() > 0:
        h.poll(-1)
    check(h.aio_is_ready(), "the client has been cut off")
    equal((errors["other"], errors["more"]), (0, 0))
    return errors["range"]


@case("the server has seen that it cannot be read")
def _():
    with bad_page() as h:
        try:
            h.pread(PAGE, BAD)
        except nbd.Error as e:
            equal(e.errnum, errno.EIO)
        else:
            raise AssertionError("the page was read")
        equal(told(h), errno.EIO)
        h.shutdown()


@case("somebody else has: who is cut off by it is told when he comes again")
def _():
    with bad_page() as h:
        load_bad()
        with contextlib.suppress(nbd.Error, AssertionError):
            told(h)
        again = connect()
        equal(told(again), errno.EIO)
        again.shutdown()


goes_with_us()
run()

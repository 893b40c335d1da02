#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where the kernel, or a container's filter, refuses io_uring: threads do the
work, and who insists on io_uring is told."""

import errno
import os
import platform

from callfilter import needs_filter, refusing
from fronttest import refused
from servertest import connect, need_nbd, served
from tooltest import MiB, Skip, case, check, equal, run, vhdkit

IO_URING_SETUP = 425    # on every architecture, but alpha


def needs_refusal():
    if platform.machine() == "alpha":
        raise Skip("io_uring_setup has another number here")
    needs_filter(IO_URING_SETUP)


def forget(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@case("io_uring refused: threads read what is not cached, and write")
def _():
    need_nbd()
    needs_refusal()
    data = os.urandom(8 * MiB)
    vhdkit("create", "--size", "16M", "disk.vhd")
    vhdkit("write", "disk.vhd", data=data)
    for number in (errno.EPERM, errno.ENOSYS):
        forget("disk.vhd")
        with served("--verbose", "disk.vhd",
                    preexec_fn=refusing(IO_URING_SETUP, number)) as server:
            check("io_uring is not to be had" in server.log(),
                  "the filter refused nothing")
            h = connect()
            check(bytes(h.pread(8 * MiB, 0)) == data, "other bytes were read")
            h.pwrite(data[:MiB], 10 * MiB)
            h.flush()
            equal(bytes(h.pread(MiB, 10 * MiB)), data[:MiB])
            h.shutdown()


@case("io_uring refused, and insisted on: an error that says so")
def _():
    needs_refusal()
    vhdkit("create", "--size", "16M", "disk.vhd")
    for number in (errno.EPERM, errno.ENOSYS):
        refused("--unix", "s.sock", "--io", "uring", "disk.vhd",
                says=["io_uring is not to be had", os.strerror(number)],
                preexec_fn=refusing(IO_URING_SETUP, number))


run()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where the kernel, or a container's filter, refuses io_uring: threads do the
work, and who insists on io_uring is told."""

import ctypes
import errno
import os
import platform
import struct

from fronttest import refused
from servertest import connect, need_nbd, served
from tooltest import MiB, Skip, case, check, equal, run, vhdkit

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
IO_URING_SETUP = 425    # on every architecture, but alpha
LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7fff0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refusing(number):
    """What a child runs before it becomes the server: io_uring_setup() fails
    from then on, as in a container."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("=HBBI", *line) for line in (
        (LOAD_NUMBER, 0, 0, 0),
        (JUMP_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, ERRNO | number),
        (RETURN, 0, 0, ALLOW)))
    program = Program(len(code) // 8, code)

    def confine():
        if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
                libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                           ctypes.byref(program), 0, 0) != 0):
            raise OSError(ctypes.get_errno(), "prctl")
    return confine


def needs_filter():
    if platform.machine() == "alpha":
        raise Skip("io_uring_setup has another number here")
    pid = os.fork()
    if pid == 0:
        try:
            refusing(errno.EPERM)()
            libc = ctypes.CDLL(None, use_errno=True)
            libc.syscall(IO_URING_SETUP, 1, None)
            os._exit(0 if ctypes.get_errno() == errno.EPERM else 1)
        except OSError:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        raise Skip("this kernel filters no system calls")


def forget(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@case("io_uring refused: threads read what is not cached, and write")
def _():
    need_nbd()
    needs_filter()
    data = os.urandom(8 * MiB)
    vhdkit("create", "--size", "16M", "disk.vhd")
    vhdkit("write", "disk.vhd", data=data)
    for number in (errno.EPERM, errno.ENOSYS):
        forget("disk.vhd")
        with served("--verbose", "disk.vhd",
                    preexec_fn=refusing(number)) as server:
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
    needs_filter()
    vhdkit("create", "--size", "16M", "disk.vhd")
    for number in (errno.EPERM, errno.ENOSYS):
        refused("--unix", "s.sock", "--io", "uring", "disk.vhd",
                says=["io_uring is not to be had", os.strerror(number)],
                preexec_fn=refusing(number))


run()

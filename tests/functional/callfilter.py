# SPDX-License-Identifier: BSD-2-Clause
"""System calls that fail for a program from its start on, as a container's or a
service's filter makes them fail."""

import ctypes
import errno
import os
import struct

from tooltest import Skip

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7fff0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refusing(call, number):
    """What a child runs before it becomes the server: the call, by its number,
    fails with this error from then on."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("=HBBI", *line) for line in (
        (LOAD_NUMBER, 0, 0, 0),
        (JUMP_EQUAL, 0, 1, call),
        (RETURN, 0, 0, ERRNO | number),
        (RETURN, 0, 0, ALLOW)))
    program = Program(len(code) // 8, code)

    def confine():
        if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
                libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                           ctypes.byref(program), 0, 0) != 0):
            raise OSError(ctypes.get_errno(), "prctl")
    return confine


def needs_filter(call):
    pid = os.fork()
    if pid == 0:
        try:
            refusing(call, errno.EPERM)()
            libc = ctypes.CDLL(None, use_errno=True)
            libc.syscall(call, 1, None)
            os._exit(0 if ctypes.get_errno() == errno.EPERM else 1)
        except OSError:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        raise Skip("this kernel filters no system calls")

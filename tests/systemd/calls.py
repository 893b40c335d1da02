#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which system calls the filter of a service permits, whether or not the kernel
has them: inside.py starts it with vhdkitd.service's settings."""

import ctypes
import errno
import socket

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {"landlock_create_ruleset": (444, None, 0, 1),
         "cachestat": (451, -1, None, None, 0),
         "seccomp": (317, 2, 0, ctypes.create_string_buffer(b"\0\0\0\0"))}

for name, args in CALLS.items():
    number = libc.syscall(*args)
    error = ctypes.get_errno() if number < 0 else 0
    print(f"{name}:", errno.errorcode.get(error) if error in (errno.EPERM,)
          else "permitted", f"({number}, {error})")
try:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    print("socket(AF_VSOCK): permitted")
except OSError as problem:
    # Who may not have a family that there is gets EAFNOSUPPORT; whether there
    # is one the machine's own service finds out.
    print("socket(AF_VSOCK):", problem)

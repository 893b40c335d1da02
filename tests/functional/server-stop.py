#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""SIGTERM under load: every request is answered, what was acknowledged is in
the image, and the image is sound."""

import errno
import os
import random
import signal

from servertest import connect, nbd, need_nbd, served
from tooltest import KiB, MiB, case, check, content, equal, run, vhdkit

SIZE = 32 * MiB


def stop_under_load(seed):
    rng = random.Random(seed)
    known = {}
    errors = []
    with served("disk.vhd") as server:
        h = connect()
        slots = list(range(0, SIZE, 64 * KiB))
        rng.shuffle(slots)
        sent = 0
        try:
            for off in slots:
                while h.aio_in_flight() >= 32:
                    h.poll(-1)
                if sent == 100:
                    os.kill(server.pid, signal.SIGTERM)
                data = rng.randbytes(64) * 1024

                def done(error, off=off, data=data):
                    if error:
                        errors.append(error.value)
                    else:
                        known[off] = data
                    return 1

                h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), off,
                             done)
                sent += 1
            while h.aio_in_flight() > 0:
                h.poll(-1)
        except nbd.Error:
            pass  # the server has gone
        equal(server.wait(), 0, "exit status")
    check(len(known) >= 60, "hardly anything was done")
    for error in errors:
        check(error in (errno.ESHUTDOWN, errno.ENOTCONN), f"error {error}")
    return known


@case("SIGTERM under load")
def _():
    need_nbd()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    for seed in range(3):
        known = stop_under_load(seed)
        got = content("disk.vhd")
        for off, data in known.items():
            check(got[off:off + len(data)] == data,
                  f"what was acknowledged at {off} is not there")
        equal(vhdkit("check", "disk.vhd").returncode, 0)


@case("commands after SIGTERM are told so")
def _():
    need_nbd()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("disk.vhd") as server:
        h = connect()
        h.pwrite(b"a" * 512, 0)
        os.kill(server.pid, signal.SIGTERM)
        told = None
        for _ in range(100000):
            try:
                h.pread(512, 0)
            except nbd.Error as e:
                told = e.errnum
                break
        equal(told, errno.ESHUTDOWN)
        equal(server.wait(), 0, "exit status")


run()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Two clients at once, each with 64 random requests in flight, against a model
of what the disk must hold; through every engine, on every type of image."""

import os
import threading

from servertest import Model, connect, served
from tooltest import KiB, MiB, case, check, content, run, same_bytes, vhdkit

REQUESTS = int(os.environ.get("MODEL_REQUESTS", "10000"))
SIZE = 48 * MiB


def make_dynamic():
    vhdkit("create", "--size", str(SIZE), "--block-size", "512K", "disk.vhd")


def make_fixed():
    vhdkit("create", "--size", str(SIZE), "--type", "fixed", "disk.vhd")


def make_child():
    vhdkit("create", "--size", str(SIZE), "base.vhd")
    with served("base.vhd"):
        h = connect()
        for off in range(0, SIZE, 3 * MiB):
            h.pwrite(os.urandom(64 * KiB) * 16, off)
        h.flush()
        h.shutdown()
    vhdkit("create", "--parent", "base.vhd", "disk.vhd")


def clients(requests, known=None, structured=True):
    """Two, on ranges that lie side by side in the same blocks of the image and
    do not overlap."""
    middle = SIZE // 2 + 12345
    wrong = []

    def client(begin, end, seed):
        try:
            h = connect(structured=structured)
            model = Model(h, begin, end, seed,
                          known=known and known[begin:end])
            models.append(model)
            model.run(requests)
            h.shutdown()
        except Exception as e:  # pylint: disable=broad-except
            wrong.append(f"client of {begin}..{end}: {e}")

    models = []
    threads = [threading.Thread(target=client, args=range_)
               for range_ in ((0, middle, 1), (middle, SIZE, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not wrong, "; ".join(wrong))
    models.sort(key=lambda model: model.begin)
    return b"".join(bytes(model.known) for model in models)


def try_image(*options, requests=REQUESTS, **how):
    known = content("disk.vhd")
    with served(*options, "--threads", "2", "disk.vhd"):
        known = clients(requests, known, **how)
    same_bytes(content("disk.vhd"), known)
    vhdkit("check", "disk.vhd", code=None)
    check(vhdkit("check", "disk.vhd", code=None).returncode in (0, 3),
          "the image is broken")


@case("a dynamic image under two clients")
def _():
    make_dynamic()
    try_image()


@case("a dynamic image under two clients, by threads")
def _():
    make_dynamic()
    try_image("--io", "threads", requests=REQUESTS // 4)


@case("a differencing image under two clients")
def _():
    make_child()
    try_image(requests=REQUESTS // 2)


@case("a fixed image under two clients with simple replies")
def _():
    make_fixed()
    try_image(requests=REQUESTS // 4, structured=False)


run()

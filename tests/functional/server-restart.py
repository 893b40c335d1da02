#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A planned restart is a pause to clients that reconnect: qemu's mirror and
qemu's copies go on with the next server, without an error."""

import contextlib
import json
import os
import subprocess
import time

from fronttest import Server
from qmp import Monitor, wait_for_socket
from tooltest import KiB, MiB, case, check, equal, need, run, same_bytes, \
    vhdkit

SIZE = 48 * MiB
RESTARTS = 3
NBD = {"driver": "nbd", "reconnect-delay": 120,
       "server": {"type": "unix", "path": "s.sock"}}


def start():
    server = Server(["--unix", "s.sock", "disk.vhd"])
    server.wait_for("listening on")
    return server


def restart(server):
    equal(server.stop(), 0, "exit status")
    return start()


def source(path="source.raw"):
    """Data everywhere, and different everywhere."""
    data = b"".join(i.to_bytes(8, "big") * 64 for i in range(SIZE // 512))
    with open(path, "wb") as f:
        f.write(data)
    return data


def job_of(monitor):
    """The mirror's state; the job must be there and without error."""
    for event in monitor.events:
        check(event["event"] != "BLOCK_JOB_ERROR", f"{event}")
        check("error" not in event.get("data", {}), f"{event}")
    jobs = monitor.command("query-block-jobs")
    equal(len(jobs), 1, f"jobs, after {monitor.events}")
    equal(jobs[0]["io-status"], "ok")
    return jobs[0]


@contextlib.contextmanager
def storage_daemon(*nodes):
    command = ["qemu-storage-daemon", "--chardev",
               "socket,id=m,path=qmp.sock,server=on,wait=off",
               "--monitor", "chardev=m"]
    for node in nodes:
        command += ["--blockdev", json.dumps(node)]
    with open("qemu.log", "wb") as log, \
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=log) as process:
        try:
            wait_for_socket("qmp.sock", process, "qemu.log")
            monitor = Monitor("qmp.sock")
            yield monitor
            monitor.close()
        finally:
            process.terminate()


@case("qemu's mirror goes on over restarts")
def _():
    need("qemu-storage-daemon")
    data = source()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    server = start()
    with storage_daemon(
            {"driver": "file", "filename": "source.raw", "node-name": "from"},
            dict(NBD, **{"node-name": "to"})) as qemu:
        qemu.command("blockdev-mirror", **{
            "job-id": "job", "device": "from", "target": "to", "sync": "full",
            "speed": 6 * MiB, "granularity": 64 * KiB, "buf-size": MiB})
        for i in range(1, RESTARTS + 1):
            while job_of(qemu)["offset"] < i * SIZE // (RESTARTS + 2):
                time.sleep(0.02)
            server = restart(server)
        qemu.command("block-job-set-speed", device="job", speed=0)
        while not job_of(qemu)["ready"]:
            time.sleep(0.02)
        qemu.command("block-job-complete", device="job")
        while qemu.command("query-block-jobs"):
            time.sleep(0.02)
        for event in qemu.events:
            check("error" not in event.get("data", {}), f"{event}")
    equal(server.stop(), 0, "exit status")
    same_bytes(vhdkit("read", "disk.vhd").stdout, data)


def busy_copy(*command):
    """A copy that has requests in flight all the time, over restarts."""
    server = start()
    with open("copy.log", "w+", encoding="utf-8") as log, \
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=log) as copy:
        try:
            for _ in range(RESTARTS):
                time.sleep(0.7)
                if copy.poll() is None:
                    server = restart(server)
            copy.wait(100)
        finally:
            copy.kill()
            stopped = server.stop()
            log.seek(0)
            print("# " + log.read().replace("\n", "\n# "))
    equal((copy.returncode, stopped), (0, 0))


def spell(node):
    """As --image-opts wants it."""
    return ("driver=nbd,reconnect-delay=120,server.type=unix,"
            f"server.path={node['server']['path']}")


@case("a copy into the image goes on over restarts")
def _():
    need("qemu-img")
    data = source()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    busy_copy("qemu-img", "convert", "-n", "-r", str(8 * MiB), "-f", "raw",
              "source.raw", "--target-image-opts",
              "driver=raw,file." + spell(NBD).replace(",", ",file."))
    same_bytes(vhdkit("read", "disk.vhd").stdout, data)


@case("a copy out of the image goes on over restarts")
def _():
    need("qemu-img")
    data = source()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    vhdkit("write", "disk.vhd", data=data)
    busy_copy("qemu-img", "convert", "-r", str(8 * MiB), "--image-opts",
              "driver=raw,file." + spell(NBD).replace(",", ",file."),
              "-O", "raw", "target.raw")
    with open("target.raw", "rb") as f:
        same_bytes(f.read(), data)


run()

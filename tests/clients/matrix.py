# SPDX-License-Identifier: BSD-2-Clause
"""What each client does with vhdkitd, an operation a function, and what the
image must then hold.

An image begins with random bytes in DATA and nothing elsewhere.  A function
gets the generation whose programs it is to run, and the server's URI; it runs
them, and looks at what they say.  Whoever called it looks at the image."""

import json
import os
import re
import shutil
import signal
import subprocess

from guest import Guest, Served
from qmp import PATIENCE, Monitor, wait_for_socket
from servertest import SOCKET
from tooltest import KiB, MiB, check, contains, equal, same_bytes

SIZE = 32 * MiB
NAME = "disk"
DATA = (2 * MiB, 6 * MiB)
URI = f"nbd+unix:///{NAME}?socket={SOCKET}"

# Offset, length, byte; across the border of a block, unaligned, long, at the
# very end.
WRITES = [(0, 4 * KiB, 0x11), (10 * MiB - 700, 1400, 0x12),
          (13 * MiB, 3 * MiB, 0x13), (SIZE - 512, 512, 0x14)]
FUA_WRITES = [(3 * MiB, 64 * KiB, 0x21), (20 * MiB + 512, 512, 0x22),
              (24 * MiB + 1, 300, 0x23)]
ZEROES = [(2 * MiB + 4 * KiB, 8 * KiB), (5 * MiB + 77, 700), (4 * MiB, MiB),
          (6 * MiB, 2 * MiB), (28 * MiB, 64 * KiB)]
TRIMS = [(4 * MiB, 2 * MiB), (16 * MiB, 4 * MiB)]

OPERATIONS = ["list", "info", "read", "write", "FUA", "zero", "trim", "status",
              "restart", "kill -9"]
_table = {}


def does(client, operation):
    def register(function):
        _table[client, operation] = function
        return function
    return register


def functions():
    return _table.items()


def expected(operation, content):
    """The image after the operation."""
    after = write_all(content, {"write": WRITES,
                                "FUA": FUA_WRITES}.get(operation, []))
    for off, length in {"zero": ZEROES, "trim": TRIMS}.get(operation, []):
        after[off:off + length] = bytes(length)
    return bytes(after)


def plan(operation, **more):
    """The operation for ops.py."""
    more.setdefault("writes", FUA_WRITES if operation == "fua" else WRITES)
    more["ranges"] = TRIMS if operation == "trim" else ZEROES
    return [operation, json.dumps(more)]


def write_all(content, writes):
    after = bytearray(content)
    for off, length, byte in writes:
        after[off:off + length] = bytes([byte]) * length
    return after


def end(process):
    if process and process.poll() is None:
        process.kill()
        process.wait()


def runs_of_image():
    return [(0, DATA[0], 3), (DATA[0], DATA[1], 0),
            (DATA[0] + DATA[1], SIZE - DATA[0] - DATA[1], 3)]


# ------------------------------------------------------------------------ qemu

def qemu_io(g, *commands, options=()):
    words = [w for command in commands for w in ("-c", command)]
    done = g.run("qemu-io", "-f", "raw", *options, *words, URI)
    for word in ("failed", "error", "Pattern verification"):
        check(word not in done.out + done.err, done.out + done.err)


@does("qemu", "list")
def qemu_list(g, _):
    done = g.run("qemu-nbd", "-L", "-k", g.here(SOCKET))
    contains(done.out, f"export: '{NAME}'")


@does("qemu", "info")
def qemu_info(g, _):
    done = g.run("qemu-img", "info", "-f", "raw", "--output=json", URI)
    equal(json.loads(done.out)["virtual-size"], SIZE)


@does("qemu", "read")
def qemu_read(g, content):
    g.run("qemu-img", "convert", "-f", "raw", "-O", "raw", URI, "copy.raw")
    with open("copy.raw", "rb") as file:
        same_bytes(file.read(), content, "qemu-img's copy")


@does("qemu", "write")
def qemu_write(g, _):
    qemu_io(g, *(f"{verb} -P {byte} {off} {length}"
                 for off, length, byte in WRITES for verb in ("write", "read")),
            "flush")


@does("qemu", "FUA")
def qemu_fua(g, _):
    qemu_io(g, *(f"write -f -P {byte} {off} {length}"
                 for off, length, byte in FUA_WRITES))


@does("qemu", "zero")
def qemu_zero(g, _):
    qemu_io(g, *(f"write -z {'-u' if i % 2 else ''} {off} {length}"
                 for i, (off, length) in enumerate(ZEROES)),
            *(f"read -P 0 {off} {length}" for off, length in ZEROES))


@does("qemu", "trim")
def qemu_trim(g, _):
    qemu_io(g, *(f"discard {off} {length}" for off, length in TRIMS), "flush",
            options=["-d", "unmap"])


@does("qemu", "status")
def qemu_status(g, _):
    done = g.run("qemu-img", "map", "-f", "raw", "--output=json", URI)
    runs = [(e["start"], e["length"], 0 if e["data"] else 3)
            for e in json.loads(done.out)]
    equal(runs, runs_of_image(), "qemu-img map")


def mirror(g, number, image, content):
    """A guest's disk is mirrored to vhdkitd, first in the background, then
    with each write; vhdkitd goes and comes three times meanwhile.  Neither the
    guest nor the mirror sees an error, and the image is the guest's disk."""
    with open("guest.raw", "wb") as file:
        file.write(content[::-1])
    served = Served(f"{NAME}={image}")
    qemu = monitor = None
    try:
        qemu = start_qemu(g)
        monitor = Monitor("qmp.sock")
        monitor.command("blockdev-mirror", **{
            "job-id": "mirror", "device": "guest", "target": "target",
            "sync": "full", "speed": MiB, "copy-mode": "write-blocking"})
        guest = Guest("guest.sock", SIZE, 1, "guest", content[::-1])
        guest.work(200, [100], lambda: served.restart(number))
        monitor.command("block-job-set-speed", device="mirror", speed=0)
        check_event(monitor.wait_for("BLOCK_JOB_READY", *FAILURES))
        guest.work(400, [100, 300], lambda: served.restart(number))
        guest.h.shutdown()
        monitor.command("block-job-cancel", device="mirror")
        check_event(monitor.wait_for("BLOCK_JOB_COMPLETED", *FAILURES))
        monitor.command("quit")
        equal(qemu.wait(PATIENCE), 0, "exit status of qemu-storage-daemon")
        served.stop()
    finally:
        if monitor:
            monitor.close()
        end(qemu)
        served.kill()
    equal(served.starts, 4, "starts of vhdkitd")
    with open("guest.raw", "rb") as file:
        return file.read()


FAILURES = ["BLOCK_JOB_ERROR", "BLOCK_JOB_CANCELLED"]


def check_event(event):
    check(event["event"] not in FAILURES and "error" not in event["data"],
          event)


def start_qemu(g):
    qemu = g.start(
        "qemu-storage-daemon",
        "--chardev", "socket,path=qmp.sock,server=on,wait=off,id=qmp",
        "--monitor", "chardev=qmp",
        "--blockdev", "driver=file,filename=guest.raw,node-name=guest",
        "--blockdev", f"driver=nbd,server.type=unix,server.path={SOCKET},"
        f"export={NAME},reconnect-delay=120,node-name=target",
        "--nbd-server", "addr.type=unix,addr.path=guest.sock",
        "--export", "type=nbd,id=guest,node-name=guest,writable=on",
        log="qemu.log")
    try:
        for path in ("qmp.sock", "guest.sock"):
            wait_for_socket(path, qemu, "qemu.log")
    except BaseException:
        end(qemu)
        raise
    return qemu


# ---------------------------------------------------------------------- libnbd

def bring_ops():
    shutil.copy(os.path.join(os.path.dirname(__file__), "ops.py"), ".")


def ops(g, operation, **more):
    bring_ops()
    return g.run(g.python, "ops.py", URI, *plan(operation, **more)).out


def check_info(text):
    info = json.loads(text)
    equal(info["size"], SIZE)
    check(not info["readonly"] and info["fua"] and info["trim"] and
          info["zero"], info)


def check_status(text):
    equal([tuple(run) for run in json.loads(text)], runs_of_image(),
          "block status")


@does("libnbd", "list")
def libnbd_list(g, _):
    done = g.run("nbdinfo", "--list", "--json", URI)
    equal([e["export-name"] for e in json.loads(done.out)["exports"]], [NAME])


@does("libnbd", "info")
def libnbd_info(g, _):
    equal(int(g.run("nbdinfo", "--size", URI).out), SIZE)
    check_info(ops(g, "info"))


@does("libnbd", "read")
def libnbd_read(g, content):
    g.run("nbdcopy", URI, "copy.raw")
    ops(g, "read", file="read.raw")
    for name in ("copy.raw", "read.raw"):
        with open(name, "rb") as file:
            same_bytes(file.read(), content, name)


@does("libnbd", "write")
def libnbd_write(g, content):
    """All of it by nbdcopy, then some."""
    with open("copy.raw", "wb") as file:
        file.write(content)
    g.run("nbdcopy", "copy.raw", URI)
    ops(g, "write")


@does("libnbd", "status")
def libnbd_status(g, _):
    check_status(ops(g, "status"))
    done = g.run("nbdinfo", "--map", "--json", URI)
    runs = [(e["offset"], e["length"], e["type"])
            for e in json.loads(done.out)]
    equal(runs, runs_of_image(), "nbdinfo --map")


def reconnecting(g, number, image, content):
    """A program writes while vhdkitd goes and comes; it connects again by
    itself, and no write gets an error for an answer."""
    writes = [(i * 173 % 512 * 64 * KiB, (1 + i % 16) * 4 * KiB, 1 + i % 255)
              for i in range(400)]
    served = Served(f"{NAME}={image}")
    client = None
    try:
        bring_ops()
        client = g.start(g.python, "ops.py", URI,
                         *plan("last", writes=writes, restarts=[100, 250]),
                         log="ops.log", stdout=subprocess.PIPE)
        for line in client.stdout:
            equal(line, b"restart\n")
            served.restart(number)
        with open("ops.log", encoding="utf-8") as file:
            status = client.wait(PATIENCE)
            equal((status, file.read()), (0, ""), "the program's end")
        served.stop()
    finally:
        if client:
            client.stdout.close()
        end(client)
        served.kill()
    equal(served.starts, 3, "starts of vhdkitd")
    return bytes(write_all(content, writes))


# ---------------------------------------------------------------------- nbdkit

def through_nbdkit(g, operation, **more):
    """The same, through nbdkit as a client of vhdkitd."""
    bring_ops()
    words = plan(operation, **more)
    g.need("nbdkit")
    return g.run("nbdkit", "-U", "-", "nbd", URI, "--run",
                 f"{g.python} ops.py $uri {words[0]} '{words[1]}'").out


@does("nbdkit", "info")
def nbdkit_info(g, _):
    check_info(through_nbdkit(g, "info"))


@does("nbdkit", "read")
def nbdkit_read(g, content):
    through_nbdkit(g, "read", file="read.raw")
    with open("read.raw", "rb") as file:
        same_bytes(file.read(), content, "read.raw")


@does("nbdkit", "status")
def nbdkit_status(g, _):
    check_status(through_nbdkit(g, "status"))


def does_by(client, operation, way):
    """Nothing but the operation, as ops.py does it."""
    @does(client, operation)
    def _(g, _):
        way(g, operation.lower())


for changing in ("FUA", "zero", "trim"):
    does_by("libnbd", changing, ops)
    does_by("nbdkit", changing, through_nbdkit)
does_by("nbdkit", "write", through_nbdkit)


def proxy(g, number, image, content):
    """A guest whose disk nbdkit has from vhdkitd, which goes and comes; its
    retry filter connects again."""
    served = Served(f"{NAME}={image}")
    nbdkit = None
    try:
        nbdkit = g.start("nbdkit", "-f", "-U", "guest.sock",
                         "--filter=retry", "nbd", URI, "retry=100",
                         "retries=100", "retry-delay=1",
                         "retry-exponential=no", log="nbdkit.log")
        wait_for_socket("guest.sock", nbdkit, "nbdkit.log")
        guest = Guest("guest.sock", SIZE, 1, "", content)
        guest.work(400, [100, 300], lambda: served.restart(number))
        guest.h.shutdown()
        nbdkit.terminate()
        equal(nbdkit.wait(PATIENCE), 0, "exit status of nbdkit")
        served.stop()
    finally:
        end(nbdkit)
        served.kill()
    equal(served.starts, 3, "starts of vhdkitd")
    return bytes(guest.known)


# What takes the server away by itself, and returns what the image must hold.
LASTING = {
    (client, operation): (function, number)
    for client, function in (("qemu", mirror), ("libnbd", reconnecting),
                             ("nbdkit", proxy))
    for operation, number in (("restart", signal.SIGTERM),
                              ("kill -9", signal.SIGKILL))
}


# ------------------------------------------------------------------ nbd-client

@does("nbd-client", "list")
def nbd_client_list(g, _):
    contains(g.run("nbd-client", "-l", "-u", SOCKET).out, f"\n{NAME}\n")


@does("nbd-client", "info")
def nbd_client_info(g, _):
    """The device is none: it gets so far, and reading and writing is the
    kernel's."""
    done = g.run("nbd-client", "-L", "-n", "-u", SOCKET, "-N", NAME,
                 "/dev/null", code=1)
    found = re.search(r"size = (\d+)MB", done.out)
    check(found and int(found[1]) == SIZE // MiB, done.out + done.err)

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What vhdkitd gives up after its start, and that it still works then."""

import ctypes
import errno
import os
import platform
import pwd
import stat
import subprocess
import tempfile

from callfilter import needs_filter, refusing
from fronttest import PATIENCE, image, needs_root, refused, serving
from tooltest import (MiB, Skip, case, check, content, contains, equal, need,
                      program, run, same_bytes, vhdkit)


def uri(name=""):
    return f"nbd+unix:///{name}?socket=" + os.path.abspath("s.sock")


def has_landlock():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(444, None, ctypes.c_size_t(0), 1) > 0


def read_and_write():
    data = os.urandom(4 * MiB)
    with open("in.raw", "wb") as file:
        file.write(data)
    program("nbdcopy", "in.raw", uri())
    program("nbdcopy", "--flush", uri(), "out.raw")
    with open("out.raw", "rb") as file:
        same_bytes(file.read(), data)
    return data


@case("no new privileges and a filter, unless switched off")
def _():
    with serving("--unix", "s.sock", image()) as server:
        status = server.status()
        equal(status["NoNewPrivs"], "1")
        if status["Seccomp"] != "2":
            raise Skip("this build or kernel has no seccomp")
    with serving("--unix", "s.sock", "--no-seccomp", "disk.vhd") as server:
        equal(server.status()["NoNewPrivs"], "1")
        equal(server.status()["Seccomp"], "0")
    with serving("--unix", "s.sock", "--no-sandbox", "disk.vhd") as server:
        equal(server.status()["NoNewPrivs"], "0")
        equal(server.status()["Seccomp"], "0")


SYS_CHROOT, SYS_ADMIN = 1 << 18, 1 << 21  # capabilities


def capabilities(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1], 16) for line in file
                    if line.startswith("CapPrm:"))


@case("root's power is given up in each process, but for a little")
def _():
    needs_root()
    with serving("--unix", "s.sock", image()) as server:
        for pid in (server.pid, *server.children()):
            equal(capabilities(pid) & (SYS_CHROOT | SYS_ADMIN), 0)
    with serving("--unix", "s.sock", "--no-sandbox", "disk.vhd") as server:
        for pid in (server.pid, *server.children()):
            equal(capabilities(pid), capabilities("self"))


@case("a filter that forbids capset() is in nobody's way")
def _():
    number = {"x86_64": 126, "aarch64": 91}.get(platform.machine())
    if not number:
        raise Skip("which number capset() has here is not known")
    needs_filter(number)
    told = ("going on with capabilities: cannot give up capabilities: "
            "Operation not permitted")
    with serving("--unix", "s.sock", image(),
                 preexec_fn=refusing(number, errno.EPERM)) as server:
        program("nbdinfo", "--size", uri())
        equal(told in server.log(), capabilities("self") != 0)


@case("every thread is confined")
def _():
    with serving("--unix", "s.sock", "--threads", "3", "--io", "threads",
                 image()) as server:
        program("nbdinfo", "--size", uri())
        worker = server.worker()
        tasks = os.listdir(f"/proc/{worker}/task")
        check(len(tasks) >= 4, f"{len(tasks)} threads")
        for task in tasks:
            with open(f"/proc/{worker}/task/{task}/status",
                      encoding="ascii") as file:
                contains(file.read(), "NoNewPrivs:\t1")


@case("both engines read and write with every lock closed")
def _():
    for engine in ("uring", "threads", "auto"):
        image()
        try:
            with serving("--unix", "s.sock", "--io", engine, "disk.vhd"):
                data = read_and_write()
        except AssertionError as error:
            if engine == "uring" and "io_uring" in str(error):
                continue
            raise
        same_bytes(content("disk.vhd"), data)


@case("landlock: a link out of the directory is a closed door")
def _():
    if not has_landlock():
        raise Skip("this kernel has no landlock")
    os.mkdir("inside")
    os.mkdir("outside")
    image("inside/good.vhd")
    image("outside/secret.vhd")
    os.symlink("../outside/secret.vhd", "inside/link.vhd")
    with serving("--unix", "s.sock", "inside"):
        program("nbdinfo", "--size", uri("good"))
        done = program("nbdinfo", "--size", uri("link"), code=None)
        check(done.returncode != 0, "the link was served")
    with serving("--unix", "s.sock", "--no-landlock", "inside"):
        program("nbdinfo", "--size", uri("link"))


@case("landlock: another user's link among the journals' folders opens nothing")
def _():
    if not has_landlock():
        raise Skip("this kernel has no landlock")
    os.mkdir("inside")
    image("inside/good.vhd")
    trap = f"/dev/shm/vhdkit-{2**32 - 3}"
    if os.path.islink(trap):  # of a test that was killed
        os.unlink(trap)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as outside:
        image(f"{outside}/secret.vhd")
        os.symlink(f"{outside}/secret.vhd", "inside/link.vhd")
        for target in ("/", outside):
            os.symlink(target, trap)
            try:
                with serving("--unix", "s.sock", "inside"):
                    program("nbdinfo", "--size", uri("good"))
                    done = program("nbdinfo", "--size", uri("link"),
                                   code=None)
                    check(done.returncode != 0, f"{target} is open")
            finally:
                os.unlink(trap)


@case("an image that is itself a link is served")
def _():
    os.mkdir("far")
    image("far/real.vhd")
    os.symlink("far/real.vhd", "near.vhd")
    with serving("--unix", "s.sock", "near.vhd"):
        data = read_and_write()
    same_bytes(content("far/real.vhd"), data)


@case("images that come later are served from inside the sandbox")
def _():
    os.mkdir("d")
    image("d/first.vhd")
    with serving("--unix", "s.sock", "d"):
        program("nbdinfo", "--size", uri("first"))
        image("d/second.vhd", 8 * MiB)
        equal(int(program("nbdinfo", "--size", uri("second")).out), 8 * MiB)


@case("parents below --root are read, those elsewhere are refused")
def _():
    os.mkdir("base")
    os.mkdir("child")
    image("base/parent.vhd")
    vhdkit("create", "--parent", "base/parent.vhd", "--root", "base",
           "child/c.vhd")
    with serving("--unix", "s.sock", "--root", "base", "child/c.vhd"):
        read_and_write()
    refused("--unix", "s.sock", "child/c.vhd", says="parent")


@case("who holds a busy image is named in spite of the sandbox")
def _():
    need("qemu-io")
    holder = subprocess.Popen(["qemu-io", "-f", "vpc", image()],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdin.write(b"length\n")
        holder.stdin.flush()
        holder.stdout.readline()
        refused("--unix", "s.sock", "disk.vhd",
                says=["disk.vhd", f"pid {holder.pid}"])
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait(PATIENCE)
    with serving("--unix", "s.sock", "disk.vhd"):
        pass


@case("what a loop device has is seen to be in use in spite of the sandbox")
def _():
    need("losetup")
    disk = image()
    done = program("losetup", "--find", "--show", disk, code=None)
    if done.returncode != 0:
        raise Skip(f"no loop device: {done.err.strip()}")
    device = done.out.strip()
    try:
        refused("--unix", "s.sock", disk,
                says=[disk, f"held for writing by the loop device {device}"])
    finally:
        program("losetup", "--detach", device)


@case("the journal's folder can be used, and is empty at the end")
def _():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o700)
        environment = dict(os.environ, VHDKIT_JOURNAL_DIR=folder)
        with serving("--unix", "s.sock", image(), env=environment):
            journals = os.listdir(folder)
            equal(len(journals), 1, f"journals in use: {journals}")
            read_and_write()
        equal(os.listdir(folder), [], "after the end")


@case("--user: another user and group, no others, and no way back")
def _():
    needs_root()
    nobody = pwd.getpwnam("nobody")
    # The folders above belong to root; the images to nobody.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        path = os.path.join(folder, "disk.vhd")
        image(path)
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with serving("--unix", "s.sock", "--unix-mode", "600", "--user",
                     "nobody", "--pid-file", "pid", path) as server:
            status = server.status()
            equal(status["Uid"].split(), [str(nobody.pw_uid)] * 4)
            equal(status["Gid"].split(), [str(nobody.pw_gid)] * 4)
            equal(status["Groups"].split(), [])
            equal(int(status["CapEff"], 16), 0)
            equal(int(status["CapPrm"], 16), 0)
            info = os.stat("s.sock")
            equal((info.st_uid, info.st_gid),
                  (nobody.pw_uid, nobody.pw_gid))
            equal(stat.S_IMODE(info.st_mode), 0o600)
            data = read_and_write()
        same_bytes(content(path), data)
        with serving("--unix", os.path.join(folder, "n.sock"), "--user",
                     str(nobody.pw_uid), "--group", "0", path) as server:
            equal(server.status()["Gid"].split(), ["0"] * 4)
        check(not os.path.exists(os.path.join(folder, "n.sock")),
              "removed by its owner")


@case("--user by somebody who is not root is refused")
def _():
    needs_root()
    need("setpriv")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        path = os.path.join(folder, "disk.vhd")
        image(path)
        os.chmod(path, 0o666)
        done = program("setpriv", "--reuid=65534", "--regid=65534",
                       "--clear-groups", os.environ["VHDKITD"], "--unix",
                       os.path.join(folder, "s.sock"), "--user", "root",
                       path, code=None)
        check(done.returncode != 0, "became root")
        if done.returncode in (126, 127):
            raise Skip("the build is not readable for others")
        contains(done.err, "error: --user: only root")


run()

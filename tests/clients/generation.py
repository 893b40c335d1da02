# SPDX-License-Identifier: BSD-2-Clause
"""A generation of NBD clients: those that are installed here, or those of a
root that make-root has made.  Programs of a root run in it by chroot, with the
case's folder as /mnt and as their working directory, in mounts of their own
that end with them; their process is the one that was started."""

import os
import re
import subprocess
import sys

from tooltest import Skip, program

BUILDDIR = os.environ.get("BUILDDIR", ".")
IN_ROOT = """
  mount --bind "$PWD" "$1/mnt" && mount --rbind /proc "$1/proc" &&
  mount --rbind /dev "$1/dev" || exit 126
  root=$1; shift
  exec chroot "$root" env -C /mnt PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""
PACKAGES = {"qemu-img": "qemu-utils", "qemu-io": "qemu-utils",
            "qemu-nbd": "qemu-utils",
            "qemu-storage-daemon": "qemu-system-common",
            "nbdinfo": "libnbd-bin", "nbdcopy": "libnbd-bin",
            "nbdkit": "nbdkit", "nbd-client": "nbd-client"}
VERSIONS = {"qemu": ("qemu-img", "--version"),
            "libnbd": ("nbdinfo", "--version"),
            "nbdkit": ("nbdkit", "--version"),
            "nbd-client": ("nbd-client", "-V")}


class Generation:
    """The clients that are installed."""

    name = "installed"
    python = sys.executable  # which has the nbd module
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

    def argv(self, args):
        return list(args)

    def here(self, name):
        """A file of the case's folder, absolute, as its programs see it."""
        return os.path.abspath(name)

    def find(self, name):
        for folder in self.path.split(":"):
            if os.access(self.place(folder, name), os.X_OK):
                return True
        return False

    def place(self, folder, name):
        return os.path.join(folder, name)

    def need(self, *names):
        for name in names:
            if not self.find(name):
                raise Skip(f"package {PACKAGES.get(name, name)} is not "
                           "installed")

    def environment(self):
        return dict(os.environ, PATH=self.path)

    def run(self, *args, code=0, **more):
        """Runs one of its programs to its end."""
        if args[0] != self.python:
            self.need(args[0])
        return program(*self.argv(args), code=code, env=self.environment(),
                       **more)

    def start(self, *args, log, stdout=None):
        """Starts one; what it says goes to the file log."""
        if args[0] != self.python:
            self.need(args[0])
        with open(log, "wb") as out:
            return subprocess.Popen(self.argv(args), stdin=subprocess.DEVNULL,
                                    stdout=stdout or out, stderr=out,
                                    env=self.environment())

    def version(self, client):
        args = VERSIONS[client]
        if not self.find(args[0]):
            return "-"
        done = self.run(*args, code=None)
        found = re.search(r"(\d+\.\d+(\.\d+)?)", done.out + done.err)
        return found[1] if found else "?"


class Debian13(Generation):
    """Those of the root in the build tree."""

    name = "Debian 13's"
    python = "/usr/bin/python3"
    path = "/usr/sbin:/usr/bin:/sbin:/bin"

    def __init__(self):
        self.folder = os.path.join(BUILDDIR, "tests", "clients", "debian13")
        self.root = os.path.join(self.folder, "debian")

    def argv(self, args):
        return ["unshare", "-m", "sh", "-c", IN_ROOT, "sh", self.root, *args]

    def here(self, name):
        return os.path.join("/mnt", name)

    def place(self, folder, name):
        return self.root + os.path.join(folder, name)

    def environment(self):
        return dict(os.environ)

    def missing(self):
        """Why it is not there, or None."""
        if os.path.exists(os.path.join(self.folder, "stamp")):
            if os.geteuid() != 0:
                return "a root of Debian 13 can be entered by root only"
            done = subprocess.run(self.argv(["true"]), capture_output=True,
                                  text=True, check=False)
            return done.stderr.strip() if done.returncode else None
        try:
            with open(self.folder + ".why", encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return "no root of Debian 13; make check-clients makes one"

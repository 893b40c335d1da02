# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the control socket share: a server that has one, and
somebody who speaks at it.

    with controlled(f"web={image()}") as server:
        equal(Control().ask("status")["exports"], 1)
"""

import contextlib
import json
import os
import socket

from fronttest import PATIENCE, serving
from rawclient import SOCKET
from tooltest import Skip, check

CONTROL = "control.sock"
NOBODY = 65534


class Refused(Exception):
    """An error's class, and its text."""

    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['text']}")
        self.kind = error["class"]
        self.text = error["text"]


class Control:
    """A line at a time, with an id of its own for each request."""

    def __init__(self, path=CONTROL):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        self.reader = self.sock.makefile("rb")
        self.last = 0
        self.greeting = self.line()

    def line(self):
        """The next line; None at the end."""
        try:
            text = self.reader.readline()
        except ConnectionResetError:  # there was more that it has not read
            text = b""
        return json.loads(text) if text else None

    def send(self, verb, **args):
        self.last += 1
        request = {"id": self.last, "verb": verb}
        if args:
            request["args"] = args
        self.sock.sendall(json.dumps(request).encode() + b"\n")
        return self.last

    def say(self, data):
        self.sock.sendall(data)

    def answer(self, number):
        """The answer to a request; what comes before it is left out."""
        while True:
            line = self.line()
            check(line is not None, "the server has hung up")
            if line.get("id") != number:
                continue
            if "error" in line:
                raise Refused(line["error"])
            if "result" in line:
                return line["result"]

    def ask(self, verb, **args):
        return self.answer(self.send(verb, **args))

    def error(self, number):
        """The error that the request must be answered with."""
        try:
            result = self.answer(number)
        except Refused as why:
            return why
        raise AssertionError(f"the answer is {result}")

    def refusal(self, verb, **args):
        """The same of a request that is sent now."""
        return self.error(self.send(verb, **args))

    def close(self):
        self.reader.close()
        self.sock.close()


@contextlib.contextmanager
def controlled(*args, **popen):
    with serving("--unix", SOCKET, "--control", CONTROL, *args,
                 **popen) as server:
        server.wait_for("taking commands on ")
        yield server


@contextlib.contextmanager
def as_user(uid, gid=NOBODY, groups=()):
    """Whoever connects meanwhile is that user, who may go into this folder."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    os.chmod(".", 0o755)
    os.chmod("..", 0o755)
    mine = os.getegid(), os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(mine[0])
        os.setgroups(mine[1])

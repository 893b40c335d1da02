# SPDX-License-Identifier: BSD-2-Clause
"""qemu's monitor, as QMP has it; and waiting until a program listens."""

import json
import socket
import time

from tooltest import check

PATIENCE = 120  # seconds; a busy machine is no failure


def wait_for_socket(path, process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return
        except OSError:
            pass
        finally:
            sock.close()
        if process.poll() is not None:
            break
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise AssertionError(f"nobody listens on {path}: {file.read()}")


class Monitor:
    """qemu's, as QMP has it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")
        self.events = []
        json.loads(self.file.readline())  # the greeting
        self.command("qmp_capabilities")

    def _message(self):
        line = self.file.readline()
        check(line, "qemu closed its monitor")
        return json.loads(line)

    def command(self, name, **arguments):
        text = json.dumps({"execute": name, "arguments": arguments})
        self.sock.sendall(text.encode() + b"\n")
        while True:
            message = self._message()
            if "event" in message:
                self.events.append(message)
                continue
            check("return" in message, f"{name}: {message.get('error')}")
            return message["return"]

    def wait_for(self, *names):
        """The first event of these names."""
        while True:
            for i, event in enumerate(self.events):
                if event["event"] in names:
                    return self.events.pop(i)
            message = self._message()
            check("event" in message, f"an answer to nothing: {message}")
            self.events.append(message)

    def close(self):
        self.file.close()
        self.sock.close()

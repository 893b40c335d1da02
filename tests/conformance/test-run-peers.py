#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""run-peers takes no server for started before it has greeted a client: until
then its images may be closed yet, and what a test does to them makes it fail
at its start."""

import importlib.machinery
import importlib.util
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)

from peers import Instance  # noqa: E402

# It listens at once, and greets who stays for a second; a file tells how the
# first client did.
SERVER = """
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    client, _ = s.accept()
    left = select.select([client], [], [], 1)[0]
    os.close(os.open("left" if left else "stayed", os.O_CREAT | os.O_WRONLY))
    client.sendall(b"NBDMAGICIHAVEOPT")
"""


def load():
    path = os.path.join(HERE, "run-peers")
    loader = importlib.machinery.SourceFileLoader("run_peers", path)
    spec = importlib.util.spec_from_loader("run_peers", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def main():
    folder = os.environ.get("TMPDIR", os.getcwd())
    sock = os.path.join(folder, "s")
    instance = Instance("slow", [sys.executable, "-c", SERVER, sock],
                        f"nbd+unix:///?socket={sock}")
    keeper = load().Keeper(instance, folder, once=True)
    try:
        started = keeper.await_start()
        while not os.path.exists("left") and not os.path.exists("stayed"):
            time.sleep(0.02)
    finally:
        keeper.stop()
    left = os.path.exists("left")
    good = started and not left
    print("ok" if good else "not ok", "1 - a server has started when it greets")
    if not good:
        print(f"# started: {started}, taken for started too soon: {left}")
    print("1..1")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

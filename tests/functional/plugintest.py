# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the nbdkit plugin share: nbdkit with the plugin that was
just built, serving on a Unix socket."""

import contextlib
import os
import signal
import subprocess
import time

from tooltest import Skip, check, program

PLUGIN = os.environ.get("VHDKIT_PLUGIN", "")
PATIENCE = 30


def need_plugin():
    if not PLUGIN:
        raise Skip("built without the nbdkit plugin")


def environment():
    """For nbdkit, which is not built with the sanitizer that the plugin may
    need; and which, unlike the plugin, keeps what it need not free."""
    preload = os.environ.get("ASAN_PRELOAD", "")
    env = dict(os.environ)
    if preload:
        env["LD_PRELOAD"] = preload
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


def command(*args, filters=(), options=()):
    need_plugin()
    return ["nbdkit", *(f"--filter={f}" for f in filters), *options, PLUGIN,
            *args]


def captive(script, *args, filters=(), options=(), code=0):
    """nbdkit runs a shell script beside itself; the script's outcome.  On a
    Unix socket of its own making: the port may be somebody's."""
    argv = command(*args, filters=filters, options=["-U", "-", *options])
    return program(*argv, "--run", "unset LD_PRELOAD; " + script, code=code,
                   env=environment())


@contextlib.contextmanager
def plugin_serving(*args, socket="s.sock", filters=(), options=()):
    """nbdkit in the background, ended by SIGTERM."""
    argv = command(*args, filters=filters,
                   options=["-f", "--unix", os.path.abspath(socket),
                            "--pidfile", "nbdkit.pid", *options])
    for left in ("nbdkit.pid", socket):
        if os.path.exists(left):
            os.remove(left)
    with open("nbdkit.log", "wb") as log:
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log,
                                  stdout=log, env=environment())
    try:
        end = time.monotonic() + PATIENCE
        while not os.path.exists("nbdkit.pid"):
            check(server.poll() is None, "nbdkit ended: " + log_text())
            check(time.monotonic() < end, "nbdkit does not start")
            time.sleep(0.02)
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise
    for word in ("Sanitizer", "runtime error:", "Assertion"):
        check(word not in log_text(), log_text())


def log_text():
    with open("nbdkit.log", encoding="utf-8", errors="replace") as file:
        return file.read()

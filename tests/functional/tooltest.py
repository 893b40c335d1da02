# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the command line tool share: cases that are counted, each
in an empty folder of its own, and running vhdkit with its outcome looked at.

    @case("a sentence that is true if this passes")
    def _():
        vhdkit("create", "--size", "1M", "a.vhd")
        equal(read_json("info", "--json", "a.vhd")["virtual-size"], 1 << 20)

    run()

CASE=regex in the environment runs only the cases whose sentence it is in.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import traceback

VHDKIT = os.environ.get("VHDKIT", "vhdkit")

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30

_cases = []


class Skip(Exception):
    """Raised by a case that cannot be tried here; says why."""


def case(sentence):
    def register(function):
        _cases.append((sentence, function))
        return function
    return register


def run():
    failed = 0
    top = os.getcwd()
    chosen = [c for c in _cases if re.search(os.environ.get("CASE", ""), c[0])]
    for number, (sentence, function) in enumerate(chosen, 1):
        with tempfile.TemporaryDirectory(dir=top) as folder:
            os.chdir(folder)
            verdict, remark = "ok", ""
            try:
                function()
            except Skip as reason:
                remark = f" # SKIP {reason}"
            except Exception:  # pylint: disable=broad-except
                verdict = "not ok"
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("#", line[:2000])
            os.chdir(top)
        print(f"{verdict} {number} - {sentence}{remark}", flush=True)
    print(f"1..{len(chosen)}")
    sys.exit(1 if failed else 0)


# ------------------------------------------------------------------ assertions

def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {short(got)}, "
                             f"wanted {short(wanted)}")


def contains(text, part):
    if part not in text:
        raise AssertionError(f"{part!r} is not in {text!r}")


def short(value):
    text = repr(value)
    return text if len(text) <= 400 else text[:200] + "..." + text[-200:]


def same_bytes(got, wanted, what="content"):
    """Like equal, for much data: says where it differs."""
    if got == wanted:
        return
    equal(len(got), len(wanted), f"length of {what}")
    at = next(i for i in range(len(got)) if got[i] != wanted[i])
    raise AssertionError(
        f"{what} differs at {at} (sector {at // 512}): "
        f"got {got[at:at + 16].hex()}, wanted {wanted[at:at + 16].hex()}")


# ------------------------------------------------------------- running programs

def program(*args, code=0, data=None, env=None, **more):
    """Runs a program; its outcome must be `code` (None: any).  Whatever a
    sanitizer has to say is a failure."""
    environment = dict(os.environ, **(env or {}))
    done = subprocess.run(args, input=data, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=200, check=False, **more)
    done.out = done.stdout.decode(errors="replace")
    done.err = done.stderr.decode(errors="replace")
    for word in ("Sanitizer", "runtime error:", "Assertion"):
        check(word not in done.err, f"{args}: {done.err}")
    if code is not None and done.returncode != code:
        raise AssertionError(f"{args}: status {done.returncode}, not {code}; "
                             f"it said: {done.err.strip()} {done.out[-500:]}")
    return done


def peak_memory(*args):
    """Runs a program that must succeed; the most bytes it had in memory.  Not
    by us, who are counted with it, and may be large."""
    script = ("import resource, subprocess, sys\n"
              "status = subprocess.run(sys.argv[1:]).returncode\n"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
              "sys.exit(status)")
    return int(program(sys.executable, "-c", script, *args).out) << 10


def without(closed, *args):
    """The command of a program that is started as a shell does with `closed`,
    such as "2>&-".  Libtool's scripts, which lie where the programs would in a
    build tree, open descriptors of their own: they are gone round."""
    return [os.path.join(os.environ["BUILDDIR"], "libtool"), "--mode=execute",
            "sh", "-c", f'exec "$@" {closed}', "sh", *args]


def vhdkit(*args, **more):
    return program(VHDKIT, *args, **more)


# The exit codes of what could not be done; tool-exits.py has their meanings.
FAILED, DAMAGED, LEAKED, DOUBTFUL, USAGE, NOT_FOUND, DENIED, IN_USE, \
    NO_SPACE, REFUSED = range(1, 11)


def refused(*args, says=(), code=None, **more):
    """vhdkit must fail, with `code` or any that says it could not be done, and
    say all of `says`, in one line, and print no result."""
    done = vhdkit(*args, code=code, **more)
    if code is None:
        check(FAILED <= done.returncode <= REFUSED,
              f"{args}: status {done.returncode}; it said: {done.err}")
    for part in [says] if isinstance(says, str) else says:
        contains(done.err, part)
    check(done.err.startswith("vhdkit"), f"no message: {done.err!r}")
    check(done.err.endswith("\n"), "a message ends its line")
    return done


def read_json(*args, **more):
    """What vhdkit prints must be JSON; also in the eyes of json.tool, which is
    stricter about the encoding."""
    done = vhdkit(*args, **more)
    program(sys.executable, "-m", "json.tool", data=done.stdout)
    return json.loads(done.stdout.decode("utf-8"))


def content(image, *args):
    """All bytes of the disk."""
    return vhdkit("read", *args, image).stdout


def is_sanitized():
    """Such a program has memory and address space of its own, past any
    limit."""
    return bool(os.environ.get("SANITIZE"))


def need(name):
    """A program of another package; the case is skipped without it."""
    for folder in os.environ["PATH"].split(":"):
        if os.access(os.path.join(folder, name), os.X_OK):
            return
    raise Skip(f"package with {name} is not installed")

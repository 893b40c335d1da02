# SPDX-License-Identifier: BSD-2-Clause
#
# What clients see of a server that is told to stop.  These cases run last:
# the first of them sends SIGTERM, and all judge what was seen then.

import re
import time

from harness import case, terminate
from proto import Closed, Cmd, Err, Garbled, Hung, Opt, Rep, show

_seen = {}


def observe(p):
    """Send SIGTERM to the server once, and note what its clients see."""
    if _seen:
        return _seen
    haggling, aborting = p.haggle(), p.haggle()
    idle, busy = p.attach(), p.attach()
    cookies = [busy.submit(Cmd.READ, i << 20, 1 << 20)
               for i in range(min(16, p.facts.size >> 20))]
    # The first reply shows that the requests have come, by one piece.
    first = [busy.finish(cookies.pop(0)).error] if cookies else []
    terminate(p.target.pid)

    def look(key, what):
        try:
            _seen[key] = what()
        except (Closed, Hung, Garbled) as e:
            _seen[key] = f"{type(e).__name__}: {e}"

    look("in flight", lambda: first + [busy.finish(k).error
                                       for k in cookies])
    time.sleep(0.1)
    look("option", lambda: haggling.option(Opt.LIST).type)
    look("abort", lambda: aborting.option(Opt.ABORT).type)
    look("command", lambda: idle.command(Cmd.READ, 0,
                                         p.facts.minimum).error)
    # The clients stay connected meanwhile: the server must not wait for
    # them, nor stumble over them.
    _seen["ended"] = ended(p.target.pid, max(10, p.target.timeout))
    return _seen


def forget():
    """For a prober that stops more than one server."""
    _seen.clear()


def ended(pid, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@case("H57", "options in shutdown", "A server that shuts down should answer "
      "options with ERR_SHUTDOWN, but acknowledge ABORT.", "shutdown",
      last=True)
def shutdown_options(p):
    seen = observe(p)
    got = seen["option"]
    p.recommend(got == Rep.ERR_SHUTDOWN, "ERR_SHUTDOWN to LIST",
                show(Rep, got) if isinstance(got, int) else got)
    got = seen["abort"]
    p.recommend(got == Rep.ACK, "ACK to ABORT",
                show(Rep, got) if isinstance(got, int) else got)


def closed_between(got):
    """Was the connection closed, and not in the middle of a reply?"""
    return isinstance(got, str) and got.startswith("Closed: ") and \
        not re.search(r" after [1-9]", got)


# Either side may end the session by a disconnect at any time.  ESHUTDOWN is for
# servers that go on to answer; clients that reconnect, like qemu and Linux,
# take it for an error of the disk, and a closed connection for a pause.
@case("T60", "commands in shutdown", "A server that shuts down should finish "
      "what is in flight. What comes then it should answer with ESHUTDOWN, or "
      "not at all but close the connection.", "shutdown", last=True)
def shutdown_commands(p):
    seen = observe(p)
    got = seen["in flight"]
    p.recommend(isinstance(got, list) and
                all(e in (0, Err.ESHUTDOWN) for e in got),
                "each request in flight answered", got)
    got = seen["command"]
    p.recommend(got == Err.ESHUTDOWN or closed_between(got),
                "ESHUTDOWN, or a closed connection",
                show(Err, got) if isinstance(got, int) else got)


@case("CVE-2024-7409-stop", "stop while clients are connected", "A server "
      "that is told to stop ends, though clients stay connected.",
      "shutdown", last=True)
def shutdown_ends(p):
    seen = observe(p)
    p.require(seen["ended"], "the server to end", "it is still there")

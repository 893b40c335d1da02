# SPDX-License-Identifier: BSD-2-Clause
#
# What clients see of a server that is told to stop.  These cases run last:
# the first of them sends SIGTERM, and all judge what was seen then.

import select
import time

from harness import case, terminate
from proto import (Closed, Cmd, Err, Garbled, Hung, Opt, Rep, Request,
                   show)

_seen = {}


def observe(p):
    """Send SIGTERM to the server once, and note what its clients see."""
    if _seen:
        return _seen
    haggling, aborting = p.haggle(), p.haggle()
    idle, busy = p.attach(), p.attach()
    cookies = submit_reads(busy, min(16, p.facts.size >> 20))
    # All came at once; one has been answered, the next is being answered.
    busy.finish(cookies.pop(0))
    select.select([busy.sock], [], [], p.target.timeout)
    terminate(p.target.pid)

    def look(key, what):
        try:
            _seen[key] = what()
        except (Closed, Hung, Garbled) as e:
            _seen[key] = f"{type(e).__name__}: {e}"

    look("in flight", lambda: finish_reads(busy, cookies))
    time.sleep(0.1)
    look("option", lambda: haggling.option(Opt.LIST).type)
    look("abort", lambda: aborting.option(Opt.ABORT).type)
    look("command", lambda: idle.command(Cmd.READ, 0,
                                         p.facts.minimum).error)
    # The clients stay connected meanwhile: the server must not wait for
    # them, nor stumble over them.
    _seen["ended"] = ended(p.target.pid, max(10, p.target.timeout))
    return _seen


def submit_reads(c, n):
    """n READs of 1 MiB in one segment; their cookies."""
    cookies, data = [], b""
    for i in range(n):
        cookies.append(c.next_cookie())
        c.pending[cookies[-1]] = Request(Cmd.READ, 0, i << 20, 1 << 20)
        data += c.header(Cmd.READ, i << 20, 1 << 20, 0, cookies[-1])
    c.send(data, f"{n} READs of 1 MiB")
    return cookies


def finish_reads(c, cookies):
    """The errors of those that are answered, which may end between two of
    them: a server need not have begun all that it has received."""
    errors = []
    for cookie in cookies:
        try:
            errors.append(c.finish(cookie).error)
        except Closed as e:
            if not errors or "after 0 of 4 bytes of a reply" not in str(e):
                raise
            break
    return errors


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


@case("T60", "commands in shutdown", "A server that shuts down should finish "
      "what is in flight, and then answer with ESHUTDOWN or close, which makes "
      "clients connect again that can.", "shutdown", last=True)
def shutdown_commands(p):
    seen = observe(p)
    got = seen["in flight"]
    p.recommend(isinstance(got, list) and
                all(e in (0, Err.ESHUTDOWN) for e in got),
                "what is being answered to be finished", got)
    got = seen["command"]
    p.recommend(got == Err.ESHUTDOWN or str(got).startswith("Closed"),
                "ESHUTDOWN or a close",
                show(Err, got) if isinstance(got, int) else got)


@case("CVE-2024-7409-stop", "stop while clients are connected", "A server "
      "that is told to stop ends, though clients stay connected.",
      "shutdown", last=True)
def shutdown_ends(p):
    seen = observe(p)
    p.require(seen["ended"], "the server to end", "it is still there")

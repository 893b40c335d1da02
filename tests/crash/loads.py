# SPDX-License-Identifier: BSD-2-Clause
"""The crash proof's workloads: each takes a Recording and lives its lives."""

from crashclient import Load


def kill_at(run, low, high):
    when = run.random.choice(["before", "after", "during"])
    return f"{run.random.randrange(low, high)}:{when}"


def steady(run):
    """A bit of everything, closed cleanly, and once more."""
    run.live(Load(requests=250))
    run.live(Load(requests=200, depth=16, odd=0.3,
                  lengths=[1, 2, 8, 24, 100, 300]))


def killed(run):
    """Killed with requests in flight, thrice."""
    for _ in range(3):
        run.live(Load(requests=150), kill=kill_at(run, 20, 250))
    run.live(Load(requests=60))


def reopened(run):
    """Killed with bytes in the page cache alone; the next life flushes at
    once."""
    run.live(Load(requests=150, flush=0.1))
    for _ in range(4):
        run.live(Load(requests=40, flush=0, fua=0, zero=0, trim=0, hot=1,
                      span=6, whole=0), end="kill")
        run.live(Load(requests=6, depth=1, flush_first=True, flush=0.5),
                 end="kill")
    run.live(Load(requests=20, flush_first=True))


def growing(run):
    """Each write takes a new block; few flushes."""
    run.live(Load(requests=120, ascending=True, lengths=[1, 2, 8],
                  flush=0.03, trim=0, zero=0, fua=0, depth=16))


def crowded(run):
    """Many small flushes while the same few blocks come and go."""
    run.live(Load(requests=400, hot=1, span=6, flush=0.2, fua=0.1, zero=0.15,
                  trim=0.15, whole=0.9, depth=12, lengths=[1, 1, 2, 8]))


def recycled(run):
    """Blocks are freed and their places taken by small writes elsewhere."""
    for _ in range(3):
        run.live(Load(requests=150, hot=0.8, span=40, zero=0.15, trim=0.15,
                      whole=1, flush=0.08, lengths=[1, 1, 8, 32]),
                 kill=kill_at(run, 60, 300))
    run.live(Load(requests=80, lengths=[1], trim=0, zero=0))


def failing(run):
    """Calls fail, in part or in whole."""
    for _ in range(3):
        run.live(Load(requests=150, flush=0.06, span=40, zero=0.1, trim=0.1,
                      lengths=[1, 1, 8, 32]),
                 fail="30:wcx", kill=kill_at(run, 100, 400))
    run.live(Load(requests=60, lengths=[1]))


def unsynced(run):
    """A sync fails: from then on nothing that is said may be a promise.  The
    last life, for what the kernel dropped then no later sync can tell."""
    run.live(Load(requests=80, flush=0.1))
    run.live(Load(requests=150, flush=0.15, settle=False), end="kill",
             fail="80:s")


def watched(run):
    """Slow readers of blocks that are freed, whose places others take."""
    run.live(Load(requests=600, depth=32, read=0.5, hot=1, span=16, whole=1,
                  flush=0.1, zero=0.05, trim=0.3, lengths=[1, 8, 32]),
             io="threads", delay="500:100:100:20000")


def overtaken(run):
    """Blocks are freed under slow writes to them, and their places taken;
    what is on the disk meanwhile is compared, not what a power cut leaves."""
    run.unordered = True
    for _ in range(3):
        run.live(Load(requests=2500, depth=64, read=0.4, hot=1, span=4,
                      whole=1, flush=0.2, fua=0, zero=0, trim=0.2,
                      overlap=True, odd=0, lengths=[1, 1, 8]),
                 io="threads", delay="60:100000:10:10")


def recovering(run):
    """Killed, and killed again while it recovers from that."""
    for _ in range(4):
        run.live(Load(requests=80, zero=0.1, trim=0.1),
                 kill=kill_at(run, 40, 150))
        run.live(Load(requests=10, flush_first=True),
                 kill=kill_at(run, 1, 12))
    run.live(Load(requests=40))


def cut(run):
    """The power goes, and goes again while what it left is in use."""
    for _ in range(2):
        run.live(Load(requests=100, span=60, lengths=[1, 1, 8, 32]),
                 kill=kill_at(run, 40, 250))
        run.power_cut()
    run.live(Load(requests=120, hot=0.3, lengths=[1, 1, 2]),
             kill=kill_at(run, 100, 300))
    run.live(Load(requests=40))


LOADS = {f.__name__: f for f in (
    steady, killed, reopened, growing, crowded, recycled, failing, unsynced,
    watched, overtaken, recovering, cut)}

# SPDX-License-Identifier: BSD-2-Clause
"""One measurement: start a server, put load on it, end it.

The benchmark makes itself the reaper of orphans, so that a server which becomes
a daemon is still among its children: all of them are found, measured and ended
through that, by process id, and none outlives it.
"""

import ctypes
import json
import os
import pathlib
import resource
import signal
import subprocess
import time
from typing import NamedTuple

from servers import NotPossible

START_TIMEOUT = 30
LOAD_TIMEOUT = 180
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


class Priority(NamedTuple):
    """How server and client stand to whatever else is running."""
    nice: int = 0
    realtime: bool = False


class Failed(Exception):
    """A run gave no figures; says why."""


def become_subreaper():
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl')


def _prepare_child(cpus, priority):
    """Runs in a child, before it becomes the server or the client."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if cpus:
        os.sched_setaffinity(0, cpus)
    if priority.nice:
        os.setpriority(os.PRIO_PROCESS, 0, priority.nice)
    # Servers and clients with thousands of connections need that many.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if priority.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def raise_session(nice, pid='self'):
    """Where the kernel schedules whole sessions, niceness counts only within
    one: give a process's session the same. Returns what undoes it."""
    autogroup = pathlib.Path(f'/proc/{pid}/autogroup')
    try:
        before = autogroup.read_text().split()[-1]
        autogroup.write_text(str(nice))
    except (OSError, IndexError):
        return lambda: None
    return lambda: autogroup.write_text(before)


def _children(pid):
    try:
        text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _tree(pid):
    """All that descend from a process."""
    for child in _children(pid):
        yield child
        yield from _tree(child)


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _is_alive(pid):
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')')[-1]
    except OSError:
        return False
    return state.split()[0] != 'Z'


def _live_children():
    return [pid for pid in _children(os.getpid()) if _is_alive(pid)]


def _memory_of(pid):
    try:
        rollup = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines()
               if line.startswith('Pss:'))


class Running:
    """A server that runs; use it as a context."""

    def __init__(self, server, image_path, is_raw, endpoint, cpus, priority):
        self.server = server
        self.endpoint = endpoint
        self._image = (image_path, is_raw)
        self._cpus = cpus
        self._priority = priority
        self._log = endpoint.directory / 'server.log'
        self._others = set(_live_children())    # not to be ended with it
        self.started = 0.0
        self.pids = []  # of the processes the server began with

    def __enter__(self):
        try:
            self._start()
            self._wait()
            self.pids = self._ours()
            if self._priority.nice:
                for pid in self.pids:  # a daemon has a session of its own
                    raise_session(self._priority.nice, pid)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _start(self):
        path, is_raw = self._image
        path = self.server.before(self.endpoint, path)
        command = self.server.command(self.endpoint, path, is_raw)
        self.started = time.monotonic()
        with open(self._log, 'w', encoding='utf-8') as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
                preexec_fn=lambda: _prepare_child(self._cpus, self._priority))

    def _wait(self):
        """Until it speaks first, as NBD servers do."""
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            if self.endpoint.greets(START_TIMEOUT):
                return
            if self._process.poll() is not None and not self._ours():
                break
            time.sleep(0.002)
        raise Failed(f'{self.server.name} does not serve: {self._last_words()}')

    def _ours(self):
        return [pid for pid in _live_children() if pid not in self._others]

    def _whole_tree(self):
        for pid in self._ours():
            yield pid
            yield from _tree(pid)

    def _last_words(self):
        text = self._log.read_text(errors='replace').strip()
        return text.splitlines()[-1] if text else 'it said nothing'

    def memory(self):
        """Bytes of memory that are its own (proportional set size)."""
        return sum(_memory_of(member) for pid in self.pids
                   for member in [pid, *_tree(pid)])

    def stop(self):
        self.server.after(self.endpoint)
        for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            for pid in list(self._whole_tree()):
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience
            while time.monotonic() < end:
                _reap()
                if not any(map(_is_alive, self._whole_tree())):
                    _reap()
                    return
                time.sleep(0.005)


class Meter:
    """Runs nbd-load against running servers."""

    def __init__(self, nbd_load, cpus, priority=Priority()):
        self.nbd_load = nbd_load
        self.cpus = cpus
        self.priority = priority

    def _popen(self, running, arguments, cpus):
        command = [self.nbd_load, *running.endpoint.load_arguments(),
                   '--export', running.server.export, *arguments]
        for pid in running.pids:
            command += ['--server-pid', pid]
        return subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: _prepare_child(cpus, self.priority))

    def load(self, running, options, cpus=None):
        """nbd-load's figures for a dictionary of its options."""
        process = self._popen(running, _arguments(options), cpus or self.cpus)
        try:
            out, err = process.communicate(timeout=LOAD_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise Failed('nbd-load takes too long') from error
        if process.returncode != 0:
            raise Failed(err.strip() or f'nbd-load: {process.returncode}')
        return json.loads(out)

    def idle(self, running, options):
        """Memory for each of many idle connections."""
        # One connection first: what is made once is not counted.
        self.load(running, {'op': 'read', 'count': 1})
        before = running.memory()
        process = self._popen(running,
                              _arguments({'op': 'idle', 'time': 60, **options}),
                              self.cpus)
        try:
            if not process.stdout.readline():
                raise Failed(process.stderr.read().strip())
            time.sleep(0.5)
            after = running.memory()
        finally:
            process.communicate('')
        return {'memory': max(after - before, 0) / options['connections']}


def _arguments(options):
    arguments = []
    for name, value in options.items():
        if value is True:
            arguments.append(f'--{name}')
        elif value is not None and value is not False:
            arguments += [f'--{name}', value]
    return arguments


__all__ = ['Failed', 'Meter', 'NotPossible', 'Priority', 'Running',
           'become_subreaper', 'raise_session']

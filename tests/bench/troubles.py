# SPDX-License-Identifier: BSD-2-Clause
"""What may befall a server while a good client is measured: a crowd of clients
that want nothing good, and disks that hang. Each trouble is a context.

A disk that hangs is a FUSE file system whose process is stopped, or one that
takes its time. `local` puts an ext4 on a loop device upon it, so that the
server takes the disk for one of its own.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from measure import Failed, NotPossible

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
HUNG_SIZE = 64 * MIB
PATIENCE = 30


def _run(*command):
    done = subprocess.run([str(word) for word in command], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise NotPossible(f'{command[0]}: {done.stdout.strip()[-200:]}')
    return done.stdout.strip()


def end(process):
    """Ends a child of ours, stopped or not."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --------------------------------------------------------------------- crowds

class Crowd:
    """The processes of attackers.py, one for each address they come from."""

    def __init__(self, port, export, cpus, kinds, addresses=1, pause=0,
                 spread=0):
        self.wanted = sum(kinds.values())
        self.processes = []
        for i in range(addresses):
            words = [sys.executable, HERE / 'attackers.py', '--tcp',
                     f'127.0.0.1:{port}', '--source', f'127.0.0.{i + 1}',
                     '--export', export, '--pause', pause, '--spread', spread]
            for kind, n in kinds.items():
                words += [f'--{kind}', n // addresses]
            self.processes.append(subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus)))

    def report(self):
        """The sum of what the processes say since they were last asked."""
        total = {'standing': 0, 'least': 0, 'thrown_out': 0, 'turned_away': 0}
        for process in self.processes:
            process.stdin.write('\n')
            process.stdin.flush()
            said = json.loads(process.stdout.readline() or '{}')
            if not said:
                raise Failed('the attackers have ended')
            said['standing'] = sum(said['standing'].values())
            for key in total:
                total[key] += said[key]
        return total

    def settle(self, share):
        """Waits until so much of it stands."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.report()['standing'] >= share * self.wanted:
                return
            time.sleep(0.1)
        raise Failed(f'the crowd does not stand: {self.report()}')

    def end(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            end(process)
            process.stdout.close()


# ----------------------------------------------------------------- hung disks

class Disk:
    """A folder with an image in it, below which a process can be stopped."""

    def __init__(self, directory, make_image, delay=0, local=False):
        self.directory = pathlib.Path(directory)
        self.image = None
        self._raw = self.directory / 'hung.raw'
        self._file = self.directory / 'hung.vhd'
        self._point = self.directory / 'hung.d'
        self._make_image = make_image
        self._delay = delay
        self._local = local
        self._fuse = None
        self._loop = None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            if self._local:
                self._make_local()
            else:
                self._make_image(self._raw)
                self._mount_file()
                self.image = self._file
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.go_on()
        self._stack.close()

    def _mount_file(self):
        """The raw file appears as another, through FUSE."""
        for program in ('nbdfuse', 'nbdkit'):
            if not shutil.which(program):
                raise NotPossible(f'{program} is not installed')
        how = (['--filter=delay', 'file', self._raw, f'rdelay={self._delay}',
                f'wdelay={self._delay}'] if self._delay
               else ['file', self._raw])
        self._file.unlink(missing_ok=True)
        self._file.touch()
        self._fuse = subprocess.Popen(
            ['nbdfuse', str(self._file), '--command', 'nbdkit', '-s',
             *map(str, how)], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self._stack.callback(end, self._fuse)
        self._stack.callback(subprocess.run, ['umount', '-l', self._file],
                             stderr=subprocess.DEVNULL, check=False)
        until = time.monotonic() + PATIENCE
        while self._file.stat().st_size == 0:
            if self._fuse.poll() is not None or time.monotonic() > until:
                raise NotPossible('this system lets nobody mount by FUSE')
            time.sleep(0.02)

    def _make_local(self):
        if os.geteuid() != 0:
            raise NotPossible('a loop device needs root')
        with open(self._raw, 'wb') as f:
            f.truncate(4 * HUNG_SIZE)
        _run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0', self._raw)
        self._mount_file()
        self._loop = _run('losetup', '--find', '--show', self._file)
        self._stack.callback(subprocess.run, ['losetup', '-d', self._loop],
                             check=False)
        self._point.mkdir(exist_ok=True)
        _run('mount', self._loop, self._point)
        self._stack.callback(subprocess.run, ['umount', self._point],
                             check=False)
        self.image = self._point / 'hung.vhd'
        self._make_image(self.image)
        os.sync()
        self.forget()

    def forget(self):
        """Nothing of the image is in memory."""
        with open(self.image, 'rb') as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def hang(self):
        self._fuse.send_signal(signal.SIGSTOP)

    def go_on(self):
        if self._fuse:
            self._fuse.send_signal(signal.SIGCONT)

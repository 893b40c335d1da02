# SPDX-License-Identifier: BSD-2-Clause
"""The servers that are compared: how to start each, and which version it is.

A contender is written SERVER:IMAGE, as in 'qemu-nbd:dynamic'. Every server
gets the settings its users would choose for speed, and the same page cache.
"""

import dataclasses
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import time

EXPORT = 'x'
HOST = '127.0.0.1'


class NotPossible(Exception):
    """This server cannot do what the row asks for; says why."""


class Tls:
    """Certificates and a pre-shared key, made once in a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.ca = self.directory / 'ca-cert.pem'
        self.psk = self.directory / 'keys.psk'

    def make(self):
        if self.psk.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._certificate('ca', 'bench CA', [
            '-addext', 'basicConstraints=critical,CA:TRUE'])
        self._certificate('server', 'localhost', [
            '-addext', 'basicConstraints=critical,CA:FALSE',
            '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
            '-CA', self.ca, '-CAkey', self.directory / 'ca-key.pem'])
        self.psk.write_text(f'bench:{secrets.token_hex(32)}\n')

    def _certificate(self, name, common_name, more):
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
             'ec_paramgen_curve:P-256', '-nodes', '-days', '3650',
             '-subj', f'/CN={common_name}', '-config', '/dev/null',
             '-keyout', self.directory / f'{name}-key.pem',
             '-out', self.directory / f'{name}-cert.pem', *more],
            check=True, capture_output=True)


@dataclasses.dataclass
class Endpoint:
    """Where a server listens. `transport` is unix, tcp, tls or psk; the last
    two are TCP with TLS, by certificate or by pre-shared key."""
    transport: str
    directory: pathlib.Path
    tls: Tls
    port: int = 0

    def __post_init__(self):
        self.socket = self.directory / 'bench.sock'
        if self.transport in ('tls', 'psk'):
            self.tls.make()
        if self.transport == 'unix':
            self.socket.unlink(missing_ok=True)
        else:
            self.port = free_port()

    @property
    def is_unix(self):
        return self.transport == 'unix'

    @property
    def is_encrypted(self):
        return self.transport in ('tls', 'psk')

    def _connect(self):
        if self.is_unix:
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(self.socket))
            return s
        return socket.create_connection((HOST, self.port))

    def greets(self, timeout):
        """Does a server speak here, as NBD servers do first?"""
        try:
            with self._connect() as s:
                s.settimeout(timeout)
                return s.recv(8) == b'NBDMAGIC'
        except OSError:
            return False

    def load_arguments(self):
        """How nbd-load reaches it."""
        where = (['--unix', self.socket] if self.is_unix
                 else ['--tcp', f'{HOST}:{self.port}'])
        return where + {'tls': ['--tls-ca', self.tls.ca],
                        'psk': ['--tls-psk', self.tls.psk]
                        }.get(self.transport, [])


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


class Server:
    """What the benchmark knows of a kind of server."""

    name = ''
    program = ''
    version_arguments = ('--version',)
    export = EXPORT
    is_ours = False

    def find(self):
        """The program's path, or None."""
        return shutil.which(self.program, path=os.environ['PATH']
                            + ':/usr/sbin:/sbin')

    def version(self):
        run = subprocess.run([self.find(), *self.version_arguments],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, text=True, check=False)
        found = re.search(r'\d+\.\d+[\w.+~-]*', run.stdout)
        return found.group(0) if found else 'unknown'

    def command(self, endpoint, path, is_raw):
        """The command line that serves the image at `path`."""
        raise NotImplementedError

    def before(self, endpoint, path):
        """Something to do before it is started; returns the path to serve."""
        return path

    def after(self, endpoint):
        """Something to do before what it has started is ended."""


class Vhdkitd(Server):
    name = 'vhdkitd'
    program = 'vhdkitd'
    is_ours = True

    def __init__(self, path=None, arguments=()):
        self.path = path
        self.arguments = list(arguments)

    def find(self):
        if self.path:
            return self.path if os.access(self.path, os.X_OK) else None
        return super().find()

    def command(self, endpoint, path, is_raw):
        tls = endpoint.tls
        where = (['--unix', endpoint.socket] if endpoint.is_unix
                 else ['--listen', f'{HOST}:{endpoint.port}'])
        how = {'tls': ['--tls=require', '--tls-certificates', tls.directory],
               'psk': ['--tls=require', '--tls-psk', tls.psk]
               }.get(endpoint.transport, [])
        return [self.find(), *where, *how, *self.arguments,
                *(['--raw'] if is_raw else []), f'{EXPORT}={path}']


class Nbdkit(Server):
    name = 'nbdkit'
    program = 'nbdkit'

    def command(self, endpoint, path, is_raw):
        if not is_raw:
            raise NotPossible('nbdkit serves raw files')
        tls = endpoint.tls
        where = (['-U', endpoint.socket] if endpoint.is_unix
                 else ['-i', HOST, '-p', str(endpoint.port)])
        how = {'tls': ['--tls=require', f'--tls-certificates={tls.directory}'],
               'psk': ['--tls=require', f'--tls-psk={tls.psk}']
               }.get(endpoint.transport, [])
        return [self.find(), '-f', '-e', EXPORT, *where, *how, 'file', path]


class QemuNbd(Server):
    name = 'qemu-nbd'
    program = 'qemu-nbd'
    options = ['--aio=io_uring']

    def command(self, endpoint, path, is_raw):
        where = (['-k', endpoint.socket] if endpoint.is_unix
                 else ['-b', HOST, '-p', str(endpoint.port)])
        return [self.find(), '-t', '-e', '20000', '-x', EXPORT,
                '--cache=writeback', '--discard=unmap', *self.options,
                '-f', 'raw' if is_raw else 'vpc',
                *where, *_qemu_tls(endpoint), path]


def _qemu_tls(endpoint):
    if not endpoint.is_encrypted:
        return []
    directory = endpoint.tls.directory
    kind = {'tls': 'x509,verify-peer=no', 'psk': 'psk'}[endpoint.transport]
    return ['--object', f'tls-creds-{kind},id=tls0,endpoint=server,'
            f'dir={directory}', '--tls-creds', 'tls0']


class QemuStorageDaemon(Server):
    name = 'qemu-storage-daemon'
    program = 'qemu-storage-daemon'

    def command(self, endpoint, path, is_raw):
        if endpoint.is_encrypted:
            raise NotPossible('not set up here')
        where = (f'addr.type=unix,addr.path={endpoint.socket}'
                 if endpoint.is_unix else
                 f'addr.type=inet,addr.host={HOST},addr.port={endpoint.port}')
        return [self.find(), '--object', 'iothread,id=io0',
                '--blockdev', f'driver=file,filename={path},node-name=file0,'
                'aio=io_uring,discard=unmap',
                '--blockdev', f'driver={"raw" if is_raw else "vpc"},'
                'file=file0,node-name=node0,discard=unmap',
                '--nbd-server', f'{where},max-connections=0',
                '--export', f'type=nbd,id=export0,node-name=node0,'
                f'name={EXPORT},writable=on,iothread=io0']


class NbdServer(Server):
    name = 'nbd-server'
    program = 'nbd-server'
    version_arguments = ('-V',)

    def command(self, endpoint, path, is_raw):
        if not is_raw:
            raise NotPossible('nbd-server serves raw files')
        if endpoint.is_encrypted:
            raise NotPossible('not set up here')
        where = ([f'unixsock = {endpoint.socket}'] if endpoint.is_unix else
                 [f'listenaddr = {HOST}', f'port = {endpoint.port}'])
        configuration = endpoint.directory / 'nbd-server.conf'
        configuration.write_text('\n'.join(
            ['[generic]', 'allowlist = true', *where,
             f'[{EXPORT}]', f'exportname = {path}',
             'flush = true', 'fua = true', 'trim = true', '']))
        return [self.find(), '-C', configuration,
                '-p', endpoint.directory / 'nbd-server.pid']


class Vhdimount(Nbdkit):
    """nbdkit over the FUSE file that libvhdi's vhdimount makes of an image:
    the other way on Linux to serve a differencing image."""

    name = 'nbdkit+vhdimount'

    def find(self):
        return super().find() if shutil.which('vhdimount') else None

    def command(self, endpoint, path, is_raw):
        return super().command(endpoint, path, True)

    def _mount_point(self, endpoint):
        return endpoint.directory / 'vhdimount'

    def before(self, endpoint, path):
        point = self._mount_point(endpoint)
        point.mkdir(exist_ok=True)
        run = subprocess.run(['vhdimount', path, point], text=True, timeout=30,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False)
        for _ in range(200):
            # One file for each layer; the last one is the image itself.
            if layers := sorted(point.iterdir()):
                return layers[-1]
            time.sleep(0.02)
        raise NotPossible(f'vhdimount does not mount: {run.stdout[-200:]}')

    def after(self, endpoint):
        subprocess.run(['umount', '-l', self._mount_point(endpoint)],
                       stderr=subprocess.DEVNULL, check=False)


def known(vhdkitd):
    """All servers by name; `vhdkitd` is ours."""
    peers = [Nbdkit(), QemuNbd(), QemuStorageDaemon(), NbdServer(),
             Vhdimount()]
    return {server.name: server for server in [vhdkitd, *peers]}

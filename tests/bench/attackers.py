#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A crowd of clients that want nothing good of an NBD server.

Each stands where it costs the server most: in the middle of the handshake
(silent, feeding single bytes, or half way through TLS), or with requests sent
whose replies it never reads. Who is thrown out comes back at once, so that the
crowd keeps its size. It attacks nothing but loopback addresses.

Prints a line of JSON each time it reads one from standard input, and ends with
the input. See README.md beside this file.
"""

import argparse
import collections
import errno
import heapq
import ipaddress
import itertools
import json
import os
import resource
import select
import socket
import ssl
import struct
import sys
import time

FIXED_NEWSTYLE_NO_ZEROES = struct.pack('>I', 3)
IHAVEOPT = b'IHAVEOPT'
OPT_EXPORT_NAME, OPT_STARTTLS, OPT_INFO = 1, 5, 6
STARTTLS_REPLY = 20
GREETING = 18
IP_BIND_ADDRESS_NO_PORT = 24
CMD_READ = 0
DRIP_SECONDS = 1.0
OPENING_MAX = 100       # connections on their way at a time, at most
MIX = (4096, 65536, 4 << 20)    # sizes of the reads whose replies are not read


def option(code, data=b''):
    return IHAVEOPT + struct.pack('>II', code, len(data)) + data


def read_request(offset, length, cookie):
    return struct.pack('>IHHQQI', 0x25609513, 0, CMD_READ, cookie, offset,
                       length)


def client_hello():
    """What a TLS client says first; the same for all of the crowd."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname='localhost')
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Attacker:
    """One connection, again and again. `script` is what it sends in answer to
    how many bytes of the server, step by step; then it stands."""

    def __init__(self, crowd, kind):
        self.crowd = crowd
        self.kind = kind
        self.sock = None
        self.standing = False

    def begin(self):
        crowd = self.crowd
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if crowd.source:
            self.sock.setsockopt(socket.IPPROTO_IP,
                                 IP_BIND_ADDRESS_NO_PORT, 1)
            self.sock.bind((crowd.source, 0))
        self.got = b''
        self.step = 0
        self.drip = None
        self.unsent = b''
        self.standing = False
        crowd.opening += 1
        error = self.sock.connect_ex(crowd.address)
        if error not in (0, errno.EINPROGRESS):
            self.lost()
            return
        crowd.by_fd[self.sock.fileno()] = self
        crowd.poll.register(self.sock, select.EPOLLIN | select.EPOLLOUT)

    def lost(self):
        """Thrown out, or never let in."""
        crowd = self.crowd
        crowd.by_fd.pop(self.sock.fileno(), None)
        if self.standing:
            crowd.standing[self.kind] -= 1
            crowd.thrown_out += 1
        else:
            crowd.opening -= 1
            crowd.turned_away += 1
        self.standing = False
        self.sock.close()
        crowd.invite(time.monotonic() + crowd.pause, self)

    def stand(self):
        if not self.standing:
            self.standing = True
            self.crowd.opening -= 1
            self.crowd.standing[self.kind] += 1

    def watch(self, events):
        self.crowd.poll.modify(self.sock, events)

    def send(self, data):
        """What the socket does not take is kept."""
        self.unsent += data
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            sent = 0
        self.unsent = self.unsent[sent:]
        return not self.unsent

    def ready(self, events):
        try:
            if events & (select.EPOLLERR | select.EPOLLHUP):
                raise ConnectionResetError
            if events & select.EPOLLIN and not self.receive():
                self.lost()
                return
            self.advance()
        except OSError:
            self.lost()

    def receive(self):
        if self.kind == 'mute' and self.step >= 2:
            return True
        data = self.sock.recv(4096)
        self.got += data
        return bool(data)

    def advance(self):
        if self.step == 0:
            self.watch(select.EPOLLIN)
            if len(self.got) < GREETING:
                return
            self.step = 1
            getattr(self, 'greeted_' + self.kind)()
        elif self.step == 1 and self.kind == 'tls':
            if len(self.got) >= GREETING + STARTTLS_REPLY:
                self.step = 2
                self.send(self.crowd.hello)
                self.stand()
        elif self.step == 1 and self.kind == 'mute':
            if len(self.got) >= GREETING + 10:
                self.step = 2
                self.watch(select.EPOLLOUT)
        elif self.step == 2 and self.kind == 'mute':
            self.ask()

    def greeted_plain(self):
        """Announces an option, sends half of it, and thinks."""
        self.send(FIXED_NEWSTYLE_NO_ZEROES + option(OPT_INFO, bytes(400))[:200])
        self.stand()

    def greeted_slow(self):
        """An option of 32 KiB, a byte a second."""
        self.send(FIXED_NEWSTYLE_NO_ZEROES)
        self.drip = iter(option(OPT_INFO, bytes(32000)))
        self.crowd.dripping.append((time.monotonic() + DRIP_SECONDS, self,
                                    self.sock))
        self.stand()

    def greeted_tls(self):
        self.send(FIXED_NEWSTYLE_NO_ZEROES + option(OPT_STARTTLS))

    def greeted_mute(self):
        self.send(FIXED_NEWSTYLE_NO_ZEROES
                  + option(OPT_EXPORT_NAME, self.crowd.export))

    def ask(self):
        """As many reads as the socket takes; the replies are not read."""
        crowd = self.crowd
        length = MIX[crowd.asked % len(MIX)]
        crowd.asked += 1
        batch = b''.join(read_request(0, length, i) for i in range(200))
        for _ in range(20):
            if not self.send(b'' if self.unsent else batch):
                break
        # Watched for its end alone: the replies stay where they are.
        self.watch(0)
        self.stand()


class Crowd:
    def __init__(self, arguments):
        host, _, port = arguments.tcp.rpartition(':')
        self.address = (host, int(port))
        self.source = arguments.source
        self.export = arguments.export.encode()
        self.pause = arguments.pause
        self.poll = select.epoll()
        self.by_fd = {}
        self.to_open = []       # a heap by the time that each is due
        self.arrivals = itertools.count()
        self.dripping = collections.deque()
        self.standing = collections.Counter()
        self.opening = self.thrown_out = self.turned_away = self.asked = 0
        self.least = 0
        self.hello = client_hello()
        kinds = {'plain': arguments.plain, 'slow': arguments.slow,
                 'tls': arguments.tls, 'mute': arguments.mute}
        self.size = sum(kinds.values())
        now = time.monotonic()
        handshakes = [kind for kind in ('plain', 'slow', 'tls')
                      for _ in range(kinds[kind])]
        for _ in range(kinds['mute']):
            self.invite(now, Attacker(self, 'mute'))
        # Spread out, so that they are not all thrown out at one time.
        for i in range(len(handshakes)):
            kind = handshakes[i * 7919 % len(handshakes)]
            self.invite(now + arguments.spread * i / len(handshakes),
                        Attacker(self, kind))

    def invite(self, due, attacker):
        heapq.heappush(self.to_open, (due, next(self.arrivals), attacker))

    def turn(self):
        now = time.monotonic()
        while (self.to_open and self.to_open[0][0] <= now
               and self.opening < OPENING_MAX):
            heapq.heappop(self.to_open)[-1].begin()
        while self.dripping and self.dripping[0][0] <= now:
            _, attacker, sock = self.dripping.popleft()
            if attacker.sock is not sock or not attacker.standing:
                continue
            try:
                attacker.send(bytes([next(attacker.drip)]))
            except OSError:
                continue    # the poll will tell
            self.dripping.append((now + DRIP_SECONDS, attacker, sock))
        for fd, events in self.poll.poll(0.01):
            if fd == sys.stdin.fileno():
                if not os.read(fd, 4096):
                    return False
                self.report()
            elif fd in self.by_fd:
                self.by_fd[fd].ready(events)
        self.least = min(self.least, self.standing.total())
        return True

    def report(self):
        """The state, and the least that stood since the last report."""
        print(json.dumps({
            'standing': dict(self.standing), 'least': self.least,
            'size': self.size, 'thrown_out': self.thrown_out,
            'turned_away': self.turned_away}), flush=True)
        self.least = self.standing.total()

    def run(self):
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while self.turn():
            pass


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--tcp', metavar='ADDRESS:PORT', required=True)
    add('--source', metavar='ADDRESS', help='where they come from')
    add('--export', default='')
    for kind, does in (('plain', 'sends half an option'),
                       ('slow', 'sends single bytes, one a second'),
                       ('tls', 'stops half way through STARTTLS'),
                       ('mute', 'sends reads, never reads their replies')):
        add(f'--{kind}', type=int, default=0, metavar='N',
            help=f'so many of which each {does}')
    add('--spread', type=float, default=0, metavar='S',
        help='seconds over which the crowd arrives')
    add('--pause', type=float, default=0, metavar='S',
        help='seconds until one who was thrown out comes back')
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    host = arguments.tcp.rpartition(':')[0]
    if not ipaddress.ip_address(host).is_loopback:
        sys.exit(f'attackers: {host} is not a loopback address')
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Crowd(arguments).run()


if __name__ == '__main__':
    main()

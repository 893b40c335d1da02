# SPDX-License-Identifier: BSD-2-Clause
"""What is measured, against whom, and what is wanted.

This is the table of promises: a row is a workload, the image we serve for it,
and for each peer the ratio we want to it: of operations per second at least,
of the server's CPU time for each operation at most. Peers without a wanted
ratio are run for comparison only.

Unless a row says otherwise, server and client share one core and speak over a
Unix socket: that measures the work itself, without the luck of the scheduler.
"""

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Peer:
    who: str                        # SERVER:IMAGE
    rate: Optional[float] = None    # operations/s: ours over theirs, at least
    cpu: Optional[float] = None     # CPU/operation: ours over theirs, at most
    memory: Optional[float] = None  # ours over theirs, at most


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    load: dict              # nbd-load's options
    ours: str               # the image vhdkitd serves
    peers: tuple
    transport: str = 'unix'
    two_cores: bool = False
    kind: str = 'load'      # or 'idle', 'attach'
    cold: bool = False      # nothing of the image is in the page cache

    @property
    def writes(self):
        return self.load.get('op') in ('write', 'fua', 'write-flush', 'zero',
                                       'trim')

    @property
    def is_checked(self):
        """Do reads of it have a reference to be compared with?"""
        return (self.kind == 'load' and not self.cold and
                self.load.get('op', 'read') == 'read')


READ_4K = {'op': 'read', 'block': '4K', 'depth': 16}
READ_1M = {'op': 'read', 'block': '1M', 'depth': 4, 'sequential': True}
WRITE_4K = {'op': 'write', 'block': '4K', 'depth': 16}

WORKLOADS = (
    Workload(
        'r4k1', '4k random read, depth 1', {**READ_4K, 'depth': 1}, 'dynamic',
        (Peer('qemu-nbd:raw', rate=1.4, cpu=0.6),)),
    Workload(
        'r4k16', '4k random read, depth 16', READ_4K, 'dynamic',
        (Peer('nbd-server:raw', rate=4, cpu=0.25),
         Peer('qemu-nbd:dynamic', rate=6, cpu=0.15),
         Peer('nbdkit:raw'), Peer('qemu-storage-daemon:raw'))),
    Workload(
        'r64k16', '64k random read, depth 16', {**READ_4K, 'block': '64K'},
        'dynamic',
        (Peer('nbd-server:raw', rate=1.7, cpu=0.45),
         Peer('qemu-nbd:dynamic', rate=2.5, cpu=0.45))),
    Workload(
        'r1m4', '1M sequential read, depth 4', READ_1M, 'dynamic',
        (Peer('nbd-server:raw', rate=1.3, cpu=0.55),
         Peer('qemu-nbd:dynamic', rate=4, cpu=0.55),
         Peer('nbdkit:raw'), Peer('qemu-storage-daemon:raw'))),
    Workload(
        'r4k16-cold', '4k random read, depth 16, not cached',
        {**READ_4K, 'count': 20000, 'warmup': 0}, 'dynamic',
        (Peer('nbd-server:raw', rate=1), Peer('nbdkit:raw', rate=1),
         Peer('qemu-nbd:raw', rate=1)), cold=True),
    Workload(
        'r1m4-cold', '1M sequential read, depth 4, not cached',
        {**READ_1M, 'count': 1024, 'warmup': 0}, 'dynamic',
        (Peer('nbd-server:raw', rate=1), Peer('nbdkit:raw', rate=1),
         Peer('qemu-nbd:raw', rate=1)), cold=True),
    Workload(
        'r4k16-tcp', '4k random read, depth 16, TCP', READ_4K, 'dynamic',
        (Peer('nbd-server:raw', rate=5, cpu=0.2),), transport='tcp'),
    Workload(
        'r4k16-1on2', 'the same, two cores', READ_4K, 'dynamic',
        (Peer('nbdkit:raw', rate=1.5, cpu=0.5),),
        transport='tcp', two_cores=True),
    Workload(
        'r4k16-8on2', 'the same, two cores, 8 connections',
        {**READ_4K, 'connections': 8}, 'dynamic',
        (Peer('nbdkit:raw', rate=3, cpu=0.5),),
        transport='tcp', two_cores=True),
    Workload(
        'r4k16-64on2', 'the same, two cores, 64 connections',
        {**READ_4K, 'connections': 64}, 'dynamic',
        (Peer('nbdkit:raw', rate=3, cpu=0.5),),
        transport='tcp', two_cores=True),
    Workload(
        'w4k16', '4k random write, depth 16, allocated', WRITE_4K,
        'dynamic-w',
        (Peer('nbdkit:raw-w', rate=3.5, cpu=0.3),
         Peer('qemu-nbd:dynamic-w', rate=40, cpu=0.3))),
    Workload(
        'w1m4', '1M sequential write, depth 4, allocated',
        {'op': 'write', 'block': '1M', 'depth': 4, 'sequential': True},
        'dynamic-w',
        (Peer('nbdkit:raw-w', rate=1.1, cpu=0.85),
         Peer('qemu-nbd:dynamic-w', rate=3.5, cpu=0.85))),
    Workload(
        'new1m4', 'new blocks, 1M sequential, depth 4',
        {'op': 'write', 'block': '1M', 'depth': 4, 'sequential': True,
         'count': 1024}, 'new',
        (Peer('qemu-nbd:new', rate=4.5, cpu=0.3), Peer('nbdkit:new-raw'))),
    Workload(
        'new64k16', 'new blocks, 64k sequential, depth 16',
        {'op': 'write', 'block': '64K', 'depth': 16, 'sequential': True,
         'count': 16384}, 'new',
        (Peer('qemu-nbd:new', rate=3.5, cpu=0.3), Peer('nbdkit:new-raw'))),
    Workload(
        'new4k16', 'new blocks, 4k random, depth 16',
        {**WRITE_4K, 'count': 16384, 'range': '1G'}, 'new',
        (Peer('qemu-nbd:new', rate=40, cpu=0.05), Peer('nbdkit:new-raw'))),
    Workload(
        'fua4k16', '4k write with FUA, depth 16', {**WRITE_4K, 'op': 'fua'},
        'dynamic-w', (Peer('nbdkit:raw-w', rate=2.5, cpu=0.5),)),
    Workload(
        'wflush4k1', '4k write, then flush, depth 1',
        {'op': 'write-flush', 'block': '4K', 'depth': 1},
        'dynamic-w', (Peer('nbdkit:raw-w', rate=1.3, cpu=0.85),)),
    Workload(
        'zero1m4', 'write zeroes, 1M sequential, depth 4',
        {'op': 'zero', 'block': '1M', 'depth': 4, 'sequential': True},
        'dynamic-w', (Peer('qemu-nbd:dynamic-w', rate=40, cpu=0.05),)),
    Workload(
        'status', 'block status of a sparse 100 GiB image',
        {'op': 'status', 'warmup': 0.1}, 'sparse',
        (Peer('qemu-nbd:sparse', rate=5, cpu=0.2),)),
    Workload(
        'child-r4k16', 'differencing, 4k random read, depth 16', READ_4K,
        'child', (Peer('nbdkit+vhdimount:child', rate=100, cpu=0.05),)),
    Workload(
        'child-r1m4', 'differencing, 1M sequential read, depth 4', READ_1M,
        'child', (Peer('nbdkit+vhdimount:child', rate=80, cpu=0.05),)),
    Workload(
        'chain-r4k16', 'differencing three deep, 4k random read, depth 16',
        READ_4K, 'chain', (Peer('vhdkitd:dynamic', rate=0.9, cpu=1.15),)),
    Workload(
        'chain-r1m4', 'differencing three deep, 1M sequential read, depth 4',
        READ_1M, 'chain', (Peer('vhdkitd:dynamic', rate=0.9, cpu=1.15),)),
    Workload(
        'fixed-r4k16', 'fixed VHD, 4k random read, depth 16', READ_4K, 'fixed',
        (Peer('vhdkitd:raw', rate=0.98, cpu=1.03),)),
    Workload(
        'fixed-r1m4', 'fixed VHD, 1M sequential read, depth 4', READ_1M,
        'fixed', (Peer('vhdkitd:raw', rate=0.98, cpu=1.03),)),
    Workload(
        'dynamic-r4k16', 'dynamic VHD, 4k random read, depth 16', READ_4K,
        'dynamic', (Peer('vhdkitd:raw', rate=0.95, cpu=1.06),
                    Peer('vhdkitd:fixed'))),
    Workload(
        'dynamic-r1m4', 'dynamic VHD, 1M sequential read, depth 4', READ_1M,
        'dynamic', (Peer('vhdkitd:raw', rate=0.95, cpu=1.06),
                    Peer('vhdkitd:fixed'))),
    Workload(
        'tls-r4k16', 'TLS 1.3, 4k random read, depth 16', READ_4K, 'dynamic',
        (Peer('nbdkit:raw', rate=2.4, cpu=0.4),), transport='tls'),
    Workload(
        'tls-r1m4', 'TLS 1.3, 1M sequential read, depth 4', READ_1M,
        'dynamic', (Peer('nbdkit:raw', rate=1.3, cpu=0.6),), transport='tls'),
    Workload(
        'tls-connect', 'TLS handshakes with certificates', {'op': 'connect'},
        'dynamic', (Peer('nbdkit:raw', rate=1.7, cpu=0.5),), transport='tls'),
    Workload(
        'idle', 'memory of an idle connection', {'connections': 10000},
        'dynamic', (Peer('qemu-nbd:raw', memory=1.0),), kind='idle'),
    Workload(
        'idle-tls', 'memory of an idle connection, TLS', {'connections': 10000},
        'dynamic', (Peer('qemu-nbd:raw', memory=1.0),),
        transport='tls', kind='idle'),
    Workload(
        'attach', 'attach of a 2040 GiB image with 1,000,000 blocks', {},
        'huge', (Peer('qemu-nbd:huge', rate=1, memory=1.2),), kind='attach'),
)

# The plot's two curves for each of these images: throughput over depth, and
# over the size of a request.
PLOT_IMAGES = ('raw', 'fixed', 'dynamic', 'child')
PLOT_DEPTHS = (1, 2, 4, 8, 16, 32, 64)
PLOT_DEPTHS_BLOCK = 4096
PLOT_BLOCKS = (4096, 16384, 65536, 262144, 1048576)
PLOT_BLOCKS_DEPTH = 16

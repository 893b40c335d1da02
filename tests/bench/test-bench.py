#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What of the benchmark needs no clock: its table, arithmetic, images, plot."""

import sys

sys.dont_write_bytecode = True

import os
import pathlib
import shutil
import subprocess
import xml.dom.minidom

import images
import plot
import report
import servers
import vhdfile
import workloads

cases = 0
failures = 0


def case(sentence, good, detail=''):
    global cases, failures
    cases += 1
    failures += not good
    for line in [] if good else str(detail).splitlines():
        print('#', line)
    print(f'{"ok" if good else "not ok"} {cases} - {sentence}', flush=True)


def skip(sentence, why):
    global cases
    cases += 1
    print(f'ok {cases} - {sentence} # SKIP {why}', flush=True)


def test_table():
    names = [w.name for w in workloads.WORKLOADS]
    case('workloads have names of their own', len(names) == len(set(names)))
    known = servers.known(servers.Vhdkitd())
    for workload in workloads.WORKLOADS:
        contenders = [peer.who.split(':') for peer in workload.peers]
        case(f'{workload.name}: images and servers are known',
             workload.ours in images.IMAGES and
             all(server in known and image in images.IMAGES
                 for server, image in contenders), contenders)
        case(f'{workload.name}: something is wanted',
             any(peer.rate or peer.cpu or peer.memory
                 for peer in workload.peers))


def test_verdicts():
    workload = workloads.Workload('w', 'W', {}, 'raw', (
        workloads.Peer('a:raw', rate=2, cpu=0.5),
        workloads.Peer('b:raw', rate=4, memory=1),
        workloads.Peer('c:raw')))
    figures = [report.Figures('vhdkitd:raw', rate=300, cpu=4, memory=100),
               report.Figures('a:raw', rate=100, cpu=8),
               report.Figures('b:raw', rate=100, memory=50),
               report.Figures('c:raw', rate=1)]
    found = {(v.peer, v.figure): v.reached
             for v in report.verdicts(workload, figures)}
    case('what is reached, and what is not', found == {
        ('a:raw', 'requests/s'): True, ('a:raw', 'server CPU'): True,
        ('b:raw', 'requests/s'): False, ('b:raw', 'memory'): False}, found)
    worst = report.summary_text(
        list(report.verdicts(workload, figures))).splitlines()
    case('the worst comes first', worst[0].startswith('2 of 4') and
         'memory' in worst[1] and 'requests/s' in worst[2], worst)
    missing = [report.Figures('vhdkitd:raw', error='not built'), *figures[1:]]
    case('what could not be measured is not reached', not any(
        v.reached for v in report.verdicts(workload, missing)))


def test_figures():
    runs = [{'per_second': n, 'server_cpu_us': 1.0} for n in (90, 100, 200)]
    figures = report.Figures.of('x:raw', runs, [])
    case('medians and spread', (figures.rate, figures.spread) == (100, 1.1),
         figures)
    texts = [report.number_text(n) for n in (243123, 75.31, 2.614, 0.0123)]
    case('numbers are short', texts == ['243,000', '75.3', '2.61', '0.0123'],
         texts)


def test_images():
    """Our writer's images, read by somebody else."""
    size = 5 * vhdfile.BLOCK
    raw = pathlib.Path('raw.img')
    dynamic, fixed = pathlib.Path('dynamic.vhd'), pathlib.Path('fixed.vhd')
    content = {number: os.urandom(vhdfile.BLOCK - number * 4096)
               for number in (3, 0, 4)}
    with open(raw, 'wb') as f:
        f.truncate(size)
        for number, data in content.items():
            f.seek(number * vhdfile.BLOCK)
            f.write(data)
    vhdfile.write_sparse(dynamic, size, content, content=content.get)
    vhdfile.write_fixed(fixed, raw, size)
    for path in dynamic, fixed:
        sentence = f'{path.stem} image reads as the bytes it was made of'
        if not shutil.which('qemu-img'):
            skip(sentence, 'package qemu-utils is not installed')
            continue
        run = subprocess.run(['qemu-img', 'compare', '-f', 'vpc', '-F', 'raw',
                              path, raw], capture_output=True, text=True,
                             check=False)
        case(sentence, run.returncode == 0, run.stdout + run.stderr)
    case('images are whole pages', dynamic.stat().st_size % 4096 == 0)


def test_plot():
    curves = [{'image': image, 'by_depth': [(1, 1000), (16, 4300)],
               'by_block': [(4096, 12), (1 << 20, 980)]}
              for image in workloads.PLOT_IMAGES]
    plot.write('plot.svg', curves)
    document = xml.dom.minidom.parse('plot.svg')
    lines = document.getElementsByTagName('polyline')
    case('the plot has two lines for each image', len(lines) == 8, len(lines))
    plot.write('plot.svg', [])
    case('and is a plot without figures', xml.dom.minidom.parse('plot.svg'))


def main():
    test_table()
    test_verdicts()
    test_figures()
    test_images()
    test_plot()
    print(f'1..{cases}')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""nbd-load tells right from wrong: against servers that behave, and against
some that do not (nbdkit with a plugin or a filter that spoils something)."""

import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import subprocess
import sys

NBD_LOAD = pathlib.Path(os.environ['BUILDDIR']) / 'tests/bench/nbd-load'
SIZE = 8 << 20
CONTENT_STATUS, SERVER_STATUS, REPLIES_STATUS = 3, 2, 4

cases = 0
failures = 0


def case(sentence, good, detail=''):
    global cases, failures
    cases += 1
    failures += not good
    for line in [] if good else str(detail).splitlines():
        print('#', line)
    print(f'{"ok" if good else "not ok"} {cases} - {sentence}', flush=True)


def load(server, *options):
    """Run nbd-load against `nbdkit SERVER`; its status and figures."""
    command = shlex.join([str(NBD_LOAD), *map(str, options)])
    run = subprocess.run(
        ['nbdkit', '-U', '-', *map(str, server),
         '--run', f'{command} --unix "$unixsocket"'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False)
    try:
        figures = json.loads(run.stdout)
    except ValueError:
        figures = {}
    figures['text'] = run.stdout + run.stderr[-2000:]
    return run.returncode, figures


def passes(sentence, server, *options):
    status, figures = load(server, *options)
    case(sentence, status == 0, figures['text'])
    return figures


def fails(sentence, wanted, server, *options):
    status, figures = load(server, *options)
    case(sentence, status == wanted, f'status {status}\n{figures["text"]}')
    return figures


def test_reads(data, spoilt):
    server = ['file', data]
    check = ['--check', data, '--count', 2000]
    passes('random reads compare equal', server, *check, '--depth', 16)
    passes('structured ones too', server, *check, '--depth', 16,
           '--structured')
    passes('large sequential ones on several connections', server, '--check',
           data, '--count', 64, '--block', '1M', '--depth', 4,
           '--connections', 3, '--sequential')
    passes('odd sizes', server, *check, '--block', 1001, '--offset', 7)
    passes('in bursts, one by one', server, *check, '--depth', 8, '--burst',
           '--one-by-one')
    fails('one wrong byte is found', CONTENT_STATUS, server, '--check', spoilt,
          '--block', '64K', '--sequential', '--count', SIZE >> 16)


def test_writes():
    memory, loses_writes = ['memory', SIZE], ['null', SIZE]
    for operation in 'write', 'fua', 'write-flush':
        figures = passes(f'{operation}: what was written is there', memory,
                         '--op', operation, '--verify', '--depth', 8,
                         '--count', 3000)
        case(f'{operation}: it was read back', figures.get('verified', 0) > 500,
             figures['text'])
    passes('large writes', memory, '--op', 'write', '--verify', '--depth', 2,
           '--block', '1M', '--count', 20)
    fails('lost writes are found', CONTENT_STATUS, loses_writes, '--op',
          'write', '--verify', '--depth', 8, '--count', 100)


def test_counts(data):
    figures = passes('--count is kept to', ['file', data], '--count', 1234,
                     '--depth', 16)
    case('and reported', figures.get('count') == 1234, figures['text'])
    figures = passes('--time ends it', ['file', data], '--time', 0.2,
                     '--warmup', 0)
    case('with a latency', (figures.get('p50_us') or 0) > 0, figures['text'])
    figures = fails('refused requests are told', REPLIES_STATUS,
                    ['--filter=error', 'file', data, 'error-pread=EIO',
                     'error-pread-rate=100%'], '--count', 10)
    case('with the error', figures.get('first_error') == 5, figures['text'])


def test_other_operations(data):
    memory = ['memory', SIZE]
    for operation in 'zero', 'trim', 'flush':
        passes(operation, memory, '--op', operation, '--count', 100,
               '--depth', 4)
    for connections in 1, 5:
        passes(f'connect, {connections} at once', memory, '--op', 'connect',
               '--count', 50, '--connections', connections)
    passes('idle', memory, '--op', 'idle', '--connections', 20)
    figures = passes('block status', ['data', 'data=@1048576 1', 'size=4M'],
                     '--op', 'status', '--count', 3)
    case('finds hole, data, hole', figures.get('extents') == 3,
         figures['text'])


def of_connections(log):
    """What was begun and ended on each connection, in order, by its number; and
    the exports' names."""
    steps, names = {}, set()
    for line in log.read_text().splitlines():
        found = re.search(r'connection=(\d+) (\.\.\.)?(\w+) (.*)', line)
        if not found:
            continue
        number, ends, what, rest = found.groups()
        if name := re.search(r'export=([\w-]+)', rest):
            names.add(name.group(1))
        if what in ('Read', 'Write', 'Flush'):
            steps.setdefault(number, []).append(
                (what, bool(ends), *re.findall(r'(?:offset|count)=0x(\w+)',
                                               rest)))
    return steps, names


def flushes_alone(steps):
    """A flush begins when all is answered, and nothing begins during it."""
    pending = []
    for what, ends, *_ in steps:
        if ends:
            pending.remove(what)
        elif pending and (what == 'Flush' or 'Flush' in pending):
            return False
        else:
            pending.append(what)
    return not pending


def test_replay():
    trace, log = pathlib.Path('trace.csv'), pathlib.Path('replay.log')
    lines = [f'{n},{"RWRWW"[n % 5]},{n * 4096},{4096 << n % 3}'
             for n in range(200)]
    for at in 150, 100, 50:
        lines.insert(at, '9,F,0,0')
    trace.write_text('# a comment\n' + '\n'.join(lines) + '\n')
    server = ['--filter=log', 'memory', SIZE, f'logfile={log.resolve()}']
    replay = ['--op', 'replay', '--trace', trace, '--connections', 3,
              '--export', 'machine-%u']
    wanted = [('Flush',) if ',F,' in line else
              ({'R': 'Read', 'W': 'Write'}[line.split(',')[1]],
               *(f'{int(word):x}' for word in line.split(',')[2:]))
              for line in lines]

    figures = passes('a trace is replayed', server, *replay)
    steps, names = of_connections(log)
    begun = [[(what, *rest) for what, ends, *rest in mine if not ends]
             for mine in steps.values()]
    case('in order, on each connection', begun == [wanted] * 3, begun[:1])
    case('each has an export of its own',
         names == {f'machine-{n}' for n in range(3)}, names)
    case('all of it is counted', figures.get('count') == 3 * len(lines),
         figures['text'])

    passes('also several at once', server, *replay, '--depth', 8)
    steps, _ = of_connections(log)
    case('but a flush', all(map(flushes_alone, steps.values())), steps)
    trace.write_text('1,X,0,4096\n')
    fails('what is no trace is refused', 1, server, *replay)


def test_tls(data):
    keys, others = pathlib.Path('keys.psk'), pathlib.Path('others.psk')
    for path in keys, others:
        path.write_text(f'bench:{secrets.token_hex(32)}\n')
    server = ['--tls=require', f'--tls-psk={keys.resolve()}', 'file', data]
    passes('TLS with a pre-shared key', server, '--tls-psk', keys.resolve(),
           '--check', data, '--count', 500, '--depth', 16)
    fails('another key is refused', SERVER_STATUS, server, '--tls-psk',
          others.resolve(), '--count', 1)
    fails('no TLS is refused', SERVER_STATUS, server, '--count', 1)


def test_cpu(data):
    busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        figures = passes('the CPU time of a process is read', ['file', data],
                         '--server-pid', busy.pid, '--time', 0.5)
        case('and is not nothing', (figures.get('server_cpu_us') or 0) > 0,
             figures['text'])
    finally:
        busy.kill()
        busy.wait()


def main():
    if not NBD_LOAD.exists():
        print('SKIP: nbd-load is not built without TLS')
        sys.exit(77)
    if not shutil.which('nbdkit'):
        print('SKIP: package nbdkit is not installed')
        sys.exit(77)
    data = pathlib.Path('data').resolve()
    spoilt = pathlib.Path('spoilt').resolve()
    content = bytearray(os.urandom(SIZE))
    data.write_bytes(content)
    content[SIZE // 3] ^= 1
    spoilt.write_bytes(content)

    test_reads(data, spoilt)
    test_writes()
    test_counts(data)
    test_other_operations(data)
    test_replay()
    test_tls(data)
    test_cpu(data)
    print(f'1..{cases}')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()

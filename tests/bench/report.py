# SPDX-License-Identifier: BSD-2-Clause
"""Medians, ratios, and whether what was wanted is reached."""

import dataclasses
import statistics
from typing import Optional

# What is compared: the figure, what to call it, and whether more is better.
FIGURES = (
    ('rate', 'requests/s', True),
    ('cpu', 'server CPU', False),
    ('memory', 'memory', False),
)


@dataclasses.dataclass
class Figures:
    """The medians of one contender's runs of one workload."""
    who: str
    rate: Optional[float] = None     # operations per second
    cpu: Optional[float] = None      # server's microseconds for each
    memory: Optional[float] = None   # bytes
    p50: Optional[float] = None      # microseconds
    p99: Optional[float] = None
    client_cpu: Optional[float] = None   # its share of a core
    client_bound: bool = False
    spread: Optional[float] = None   # of the rates: (most - least) / median
    runs: int = 0
    error: Optional[str] = None

    @classmethod
    def of(cls, who, runs, errors):
        def median(name):
            values = [run[name] for run in runs if run.get(name) is not None]
            return statistics.median(values) if values else None

        rates = [run['per_second'] for run in runs if run.get('per_second')]
        spread = None
        if len(rates) > 1:
            spread = (max(rates) - min(rates)) / statistics.median(rates)
        return cls(who, rate=median('per_second'), cpu=median('server_cpu_us'),
                   memory=median('memory'), p50=median('p50_us'),
                   p99=median('p99_us'), client_cpu=median('client_cpu_share'),
                   client_bound=any(run.get('client_is_bottleneck')
                                    for run in runs),
                   spread=spread, runs=len(runs),
                   error=errors[0] if errors else None)


@dataclasses.dataclass
class Verdict:
    """One wanted ratio, and the one that was found."""
    workload: str
    title: str
    peer: str
    figure: str
    more_is_better: bool
    wanted: float
    found: Optional[float]      # None: could not be measured
    why: str = ''

    @property
    def reached(self):
        if self.found is None:
            return False
        if self.more_is_better:
            return self.found >= self.wanted
        return self.found <= self.wanted

    @property
    def shortfall(self):
        """How far off, as a factor: above 1 it is not reached."""
        if not self.found:
            return float('inf')
        return (self.wanted / self.found if self.more_is_better
                else self.found / self.wanted)

    def __str__(self):
        sign = '>=' if self.more_is_better else '<='
        found = ratio_text(self.found) if self.found else 'not measured'
        return f'{found} (wanted {sign} {self.wanted:g})'


def verdicts(workload, figures):
    """`figures` are those of the workload's contenders, ours first."""
    ours = figures[0]
    for peer, theirs in zip(workload.peers, figures[1:]):
        for name, title, more_is_better in FIGURES:
            wanted = getattr(peer, name)
            if wanted is None:
                continue
            a, b = getattr(ours, name), getattr(theirs, name)
            found = a / b if a is not None and b else None
            why = '' if found else ours.error or theirs.error or 'no figure'
            yield Verdict(workload.name, workload.title, theirs.who, title,
                          more_is_better, wanted, found, why)


def number_text(value, digits=3):
    """A number a person can read: 243,000  75.3  2.61."""
    if value is None:
        return '-'
    if value >= 1000:
        rounding = max(10 ** (len(str(int(value))) - digits), 1)
        return f'{round(value / rounding) * rounding:,.0f}'
    return f'{value:.{digits}g}'


def ratio_text(value):
    return '-' if value is None else f'{value:.3g}x'


def memory_text(value):
    if value is None:
        return '-'
    for unit in ('B', 'KiB', 'MiB'):
        if value < 1024:
            return f'{value:.3g} {unit}'
        value /= 1024
    return f'{value:.3g} GiB'


def row_text(workload, figures):
    """The lines of one workload in the table."""
    where = [workload.transport] + ['two cores'] * workload.two_cores
    lines = [f'{workload.title} [{workload.name}; {", ".join(where)}]']
    ours = figures[0]
    found = {}
    for verdict in verdicts(workload, figures):
        found.setdefault(verdict.peer, []).append(verdict)
    for f in figures:
        if f.error and not f.runs:
            lines.append(f'  {f.who:24} {f.error}')
            continue
        line = f'  {f.who:24}'
        if f.rate:
            line += f' {number_text(f.rate):>10}/s'
        if f.cpu:
            line += f' {number_text(f.cpu):>8} us CPU'
        if f.p99:
            line += f'  p50 {number_text(f.p50)} p99 {number_text(f.p99)} us'
        if f.memory is not None:
            line += f'  {memory_text(f.memory)}'
        if f.client_bound:
            line += '  (limited by the client)'
        lines.append(line)
        if f is ours or not ours.runs:
            continue
        for verdict in found.get(f.who, []):
            mark = 'reached' if verdict.reached else 'NOT REACHED'
            lines.append(f'  {"":24} {verdict.figure:>12} {verdict}: {mark}')
        if f.who not in found and ours.rate and f.rate:
            lines.append(f'  {"":24} {"requests/s":>12} '
                         f'{ratio_text(ours.rate / f.rate)}')
    return '\n'.join(lines)


def summary_text(all_verdicts):
    """What was reached, and what was not, the worst first."""
    missed = sorted((v for v in all_verdicts if not v.reached),
                    key=lambda v: v.shortfall, reverse=True)
    reached = len(all_verdicts) - len(missed)
    lines = [f'{reached} of {len(all_verdicts)} wanted ratios reached.']
    for verdict in missed:
        lines.append(f'  {verdict.workload:14} {verdict.figure:12} '
                     f'against {verdict.peer:22} {verdict}')
    return '\n'.join(lines)

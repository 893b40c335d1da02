# SPDX-License-Identifier: BSD-2-Clause
"""The images that are served, made on demand in the bench directory.

Every image is an entry of IMAGES: how to make it, and, where reads of it are
to be checked, which file holds the same bytes. The made ones are kept from run
to run; delete the directory to have them made anew.
"""

import dataclasses
import os
import pathlib
import random
import shutil
from typing import Callable, Optional

import vhdfile

GIB = 1 << 30
SIZE = 1 * GIB                  # of the images full of random data
FRESH_SIZE = 4 * GIB            # of the empty ones that are written to
SPARSE_SIZE = 100 * GIB         # 64 KiB of data in every 16 MiB
HUGE_SIZE = 2040 * GIB
HUGE_BLOCKS = 1_000_000
BLOCKS = SIZE // vhdfile.BLOCK


@dataclasses.dataclass(frozen=True)
class Image:
    file: str
    make: Callable[[pathlib.Path], None]    # given the path to make
    needs: tuple = ()                       # images to be made before it
    reference: Optional[str] = None         # the image with the same bytes
    fresh: bool = False                     # made anew for each run
    summary: str = ''

    @property
    def is_raw(self):
        return self.file.endswith('.img')

    @property
    def is_child(self):
        return self.file.startswith(('child', 'chain')) and not self.is_raw


def _read_block(path, number):
    with open(path, 'rb') as f:
        f.seek(number * vhdfile.BLOCK)
        return f.read(vhdfile.BLOCK)


# What a child holds is another block of its ancestor, one that depends on how
# far up the child stands: a server that looks in the wrong layer is found out.
def _layer_block(raw, layer, number):
    return _read_block(raw, (number + 1 + 7 * layer) % BLOCKS)


def _make_raw(path):
    with open(path, 'wb') as f:
        for _ in range(SIZE // (4 << 20)):
            f.write(os.urandom(4 << 20))


def _make_fixed(path):
    vhdfile.write_fixed(path, path.with_name('raw.img'), SIZE)


def _make_dynamic(path):
    raw = path.with_name('raw.img')
    vhdfile.write_sparse(path, SIZE, range(BLOCKS),
                         content=lambda number: _read_block(raw, number))


def _child(parent, layer, blocks):
    def make(path):
        raw = path.with_name('raw.img')
        vhdfile.write_sparse(path, SIZE, blocks, path.with_name(parent),
                             lambda number: _layer_block(raw, layer, number))
    return make


def _chain_bytes(layers):
    """What a chain of children with these blocks reads as."""
    def make(path):
        raw = path.with_name('raw.img')
        with open(path, 'wb') as f:
            for number in range(BLOCKS):
                inside = [layer for layer, blocks in enumerate(layers)
                          if number in blocks]
                f.write(_layer_block(raw, inside[-1], number) if inside
                        else _read_block(raw, number))
    return make


def _copy(source):
    def make(path):
        shutil.copyfile(path.with_name(source), path)
    return make


def _make_sparse(path):
    data = os.urandom(64 << 10)
    vhdfile.write_sparse(path, SPARSE_SIZE,
                         range(0, SPARSE_SIZE // vhdfile.BLOCK, 8),
                         content=lambda number: data)


def _make_huge(path):
    """In no order, as a disk that was written to at random would be."""
    blocks = list(range(HUGE_SIZE // vhdfile.BLOCK))
    random.Random(1).shuffle(blocks)
    vhdfile.write_sparse(path, HUGE_SIZE, blocks[:HUGE_BLOCKS])


def _make_new(path):
    vhdfile.write_sparse(path, FRESH_SIZE)


def _make_new_raw(path):
    with open(path, 'wb') as f:
        f.truncate(FRESH_SIZE)


# Blocks of the children, from the lowest layer up. They overlap, so that upper
# layers hide lower ones; what is in none comes from the dynamic image below.
_CHILD = (range(0, BLOCKS, 2),)
_CHAIN = (range(0, BLOCKS, 2), range(0, BLOCKS, 3), range(0, BLOCKS, 5))

IMAGES = {
    'raw': Image('raw.img', _make_raw, reference='raw',
                 summary='1 GiB of random bytes'),
    'fixed': Image('fixed.vhd', _make_fixed, ('raw',), 'raw',
                   summary='the same bytes as a fixed VHD'),
    'dynamic': Image('dynamic.vhd', _make_dynamic, ('raw',), 'raw',
                     summary='the same bytes as a dynamic VHD'),
    'child': Image('child.vhd', _child('dynamic.vhd', 0, _CHILD[0]),
                   ('dynamic',), 'child-bytes',
                   summary='a child of it that has every even block'),
    'child-bytes': Image('child-bytes.img', _chain_bytes(_CHILD), ('raw',)),
    'chain-1': Image('chain-1.vhd', _child('dynamic.vhd', 0, _CHAIN[0]),
                     ('dynamic',)),
    'chain-2': Image('chain-2.vhd', _child('chain-1.vhd', 1, _CHAIN[1]),
                     ('chain-1',)),
    'chain': Image('chain-3.vhd', _child('chain-2.vhd', 2, _CHAIN[2]),
                   ('chain-2',), 'chain-bytes',
                   summary='three children above the dynamic VHD'),
    'chain-bytes': Image('chain-bytes.img', _chain_bytes(_CHAIN), ('raw',)),
    'raw-w': Image('raw-w.img', _copy('raw.img'), ('raw',),
                   summary='a copy of raw, to overwrite'),
    'fixed-w': Image('fixed-w.vhd', _copy('fixed.vhd'), ('fixed',),
                     summary='a copy of fixed, to overwrite'),
    'dynamic-w': Image('dynamic-w.vhd', _copy('dynamic.vhd'), ('dynamic',),
                       summary='a copy of dynamic, to overwrite'),
    'new': Image('new.vhd', _make_new, fresh=True,
                 summary='an empty dynamic VHD of 4 GiB, new for each run'),
    'new-raw': Image('new.img', _make_new_raw, fresh=True,
                     summary='an empty file of 4 GiB, new for each run'),
    'sparse': Image('sparse.vhd', _make_sparse,
                    summary='100 GiB dynamic VHD, 2 MiB in every 16 used'),
    'huge': Image('huge.vhd', _make_huge,
                  summary='2040 GiB dynamic VHD with 1,000,000 blocks'),
}


class Store:
    """The images' directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def path(self, name):
        return self.directory / IMAGES[name].file

    def need(self, name):
        """Make the image and what it is made of, unless they are there."""
        image, path = IMAGES[name], self.path(name)
        if path.exists() and not image.fresh:
            return path
        for other in image.needs:
            self.need(other)
        path.unlink(missing_ok=True)
        unfinished = path.with_name(path.name + '.tmp')
        image.make(unfinished)
        unfinished.rename(path)
        return path

    def reference(self, name):
        """The file with the bytes `name` should read as, or None."""
        reference = IMAGES[name].reference
        return self.need(reference) if reference else None

    def family(self, name):
        """The image and all that are read through it."""
        yield name
        for other in IMAGES[name].needs if IMAGES[name].is_child else ():
            yield from self.family(other)

    def renew(self, name, piece):
        """Write an image that is a copy anew, in pieces of a workload's size
        ('4K'), and put it on the disk. The page cache's folios are as large as
        the writes that made them, and a small write into a large folio costs
        several times one into a small folio: so all contenders find the folios
        that a history of this workload would have left."""
        source = self.path(IMAGES[name].needs[0])
        path = self.path(name)
        size = {'4K': 4096, '1M': 1 << 20}[piece]
        path.unlink(missing_ok=True)
        with open(source, 'rb') as old, open(path, 'wb', buffering=0) as new:
            while data := old.read(size):
                new.write(data)
            os.fsync(new.fileno())

    def settle(self, name):
        """Have the page cache of what is read made anew, by reading it from
        one end to the other: large folios, whatever was there before."""
        self.chill(name)
        self.warm(name)

    def chill(self, name):
        """Have none of it in the page cache."""
        for member in self.family(name):
            with open(self.path(member), 'rb', buffering=0) as f:
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def warm(self, name):
        """Have all that is no hole in the page cache."""
        for member in self.family(name):
            with open(self.path(member), 'rb', buffering=0) as f:
                _read_data(f.fileno())


def _read_data(fd):
    """Read all that is no hole."""
    buffer = bytearray(1 << 20)
    end = os.fstat(fd).st_size
    position = 0
    while position < end:
        try:
            position = os.lseek(fd, position, os.SEEK_DATA)
        except OSError:
            return
        hole = os.lseek(fd, position, os.SEEK_HOLE)
        while position < hole:
            n = os.preadv(fd, [buffer], position)
            if n <= 0:
                return
            position += n

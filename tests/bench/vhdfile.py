# SPDX-License-Identifier: BSD-2-Clause
"""Write VHD images from scratch, in the layout of Windows 10.

The benchmark needs images no tool makes in one go (a million allocated blocks,
children that hold every other block), always with the same layout, and while
vhdkit itself is what is measured. So it writes them itself.
"""

import struct
import uuid

SECTOR = 512
BLOCK = 2 << 20
BITMAP = SECTOR                  # one bit for each of a block's 4096 sectors
STRIDE = BLOCK + 4096            # from one block's data to the next one's
BAT_OFFSET = 1536
UNUSED = 0xFFFFFFFF
NOWHERE = 0xFFFFFFFFFFFFFFFF

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4


def _checksum(data):
    return ~sum(data) & 0xFFFFFFFF


def _round_up(n, unit):
    return (n + unit - 1) // unit * unit


def _geometry(size):
    """Cylinders, heads, sectors, as the format's specification computes it."""
    sectors = min(size // SECTOR, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
    else:
        per_track = 17
        heads = max((sectors // 17 + 1023) // 1024, 4)
        if sectors // 17 >= heads * 1024 or heads > 16:
            per_track, heads = 31, 16
            if sectors // 31 >= heads * 1024:
                per_track = 63
    return sectors // per_track // heads, heads, per_track


def _footer(size, kind, unique_id):
    footer = bytearray(SECTOR)
    data_offset = NOWHERE if kind == FIXED else SECTOR
    struct.pack_into('>8sIIQI4sI4sQQHBBI', footer, 0, b'conectix', 2, 0x10000,
                     data_offset, 0, b'win ', 0xA0000, b'Wi2k', size, size,
                     *_geometry(size), kind)
    footer[68:84] = unique_id
    struct.pack_into('>I', footer, 64, _checksum(footer))
    return bytes(footer)


def _header(entries, parent, locator_offset, locator):
    header = bytearray(1024)
    struct.pack_into('>8sQQIII', header, 0, b'cxsparse', NOWHERE, BAT_OFFSET,
                     0x10000, entries, BLOCK)
    if parent:
        name = parent.name.encode('utf-16-be')
        header[40:56] = _unique_id(parent)
        header[64:64 + len(name)] = name
        struct.pack_into('>4sIIIQ', header, 576, b'W2ru',
                         _round_up(len(locator), SECTOR), len(locator), 0,
                         locator_offset)
    struct.pack_into('>I', header, 36, _checksum(header))
    return bytes(header)


def _unique_id(path):
    """Of an image that is there."""
    with open(path, 'rb') as f:
        return f.read(SECTOR)[68:84]


def write_fixed(path, source, size):
    """A fixed image with the first `size` bytes of the file `source`."""
    with open(path, 'wb') as out, open(source, 'rb') as raw:
        while chunk := raw.read(min(4 << 20, size - out.tell())):
            out.write(chunk)
        out.write(_footer(size, FIXED, uuid.uuid4().bytes))


def write_sparse(path, size, blocks=(), parent=None, content=None):
    """A dynamic image, or a child of the image `parent` beside it.

    `blocks` are the numbers of the allocated ones, in the order in which they
    lie in the file. `content(number)` gives a block's bytes, and may leave out
    zeros at its end, which become a hole. Without `content` the blocks are
    holes altogether, bitmaps included.
    """
    entries = (size + BLOCK - 1) // BLOCK
    bat = [UNUSED] * entries
    unique_id = uuid.uuid4().bytes
    footer = _footer(size, DIFFERENCING if parent else DYNAMIC, unique_id)
    locator = f'.\\{parent.name}'.encode('utf-16-le') if parent else b''
    locator_offset = BAT_OFFSET + _round_up(4 * entries, SECTOR)
    metadata_end = locator_offset + _round_up(len(locator), SECTOR)

    with open(path, 'wb') as f:
        f.write(footer)
        f.write(_header(entries, parent, locator_offset, locator))
        f.seek(locator_offset)
        f.write(locator)
        data = _round_up(metadata_end + BITMAP, 4096)
        for number in blocks:
            bat[number] = (data - BITMAP) // SECTOR
            if content:
                f.seek(data - BITMAP)
                f.write(b'\xff' * BITMAP)
                f.seek(data)
                f.write(content(number))
            data += STRIDE
        f.seek(BAT_OFFSET)
        f.write(struct.pack(f'>{entries}I', *bat)
                .ljust(_round_up(4 * entries, SECTOR), b'\xff'))
        # The next block's bitmap sector is where the footer lies.
        f.seek(data - SECTOR)
        f.write(footer)

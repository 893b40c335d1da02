# SPDX-License-Identifier: BSD-2-Clause
"""VHDX images, made from the format's description alone ([MS-VHDX]): also such
as no free program makes, children and ones with a log, and wrong ones."""

import os
import struct
import uuid

MiB = 1 << 20
NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, FULL, PARTIAL = 0, 1, 2, 3, 6, 7

HEADERS = (64 << 10, 128 << 10)
REGIONS = (192 << 10, 256 << 10)
LOG, BAT, METADATA = 1 * MiB, 2 * MiB, 4 * MiB # where they lie here
PAGE = 4096

BAT_ID = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_ID = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
PARAMETERS_ID = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
SIZE_ID = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_ID = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL_ID = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")
LOCATOR_ID = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
LOCATOR_TYPE = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _table()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


def seal(data):
    """With its checksum, which lies at 4."""
    data = bytearray(data)
    data[4:8] = bytes(4)
    data[4:8] = struct.pack("<I", crc32c(data))
    return bytes(data)


def put(path, at, data):
    """Writes over a piece of a file."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def get(path, at, size):
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(size)


def reseal(path, at, size):
    put(path, at, seal(get(path, at, size)))


class Vhdx:
    """What a file is to hold.  A change to an attribute is one to the file that
    write() makes."""

    def __init__(self, size, block=MiB, sector=512, fixed=False):
        self.size, self.block, self.sector = size, block, sector
        self.fixed = fixed
        self.data_id = uuid.uuid4()
        self.disk_id = uuid.uuid4()
        self.log_id = uuid.UUID(int=0)
        self.sequence = (1, 2)
        self.log_size = MiB
        self.parent = None         # keys and values of the locator
        self.states = {}           # block: its state
        self.place = {}            # block: MiB of the file
        self.bitmap_place = {}     # chunk: MiB of the file
        self.bitmap_state = {}     # chunk: its state
        self.pieces = []           # (place in the file, bytes)
        self.end = METADATA + MiB  # of the file
        self.items = None          # of metadata, to be changed: items_of()
        self.regions = [(BAT_ID, BAT, self.bat_size(), 1),
                        (METADATA_ID, METADATA, MiB, 1)]

    # ------------------------------------------------------------ geometry

    @property
    def nblk(self):
        return -(-self.size // self.block)

    @property
    def ratio(self):
        return (1 << 23) * self.sector // self.block

    def bat_size(self):
        entries = (self.nblk // self.ratio + 1) * (self.ratio + 1)
        return -(-entries * 8 // MiB) * MiB

    def entry_at(self, blk):
        """Where the entry of a block lies in the file."""
        return BAT + (blk + blk // self.ratio) * 8

    def bitmap_entry_at(self, chunk):
        return BAT + ((chunk + 1) * (self.ratio + 1) - 1) * 8

    def entry(self, blk):
        return (self.place.get(blk, 0) << 20 |
                self.states.get(blk, NOT_PRESENT))

    # ------------------------------------------------------------- content

    def take(self, size):
        """A new place in the file."""
        at = self.end
        self.end += -(-size // MiB) * MiB
        return at

    def full(self, blk, data):
        at = self.take(self.block)
        self.states[blk], self.place[blk] = FULL, at // MiB
        self.pieces.append((at, data))

    def state(self, blk, state):
        self.states[blk] = state

    def partial(self, blk, data, present):
        """present: numbers of the sectors that are there."""
        self.full(blk, data)
        self.states[blk] = PARTIAL
        chunk, within = divmod(blk, self.ratio)
        if chunk not in self.bitmap_place:
            self.bitmap_place[chunk] = self.take(MiB) // MiB
            self.bitmap_state[chunk] = FULL
        nbytes = self.block // self.sector // 8
        bits = bytearray(nbytes)
        for sector in present:
            bits[sector // 8] |= 1 << sector % 8
        self.pieces.append((self.bitmap_place[chunk] * MiB + within * nbytes,
                            bytes(bits)))

    def child_of(self, data_id, **paths):
        self.parent = {"parent_linkage": "{" + str(data_id).upper() + "}",
                       **paths}

    # -------------------------------------------------------------- pieces

    def header(self, sequence):
        data = struct.pack("<4sIQ16s16s16sHHIQ", b"head", 0, sequence,
                           uuid.uuid4().bytes_le, self.data_id.bytes_le,
                           self.log_id.bytes_le, 0, 1, self.log_size, LOG)
        return seal(data.ljust(PAGE, b"\0"))

    def region_table(self):
        data = struct.pack("<4sIII", b"regi", 0, len(self.regions), 0)
        for ident, at, size, required in self.regions:
            data += struct.pack("<16sQII", ident.bytes_le, at, size, required)
        return seal(data.ljust(65536, b"\0"))

    def locator(self):
        pairs, text = b"", b""
        start = 20 + 12 * len(self.parent)
        for key, value in self.parent.items():
            key, value = key.encode("utf-16le"), value.encode("utf-16le")
            pairs += struct.pack("<IIHH", start + len(text),
                                 start + len(text) + len(key), len(key),
                                 len(value))
            text += key + value
        return struct.pack("<16sHH", LOCATOR_TYPE.bytes_le, 0,
                           len(self.parent)) + pairs + text

    def items_of(self):
        """id: (flags, bytes)"""
        flags = (1 if self.fixed else 0) | (2 if self.parent else 0)
        items = {
            PARAMETERS_ID: (4, struct.pack("<II", self.block, flags)),
            SIZE_ID: (6, struct.pack("<Q", self.size)),
            DISK_ID: (6, self.disk_id.bytes_le),
            LOGICAL_ID: (6, struct.pack("<I", self.sector)),
            PHYSICAL_ID: (6, struct.pack("<I", 4096)),
        }
        if self.parent:
            items[LOCATOR_ID] = (4, self.locator())
        return items

    def metadata(self):
        items = self.items or self.items_of()
        table = struct.pack("<8sHH20s", b"metadata", 0, len(items), b"")
        values = b""
        for ident, (flags, value) in items.items():
            table += struct.pack("<16sIIII", ident.bytes_le,
                                 65536 + len(values), len(value), flags, 0)
            values += value
        return table.ljust(65536, b"\0") + values

    def write(self, path):
        with open(path, "wb") as file:
            def write(at, data):
                file.seek(at)
                file.write(data)
            write(0, b"vhdxfile" + "tests".encode("utf-16le"))
            for at, sequence in zip(HEADERS, self.sequence):
                write(at, self.header(sequence))
            for at in REGIONS:
                write(at, self.region_table())
            write(METADATA, self.metadata())
            for blk in self.states:
                write(self.entry_at(blk), struct.pack("<Q", self.entry(blk)))
            for chunk, state in self.bitmap_state.items():
                write(self.bitmap_entry_at(chunk), struct.pack(
                    "<Q", self.bitmap_place.get(chunk, 0) << 20 | state))
            for at, data in self.pieces:
                write(at, data)
            file.truncate(max(self.end, os.fstat(file.fileno()).st_size))


# --------------------------------------------------------------------- the log

def log_entry(log_id, sequence, tail, changes, flushed, last=None):
    """changes: (place, PAGE bytes), or (place, a length of zeros)."""
    head = -(-(64 + 32 * len(changes)) // PAGE) * PAGE
    described, pages = b"", b""
    for at, what in changes:
        if isinstance(what, int):
            described += struct.pack("<4sIQQQ", b"zero", 0, what, at, sequence)
            continue
        described += struct.pack("<4s4s8sQQ", b"desc", what[-4:], what[:8], at,
                                 sequence)
        pages += struct.pack("<4sI4084sI", b"data", sequence >> 32, what[8:-4],
                             sequence & 0xffffffff)
    size = head + len(pages)
    data = struct.pack("<4sIIIQII16sQQ", b"loge", 0, size, tail, sequence,
                       len(changes), 0, log_id.bytes_le, flushed,
                       flushed if last is None else last)
    return seal((data + described).ljust(head, b"\0") + pages)


def set_log(path, image, entries, at=0):
    """Fills the log with these, and says in the headers that they count.
    `at`: where in the ring the first lies."""
    ring = bytearray(image.log_size)
    for entry in entries:
        for i in range(0, len(entry), PAGE):
            ring[at:at + PAGE] = entry[i:i + PAGE]
            at = (at + PAGE) % len(ring)
    put(path, LOG, ring)
    for where, sequence in zip(HEADERS, image.sequence):
        put(path, where, image.header(sequence))

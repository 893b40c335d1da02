# SPDX-License-Identifier: BSD-2-Clause
"""VHD images, read and written from the format's description alone, so that
tests do not believe what they test."""

import struct

SECTOR = 512
EPOCH = 946684800
UNUSED = 0xffffffff
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4

# name: (offset, struct format)
FOOTER = {
    "cookie": (0, "8s"), "features": (8, ">I"), "version": (12, ">I"),
    "data_offset": (16, ">Q"), "timestamp": (24, ">I"),
    "creator": (28, "4s"), "creator_version": (32, ">I"),
    "creator_os": (36, "4s"), "original_size": (40, ">Q"),
    "current_size": (48, ">Q"), "cylinders": (56, ">H"), "heads": (58, ">B"),
    "sectors": (59, ">B"), "type": (60, ">I"), "checksum": (64, ">I"),
    "id": (68, "16s"), "saved_state": (84, ">B"), "hidden": (85, ">B"),
}
HEADER = {
    "cookie": (0, "8s"), "next": (8, ">Q"), "table_offset": (16, ">Q"),
    "version": (24, ">I"), "entries": (28, ">I"), "block_size": (32, ">I"),
    "checksum": (36, ">I"), "parent_id": (40, "16s"),
    "parent_timestamp": (56, ">I"), "parent_name": (64, "512s"),
}


def checksum(data, at):
    return ~sum(data[:at] + data[at + 4:]) & 0xffffffff


class Fields:
    """Bytes with named fields; a change keeps the checksum true, unless it is
    of the checksum itself."""

    def __init__(self, table, data):
        self.__dict__["table"] = table
        self.__dict__["data"] = bytearray(data)

    def __getattr__(self, name):
        at, form = self.table[name]
        return struct.unpack_from(form, self.data, at)[0]

    def __setattr__(self, name, value):
        at, form = self.table[name]
        struct.pack_into(form, self.data, at, value)
        if name != "checksum":
            self.checksum = self.true_checksum()

    def true_checksum(self):
        return checksum(self.data, self.table["checksum"][0])


class Locator:
    def __init__(self, data):
        (self.code, self.space, self.len, _,
         self.off) = struct.unpack(">4sIIIQ", data)


class Image:
    """A file, read whole."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.bytes = bytearray(file.read())
        self.footer = Fields(FOOTER, self.bytes[-512:])
        self.header = None
        if self.footer.type != FIXED:
            at = self.footer.data_offset
            self.header = Fields(HEADER, self.bytes[at:at + 1024])

    @property
    def bat(self):
        at = self.header.table_offset
        return list(struct.unpack_from(f">{self.header.entries}I",
                                       self.bytes, at))

    def set_bat(self, blk, value):
        struct.pack_into(">I", self.bytes,
                         self.header.table_offset + 4 * blk, value)

    @property
    def bitmap_bytes(self):
        bits = self.header.block_size // SECTOR
        return -(-bits // 8 // SECTOR) * SECTOR

    @property
    def locators(self):
        return [Locator(bytes(self.header.data[576 + 24 * i:600 + 24 * i]))
                for i in range(8)]

    def locator_text(self, locator):
        data = bytes(self.bytes[locator.off:locator.off + locator.len])
        return data.decode("utf-16-le")

    def bitmap(self, blk):
        at = self.bat[blk] * SECTOR
        return bytes(self.bytes[at:at + self.bitmap_bytes])

    def save(self, path=None, head=True, end=True):
        """Writes what was changed: the header, and the footer in both
        places."""
        if self.header is not None:
            at = self.footer.data_offset
            self.bytes[at:at + 1024] = self.header.data
            if head:
                self.bytes[:512] = self.footer.data
        if end:
            self.bytes[-512:] = self.footer.data
        with open(path or self.path, "wb") as file:
            file.write(self.bytes)


def new_footer(kind, size, **fields):
    footer = Fields(FOOTER, bytes(512))
    values = {
        "cookie": b"conectix", "features": 2, "version": 0x10000,
        "data_offset": (1 << 64) - 1 if kind == FIXED else 512,
        "timestamp": 0x20000000, "creator": b"win ",
        "creator_version": 0xa0000, "creator_os": b"Wi2k",
        "original_size": size, "current_size": size, "cylinders": 65535,
        "heads": 16, "sectors": 255, "type": kind, "id": bytes(range(16)),
    }
    values.update(fields)
    for name, value in values.items():
        setattr(footer, name, value)
    return footer


def write_fixed(path, data, **fields):
    with open(path, "wb") as file:
        file.write(data)
        file.write(new_footer(FIXED, len(data), **fields).data)


def write_dynamic(path, size, blocks, block_size=2 << 20, parent=None,
                  **fields):
    """blocks: number -> (bitmap, data), put into the file packed and in the
    order given.  parent: fields of the header that make it differencing."""
    kind = DYNAMIC if parent is None else DIFFERENCING
    footer = new_footer(kind, size, **fields)
    entries = -(-size // block_size)
    header = Fields(HEADER, bytes(1024))
    values = {
        "cookie": b"cxsparse", "next": (1 << 64) - 1, "table_offset": 1536,
        "version": 0x10000, "entries": entries, "block_size": block_size,
    }
    values.update(parent or {})
    for name, value in values.items():
        setattr(header, name, value)
    table = [UNUSED] * (-(-entries * 4 // 512) * 128)
    place = 1536 + 4 * len(table)
    body = b""
    for blk, (bitmap, data) in blocks.items():
        table[blk] = (place + len(body)) // SECTOR
        body += bitmap + data
    with open(path, "wb") as file:
        file.write(footer.data + header.data)
        file.write(struct.pack(f">{len(table)}I", *table))
        file.write(body)
        file.write(footer.data)

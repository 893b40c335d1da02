# SPDX-License-Identifier: BSD-2-Clause
#
# The NBD protocol's vocabulary: constants, URIs, the shapes of requests and
# replies, and the encoders of option data.  Nothing here touches a
# connection but Endpoint.connect(), which opens one.

import enum
import socket
import struct
import time
import urllib.parse
from dataclasses import dataclass, field

NBDMAGIC = 0x4e42444d41474943
IHAVEOPT = 0x49484156454f5054
REPLY_MAGIC = 0x3e889045565a9
REQUEST_MAGIC = 0x25609513
SIMPLE_MAGIC = 0x67446698
STRUCTURED_MAGIC = 0x668e33ef
EXT_REQUEST_MAGIC = 0x21e41c71
EXT_REPLY_MAGIC = 0x6e8a278c

MAX_STRING = 4096
MAX_PAYLOAD = 32 << 20      # what any server should take
REPLY_CAP = 64 << 20        # no reply of a sane server is longer


class Opt(enum.IntEnum):
    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    PEEK_EXPORT = 4
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10
    EXTENDED_HEADERS = 11


class Rep(enum.IntEnum):
    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = (1 << 31) + 1
    ERR_POLICY = (1 << 31) + 2
    ERR_INVALID = (1 << 31) + 3
    ERR_PLATFORM = (1 << 31) + 4
    ERR_TLS_REQD = (1 << 31) + 5
    ERR_UNKNOWN = (1 << 31) + 6
    ERR_SHUTDOWN = (1 << 31) + 7
    ERR_BLOCK_SIZE_REQD = (1 << 31) + 8
    ERR_TOO_BIG = (1 << 31) + 9
    ERR_EXT_HEADER_REQD = (1 << 31) + 10


class Info(enum.IntEnum):
    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class Cmd(enum.IntEnum):
    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class Err(enum.IntEnum):
    OK = 0
    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108


class Chunk(enum.IntEnum):
    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    BLOCK_STATUS_EXT = 6
    ERROR = (1 << 15) + 1
    ERROR_OFFSET = (1 << 15) + 2


# Handshake and client flags
FIXED_NEWSTYLE = 1
NO_ZEROES = 2

# Transmission flags
HAS_FLAGS = 1 << 0
READ_ONLY = 1 << 1
SEND_FLUSH = 1 << 2
SEND_FUA = 1 << 3
ROTATIONAL = 1 << 4
SEND_TRIM = 1 << 5
SEND_WRITE_ZEROES = 1 << 6
SEND_DF = 1 << 7
CAN_MULTI_CONN = 1 << 8
SEND_RESIZE = 1 << 9
SEND_CACHE = 1 << 10
SEND_FAST_ZERO = 1 << 11
BLOCK_STATUS_PAYLOAD = 1 << 12

# Command flags
FUA = 1 << 0
NO_HOLE = 1 << 1
DF = 1 << 2
REQ_ONE = 1 << 3
FAST_ZERO = 1 << 4
PAYLOAD_LEN = 1 << 5

REPLY_DONE = 1
STATE_HOLE = 1
STATE_ZERO = 2


def show(kind, value):
    """A value with its name, as people will read it."""
    try:
        return kind(value).name
    except ValueError:
        return f"{kind.__name__.lower()} {value:#x}"


class Closed(Exception):
    """The server closed the connection where an answer was due."""


class Hung(Exception):
    """The server neither answered nor closed in time."""


class Garbled(Exception):
    """What the server sent breaks a rule of the protocol."""


@dataclass
class Endpoint:
    """Where a server listens and which export is meant."""
    family: int
    address: object
    export: str
    tls: bool
    certificates: str = None

    @classmethod
    def parse(cls, uri):
        u = urllib.parse.urlsplit(uri)
        query = dict(urllib.parse.parse_qsl(u.query))
        export = urllib.parse.unquote(u.path.removeprefix("/"))
        tls = u.scheme.startswith("nbds")
        if u.scheme in ("nbd", "nbds"):
            family, address = None, (u.hostname or "localhost",
                                     u.port or 10809)
        elif u.scheme in ("nbd+unix", "nbds+unix"):
            if "socket" not in query:
                raise ValueError(f"{uri}: needs ?socket=PATH")
            family, address = socket.AF_UNIX, query["socket"]
        else:
            raise ValueError(f"{uri}: not an nbd://, nbds://, nbd+unix:// "
                             "or nbds+unix:// URI")
        return cls(family, address, export, tls,
                   query.get("tls-certificates"))

    @property
    def is_tcp(self):
        return self.family != socket.AF_UNIX

    @property
    def hostname(self):
        return self.address[0] if self.is_tcp else "localhost"

    def connect(self, timeout, source=None):
        if self.is_tcp:
            s = socket.create_connection(
                self.address, timeout, (source, 0) if source else None)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        # A full backlog shows as EAGAIN on Unix sockets: wait, do not fail.
        end = time.monotonic() + timeout
        while True:
            try:
                s.connect(self.address)
                return s
            except BlockingIOError:
                if time.monotonic() > end:
                    s.close()
                    raise
                time.sleep(0.02)
            except OSError:
                s.close()
                raise


@dataclass
class OptReply:
    """One reply to an option."""
    type: int
    data: bytes

    def __str__(self):
        text = show(Rep, self.type)
        if self.type & (1 << 31) and self.data:
            text += f" ({self.data[:60].decode('utf-8', 'replace')!r})"
        return text


@dataclass
class Answer:
    """All replies to one option; the last one decides."""
    replies: list

    @property
    def type(self):
        return self.replies[-1].type

    @property
    def ok(self):
        return self.type == Rep.ACK

    @property
    def infos(self):
        """Information replies as {type: payload}."""
        return {struct.unpack(">H", r.data[:2])[0]: r.data[2:]
                for r in self.replies if r.type == Rep.INFO}

    @property
    def contexts(self):
        """Metadata contexts as [(id, name)], in the server's order."""
        return [(struct.unpack(">I", r.data[:4])[0], r.data[4:].decode())
                for r in self.replies if r.type == Rep.META_CONTEXT]

    @property
    def servers(self):
        """Listed exports as [(name, description)]."""
        out = []
        for r in self.replies:
            if r.type == Rep.SERVER:
                n = struct.unpack(">I", r.data[:4])[0]
                out.append((r.data[4:4 + n].decode(),
                            r.data[4 + n:].decode()))
        return out

    def __str__(self):
        return ", ".join(str(r) for r in self.replies[-4:])


@dataclass
class Request:
    """A command that was sent, and what has come back for it."""
    cmd: int
    flags: int
    offset: int
    length: int
    contexts: frozenset = frozenset()   # those BLOCK_STATUS must report on
    error: int = None
    message: str = ""
    data: bytearray = None
    kinds: list = field(default_factory=list)    # reply or chunk types seen
    spans: list = field(default_factory=list)    # content: (offset, length)
    status: dict = field(default_factory=dict)   # context id: [(len, flags)]
    done: bool = False

    @property
    def ok(self):
        return self.error == 0

    def __str__(self):
        text = show(Err, self.error)
        return f"{text} ({self.message!r})" if self.message else text


def string_fault(data):
    """Why these bytes are not a string of the protocol, or None."""
    if len(data) > MAX_STRING:
        return f"a string of {len(data)} bytes (at most {MAX_STRING})"
    if b"\0" in data:
        return "a string with a NUL"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "a string that is not UTF-8"
    return None


def info_data(name, requests=(), length=None, count=None):
    """The data of OPT_INFO and OPT_GO, with lies where asked for."""
    name = name.encode() if isinstance(name, str) else name
    return (struct.pack(">I", len(name) if length is None else length) + name
            + struct.pack(">H", len(requests) if count is None else count)
            + b"".join(struct.pack(">H", r) for r in requests))


def meta_data(name, queries=(), count=None):
    """The data of LIST_META_CONTEXT and SET_META_CONTEXT."""
    name = name.encode() if isinstance(name, str) else name
    out = struct.pack(">I", len(name)) + name
    out += struct.pack(">I", len(queries) if count is None else count)
    for q in queries:
        q = q.encode() if isinstance(q, str) else q
        out += struct.pack(">I", len(q)) + q
    return out

# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of TLS share: authorities, certificates and keys, made anew
for each case, and clients that use them.

A folder of certificates has the names that vhdkitd, libnbd, nbdkit and qemu
look for: ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem,
client-key.pem, ca-crl.pem.
"""

import os
import shutil
import socket
import ssl
import struct

from fronttest import PATIENCE, connect_tcp, connect_unix, read_all
from tooltest import check, contains, equal, need, program

IHAVEOPT = b"IHAVEOPT"
REPLY_MAGIC = 0x3e889045565a9
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS = 1, 2, 3, 5
OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY = 6, 7, 8
OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT = 9, 10
REP_ACK, REP_ERR_POLICY = 1, 0x80000002
REP_ERR_TLS_REQD, REP_ERR_UNKNOWN = 0x80000005, 0x80000006


# --------------------------------------------------------------------- making

def certtool(*args):
    need("certtool")
    program("certtool", *args)


class Authority:
    """Its files are NAME-key.pem and NAME-cert.pem."""

    def __init__(self, name="ca"):
        self.name = name
        self.serial = 100
        template(f"{name}.info", f"cn = Authority {name}", "ca",
                 "cert_signing_key", "crl_signing_key",
                 "expiration_days = 30")
        private_key(f"{name}-key.pem")
        certtool("--generate-self-signed",
                 "--load-privkey", f"{name}-key.pem",
                 "--template", f"{name}.info",
                 "--outfile", f"{name}-cert.pem")

    def sign(self, folder, role, *lines):
        """ROLE-key.pem and ROLE-cert.pem in folder."""
        self.serial += 1
        info, key = f"{folder}/{role}.info", f"{folder}/{role}-key.pem"
        template(info, f"serial = {self.serial}", "signing_key",
                 "tls_www_server" if role == "server" else "tls_www_client",
                 *lines)
        private_key(key)
        certtool("--generate-certificate", "--load-privkey", key,
                 "--load-ca-privkey", f"{self.name}-key.pem",
                 "--load-ca-certificate", f"{self.name}-cert.pem",
                 "--template", info, "--outfile", f"{folder}/{role}-cert.pem")

    def revoke(self, outfile, *certs, dates=("crl_next_update = 30",)):
        template("crl.info", *dates, "crl_number = 1")
        args = []
        if certs:
            with open("revoked.pem", "wb") as out:
                for cert in certs:
                    with open(cert, "rb") as file:
                        shutil.copyfileobj(file, out)
            args = ["--load-certificate", "revoked.pem"]
        certtool("--generate-crl", *args,
                 "--load-ca-privkey", f"{self.name}-key.pem",
                 "--load-ca-certificate", f"{self.name}-cert.pem",
                 "--template", "crl.info", "--outfile", outfile)


def template(path, *lines):
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


def private_key(path):
    certtool("--generate-privkey", "--key-type", "ecdsa", "--curve",
             "secp256r1", "--outfile", path)
    os.chmod(path, 0o600)


SERVER_NAMES = ("cn = localhost", "dns_name = localhost",
                "ip_address = 127.0.0.1")


def server_folder(authority, folder="server", *lines):
    """What --tls-certificates wants."""
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{authority.name}-cert.pem", f"{folder}/ca-cert.pem")
    authority.sign(folder, "server",
                   *(lines or SERVER_NAMES + ("expiration_days = 30",)))
    return folder


def client_folder(authority, name=None, folder="client", trusts=None):
    """A client's: whom it trusts and, with a name, who it is."""
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{(trusts or authority).name}-cert.pem",
                f"{folder}/ca-cert.pem")
    if name:
        authority.sign(folder, "client", f"cn = {name}",
                       "expiration_days = 30")
    return folder


def psk_file(path, *users):
    need("psktool")
    for user in users:
        program("psktool", "-u", user, "-p", path)
    os.chmod(path, 0o600)
    return path


# -------------------------------------------------------------------- clients

def uri(where, scheme="nbds", name="", **query):
    """where: a (host, port) or the path of a Unix socket; user=... is the
    user's name."""
    user = query.pop("user", None)
    user = f"{user}@" if user else ""
    if isinstance(where, str):
        scheme += "+unix"
        host, query["socket"] = "", os.path.abspath(where)
    else:
        host = f"localhost:{where[1]}"
    options = "&".join(f"{key.replace('_', '-')}={value}"
                       for key, value in query.items())
    return f"{scheme}://{user}{host}/{name}" + (f"?{options}" * bool(options))


def nbdinfo_size(where, size, **query):
    need("nbdinfo")
    out = program("nbdinfo", "--size", uri(where, **query)).out
    equal(int(out), size, "size by nbdinfo")


def nbdinfo_fails(where, *says, **query):
    """libnbd's client must fail, and say one of the words."""
    need("nbdinfo")
    done = program("nbdinfo", "--size", uri(where, **query), code=None)
    check(done.returncode != 0, f"nbdinfo succeeded: {done.out}")
    check(any(part in done.err for part in says),
          f"none of {says} in {done.err!r}")


def qemu_options(where, creds, hostname=None):
    if isinstance(where, str):
        server = ("server.type=unix,server.path=" + os.path.abspath(where))
    else:
        server = f"server.type=inet,server.host=localhost," \
                 f"server.port={where[1]}"
    options = f"driver=nbd,{server},tls-creds=creds"
    if hostname:
        options += f",tls-hostname={hostname}"
    return ["--object", creds, "--image-opts", options]


def fails(args, *says):
    """A client must fail, and say all of this; of a tuple, one."""
    need(args[0])
    done = program(*args, code=None)
    check(done.returncode > 0, f"{args[0]} succeeded: {done.out}")
    for part in says:
        if isinstance(part, tuple):
            check(any(p in done.err for p in part),
                  f"none of {part} is in {done.err!r}")
        else:
            contains(done.err, part)


# A server that refuses a client closes; which of the client's calls meets that
# is chance: one that reads, or one that still writes.
QEMU_CUT_OFF = ("TLS channel", "Error in the push function")
NBD_CLIENT_CUT_OFF = ("magic", "Connection reset by peer")


def qemu_fails(where, creds, *says, hostname=None):
    fails(["qemu-img", "info", *qemu_options(where, creds, hostname)], *says)


def nbd_client(where, folder, hostname="localhost"):
    """Lists the exports.  nbd-client gets by without a certificate, and has no
    pre-shared keys."""
    options = ["-cacertfile", f"{folder}/ca-cert.pem"]
    if os.path.exists(f"{folder}/client-cert.pem"):
        options += ["-certfile", f"{folder}/client-cert.pem",
                    "-keyfile", f"{folder}/client-key.pem"]
    return ["nbd-client", "-l", "-x", *options, "-tlshostname", hostname,
            "localhost", str(where[1])]


def nbd_client_fails(where, folder, hostname="localhost"):
    """It says no more than that there came no magic through TLS."""
    fails(nbd_client(where, folder, hostname), "Error: ", NBD_CLIENT_CUT_OFF)


def x509_creds(folder):
    return ("tls-creds-x509,id=creds,endpoint=client,"
            f"dir={os.path.abspath(folder)}")


def psk_creds(folder, user):
    return ("tls-creds-psk,id=creds,endpoint=client,"
            f"dir={os.path.abspath(folder)},username={user}")


# ------------------------------------------------------- a client of our own

class Raw:
    """The start of a conversation, byte by byte."""

    def __init__(self, where, flags=3):
        self.sock = (connect_unix(where) if isinstance(where, str)
                     else connect_tcp(*where))
        equal(read_all(self.sock, 18)[:16], b"NBDMAGICIHAVEOPT", "greeting")
        self.sock.sendall(struct.pack(">I", flags))

    def option(self, option, data=b""):
        self.sock.sendall(struct.pack(">8sII", IHAVEOPT, option, len(data)) +
                          data)

    def reply(self):
        """Option, type and data of the next reply; None at the end."""
        head = read_all(self.sock, 20)
        if not head:
            return None
        magic, option, kind, length = struct.unpack(">QIII", head)
        equal(magic, REPLY_MAGIC, "magic of a reply")
        return option, kind, read_all(self.sock, length)

    def start_tls(self, context, name="localhost"):
        self.option(OPT_STARTTLS)
        equal(self.reply(), (OPT_STARTTLS, REP_ACK, b""), "answer to STARTTLS")
        self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.sock.settimeout(PATIENCE)

    def go(self, name=b""):
        """Chooses an export; its size and flags."""
        self.option(OPT_GO, struct.pack(">I", len(name)) + name +
                    struct.pack(">H", 0))
        found = None
        while True:
            reply = self.reply()
            check(reply is not None, "closed during GO")
            _, kind, data = reply
            if kind == REP_ACK:
                return found
            check(kind == 3, f"reply {kind:#x} to GO: {data!r}")
            if struct.unpack(">H", data[:2])[0] == 0:
                found = struct.unpack(">QH", data[2:12])

    def request(self, command, offset=0, length=0, cookie=0, data=b"",
                flags=0):
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, flags, command,
                                      cookie, offset, length) + data)

    def simple_reply(self, length=0):
        head = read_all(self.sock, 16)
        magic, error, cookie = struct.unpack(">IIQ", head)
        equal(magic, 0x67446698, "magic of a simple reply")
        return error, cookie, read_all(self.sock, length)

    def close(self):
        self.sock.close()


def client_context(folder, **more):
    """Python's TLS, which is OpenSSL's."""
    context = ssl.create_default_context(
        cafile=os.path.join(folder, "ca-cert.pem"))
    cert = os.path.join(folder, "client-cert.pem")
    if os.path.exists(cert):
        context.load_cert_chain(cert, os.path.join(folder, "client-key.pem"))
    for key, value in more.items():
        setattr(context, key, value)
    return context


def closed(sock):
    """The server has closed this connection, in whatever manner."""
    try:
        return sock.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        return True
    except socket.timeout:
        return False

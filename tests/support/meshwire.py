"""The protocol as an outsider reads it (docs/PROTOCOL.md, docs/SECURITY.md): keys, certificates, frames, sealed
operations, records. Shares no code with the product, so that what both sides misread alike is few."""
import hashlib
import importlib.util
import os
import pathlib
import struct
import subprocess
import sys
import time

import nacl.exceptions
import nacl.signing

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FRAME, CERT, OPERATION = b"mesh30k/frame/2\0", b"mesh30k/cert/01\0", b"mesh30k/oper/01\0"
NODE_DOMAIN, ROOT_DOMAIN = b"mesh30k/node/2\0\0", b"mesh30k/root/2\0\0"
HEAD, SIGNATURE, CERT_BYTES, DIGEST = 120, 64, 300, 32
TYPES = {1: "Hello", 2: "Welcome", 3: "Goodbye", 4: "Heartbeat", 6: "BeatReply", 7: "Coordinate", 8: "Acknowledge",
         10: "Cancel", 16: "Freeze", 17: "Thaw", 18: "Relay", 19: "RelayAck"}
NUMBERS = {name: number for number, name in TYPES.items()}


def schema(folder):
    """The module that protoc makes of proto/mesh.proto."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={folder}", "mesh.proto"], check=True)
    spec = importlib.util.spec_from_file_location("mesh_pb2", pathlib.Path(folder) / "mesh_pb2.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mesh_pb2"] = module
    spec.loader.exec_module(module)
    return module


def unit(tier, sector=0, cluster=0, agent=0):
    return tier << 48 | sector << 32 | cluster << 16 | agent


def kid_of(public):
    return hashlib.blake2b(bytes(public), digest_size=32).digest()[:8]


def digest(data):
    return hashlib.blake2b(data).digest()[:DIGEST]


def root_of(frame, leaf, path):
    """What the signature of a frame is over, given its path: digests of siblings, from the leaf upwards."""
    at = digest(frame)
    for level, sibling in enumerate(path):
        at = digest(NODE_DOMAIN + (sibling + at if leaf >> level & 1 else at + sibling))
    return ROOT_DOMAIN + at


def key_file(path, what):
    first, text, rest = pathlib.Path(path).read_text().split("\n")
    assert first == f"mesh30k {what} 1" and rest == "", path
    return bytes.fromhex(text)


def boot_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Refused(Exception):
    pass


class Signer:
    """One process of the mesh: its session key, and frames in its name."""

    def __init__(self, keys, name):
        self.name = name
        self.mesh = kid_of(key_file(f"{keys}/issuer.pub", "issuer-public"))
        self.process = nacl.signing.SigningKey(key_file(f"{keys}/{name}.key", "process-key"))
        self.certificate = key_file(f"{keys}/{name}.cert", "certificate")
        self.session_key = nacl.signing.SigningKey.generate()
        now = int(time.time())
        made = bytearray(self.certificate)
        until = min(now - 300 + 86400, struct.unpack_from("<q", made, 220)[0])
        made[5] = 2
        made[172:204] = bytes(self.session_key.verify_key)
        made[204:212] = kid_of(self.process.verify_key)
        struct.pack_into("<qqQ", made, 212, now - 300, until, int(time.time() * 1000))
        made[236:] = self.process.sign(CERT + struct.pack("<I", 236) + bytes(made[:236])).signature
        self.chain = self.certificate + bytes(made)
        self.session = os.urandom(8)
        self.seq = 0

    def frame(self, to, records):
        """to: (token, port), or None: every process. Returns (subject, bytes); the chain is always there."""
        token, port = to or ("", 0)
        self.seq += 1
        depth = self.seq % 4  # alone, or as one of up to eight that share a signature
        leaf = self.seq // 4 % (1 << depth)
        body = b"".join(struct.pack("<H", len(r)) + r for r in records)
        head = (FRAME + struct.pack("<IHH", HEAD - 20 + len(body) + len(self.chain), 1, len(records)) + self.mesh +
                self.name.encode().ljust(16, b"\0") + token.encode().ljust(16, b"\0") +
                struct.pack("<HHI", 0, port, len(body)) + kid_of(self.session_key.verify_key) + self.session +
                struct.pack("<QqIBBHQ", self.seq, int(time.time() * 1000), 30000, leaf, depth, 0, 0))
        signed = head + body + self.chain
        path = [os.urandom(DIGEST) for _ in range(depth)]
        subject = f"mesh.p.{token}.{port}.{self.name}.0" if to else f"mesh.all.{self.name}.0"
        return subject, signed + b"".join(path) + self.session_key.sign(root_of(signed, leaf, path)).signature

    def seal(self, message):
        """A sealed operation as a record."""
        data = OPERATION + struct.pack("<I", len(message)) + message
        return b"\xe0" + self.chain + self.session_key.sign(data).signature + data


class Frame:
    """A frame that was received and verified; Refused says what is wrong with it."""

    def __init__(self, subject, data, issuer, known):
        """known: session keys by their kid, of chains that were verified before; added to."""
        end, depth = 20 + struct.unpack_from("<I", data, 16)[0], data[109]
        if data[:16] != FRAME or end + depth * DIGEST + SIGNATURE != len(data):
            raise Refused("magic or length")
        self.flags, self.count = struct.unpack_from("<HH", data, 20)
        source, destination = data[32:48].rstrip(b"\0").decode(), data[48:64].rstrip(b"\0").decode()
        ports = struct.unpack_from("<HH", data, 64)
        self.source = (source, ports[0])
        said = f"mesh.p.{destination}.{ports[1]}" if destination else "mesh.all"
        if subject != f"{said}.{source}.{ports[0]}":
            raise Refused("subject and header differ")
        self.kid, self.session = data[72:80], data[80:88]
        self.seq, self.issued, self.ttl, leaf, _, zero, _ = struct.unpack_from("<QqIBBHQ", data, 88)
        if zero or depth > 5 or leaf >> depth or not 1 <= self.ttl <= 86400000 or self.seq < 1 or abs(self.issued - time.time() * 1000) > 2000:
            raise Refused("header fields")
        body = struct.unpack_from("<I", data, 68)[0]
        if self.flags & 1:
            known[self.kid] = verify_chain(data[HEAD + body:HEAD + body + 2 * CERT_BYTES], issuer, source)
        if self.kid not in known:
            raise Refused("no chain before its key was known")
        try:
            path = [data[at:at + DIGEST] for at in range(end, end + depth * DIGEST, DIGEST)]
            known[self.kid].verify(root_of(data[:end], leaf, path), data[-SIGNATURE:])
        except nacl.exceptions.BadSignatureError:
            raise Refused("signature") from None
        self.records, at = [], HEAD
        while at < HEAD + body:
            size = struct.unpack_from("<H", data, at)[0]
            self.records.append(data[at + 2:at + 2 + size])
            at += 2 + size
        if len(self.records) != self.count:
            raise Refused("records")


def verify_chain(chain, issuer, token):
    process, session = chain[:CERT_BYTES], chain[CERT_BYTES:]
    keys = [nacl.signing.VerifyKey(issuer), nacl.signing.VerifyKey(process[172:204])]
    for cert, key in zip((process, session), keys):
        try:
            key.verify(CERT + struct.pack("<I", 236) + cert[:236], cert[236:])
        except nacl.exceptions.BadSignatureError:
            raise Refused("a certificate of the chain") from None
        if cert[12:28].rstrip(b"\0").decode() != token:
            raise Refused("a certificate of another process")
    if session[204:212] != kid_of(process[172:204]) or (process[5], session[5]) != (1, 2):
        raise Refused("the chain's kinds or issuers")
    return nacl.signing.VerifyKey(session[172:204])


def record(message, source, to, epoch, priority=3, sent_us=None):
    body = message.SerializeToString(deterministic=True)
    number = NUMBERS[message.DESCRIPTOR.name]
    return struct.pack("<BBHIQQQQq", number, priority, 0, len(body), source, to, 0, epoch,
                       boot_us() if sent_us is None else sent_us) + body


class Record:
    def __init__(self, data, pb):
        (self.type, self.priority, self.flags, size, self.source, self.to, self.mask, self.epoch,
         self.sent_us) = struct.unpack_from("<BBHIQQQQq", data)
        if size != len(data) - 48:
            raise Refused("record length")
        self.name = TYPES.get(self.type, "")
        self.body = getattr(pb, self.name).FromString(data[48:]) if self.name else None

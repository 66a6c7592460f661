"""A scripted lead for tests/conformance: it owns the cluster s01.c1 of a mesh whose tiers are gone, speaks with the keys
of cluster-1 (and, as author of operations, of the orchestrator), and does only what a case tells it to."""
import contextlib
import hashlib
import os
import socket
import struct
import threading
import time

import meshwire
from meshwire import Frame, Record, Refused, Signer, boot_us, unit
from natsraw import Nats

AGENT, LEAD, ORCHESTRATOR = unit(4, 1, 1, 1), unit(3, 1, 1), unit(1)
# Mesh time is the orchestrator's, and here it is ahead of everybody's wall clock: who goes by the latter is found out.
AHEAD_US = 1500000
# What WELCOME asks for: long enough to tell a beat at once from one in its turn.
BEAT_US = 2000000


class Failed(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Failed(what)


class Lead:
    def __init__(self, bed, pb):
        self.bed, self.pb = bed, pb
        self.signer, self.author = Signer(bed.keys, "cluster-1"), Signer(bed.keys, "orchestrator")
        self.issuer = meshwire.key_file(bed.keys / "issuer.pub", "issuer-public")
        self.epoch = 1 << 40
        self.agent_at, self.known, self.seqs = None, {}, {}
        self.seen, self.refusals = [], []  # records with the time they came; frames that do not hold
        self.numbers = [0, 0, 0, 0]
        self.welcome, self.answer_beats, self.knows = True, True, True
        self.lock, self.news = threading.RLock(), threading.Condition()
        self.nats = self.thread = None
        self.connect()

    # ---- the link ----

    def connect(self):
        """Also again, after the server was gone."""
        port = int(self.setting("nats_url").rsplit(":", 1)[1])
        deadline = time.monotonic() + 10
        while True:
            try:
                self.nats = Nats(port, self.bed.keys, "cluster-1")
                self.other = Nats(port, self.bed.keys, "orchestrator")
                break
            except OSError:
                need(time.monotonic() < deadline, "NATS is not there")
                time.sleep(0.05)
        self.nats.socket.settimeout(None)
        self.nats.subscribe("mesh.p.cluster-1.>", 1)
        self.nats.subscribe("mesh.all.>", 2)
        self.thread = threading.Thread(target=self.listen, args=(self.nats,), daemon=True)
        self.thread.start()

    def setting(self, key):
        for line in (self.bed.run_dir / "mesh.conf").read_text().splitlines():
            if line.startswith(f"{key} = "):
                return line.split(" = ", 1)[1]
        raise Failed(f"mesh.conf has no {key}")

    def close(self):
        for nats in (self.nats, self.other):
            with contextlib.suppress(OSError):
                nats.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)

    def listen(self, nats):
        with contextlib.suppress(OSError, ConnectionError, ValueError):
            while True:
                one = nats.next()
                if one and one[1] is not None:
                    self.frame(*one)

    def frame(self, subject, data):
        received = boot_us()
        if subject.split(".")[-2] != "agent-1":
            return
        with self.lock:
            try:
                frame = Frame(subject, data, self.issuer, self.known)
                last = self.seqs.get(frame.session, 0)
                need(frame.seq > last, f"frame number {frame.seq} after {last}")
                self.seqs[frame.session] = frame.seq
                if subject.startswith("mesh.p."):
                    self.agent_at = frame.source
                records = [Record(r, self.pb) for r in frame.records if r[0] < 0xe0]
                asks = any(r == b"\xe2" for r in frame.records)
            except (Refused, Failed, ValueError) as error:
                self.refusals.append(str(error))
                return
            if asks:
                self.announce()
            for one in records:
                one.received_us = received
                self.reflex(one)
        with self.news:
            self.seen += records
            self.news.notify_all()

    # ---- what a lead does unasked ----

    def reflex(self, one):
        if one.name == "Hello" and self.welcome:
            self.say(self.pb.Welcome(accepted=True, incarnation=one.body.incarnation, beat_us=BEAT_US))
        elif one.name == "Heartbeat" and self.answer_beats:
            offset = self.mesh_us() - boot_us()
            self.say(self.pb.BeatReply(t1_us=one.sent_us, t2_us=one.received_us, mesh_offset_us=offset, error_us=1000,
                                       mode=1, known=self.knows))

    def mesh_us(self):
        return int(time.time() * 1e6) + AHEAD_US

    def announce(self):
        place = struct.pack("<BBHHH", 3, 0, 1, 1, 0)
        self.publish(None, [struct.pack("<BBHIQ", 0xe1, 0, 1, 0, self.epoch) + place + place])

    # ---- saying ----

    def publish(self, to, records, damage=None):
        with self.lock:
            subject, data = self.signer.frame(to, records)
            data = damage(data) if damage else data
            self.nats.publish(subject, data)
        return subject, data

    def say(self, message, epoch=None, before=(), damage=None):
        """One message to the agent, in one frame, after the records of `before`."""
        one = meshwire.record(message, LEAD, AGENT, self.epoch if epoch is None else epoch)
        return self.publish(self.agent_at, [*before, one], damage)

    def operation(self, action, payload=b"", **fields):
        """A MeshMessage as an orchestrator would author it, now."""
        mesh = fields.pop("created_at", self.mesh_us())
        name = (mesh // 1000).to_bytes(6, "big") + os.urandom(10)
        fields = {"ttl_ms": 20000, "priority": 2, "verb": 4, "require_ack": True, "require_answer": True, "timeout_ms": 20000,
                  "source_agent_id": ORCHESTRATOR, "window_ms": 100, "minimum_response_rate": 0.5, "source_epoch": 1} | fields
        return self.pb.MeshMessage(message_id=name, action=action, payload=payload, created_at=mesh,
                                   payload_hash=hashlib.blake2b(payload, digest_size=32).digest(), **fields)

    def operate(self, operation, seq=None, attempt=0, epoch=None, author=None, spoil=None, damage=None):
        """Sends it, sealed, with an OPERATE; seq None takes the next number. Returns (the number, subject, frame)."""
        if seq is None:
            self.numbers[operation.priority] += 1
            seq = self.numbers[operation.priority]
        sealed = (author or self.author).seal(operation.SerializeToString(deterministic=True))
        sealed = spoil(sealed) if spoil else sealed
        coordinate = self.pb.Coordinate(message_id=operation.message_id, deadline=self.mesh_us() + 20000000, attempt=attempt,
                                        target_count=1, lead_time_us=[1000], expected_processing_us=[1000],
                                        confidence_permille=[900], seq=[seq])
        return seq, *self.say(coordinate, epoch, [sealed], damage)

    # ---- hearing ----

    def wait(self, what, match, seconds=4):
        """The first record, of those that came since forget(), for which match is true."""
        deadline = time.monotonic() + seconds
        with self.news:
            at = 0
            while True:
                for one in self.seen[at:]:
                    if match(one):
                        return one
                at = len(self.seen)
                left = deadline - time.monotonic()
                if left <= 0 or not self.news.wait(left) and time.monotonic() >= deadline:
                    raise Failed(f"not within {seconds} s: {what}")

    def forget(self):
        with self.news:
            self.seen.clear()

    def acks(self, operation):
        with self.news:
            return [one for one in self.seen if one.name == "Acknowledge" and one.body.message_id == operation.message_id]

    def final(self, operation, seconds=4):
        """Its final acknowledgement."""
        return self.wait(f"a final answer to {operation.action}", lambda one: one.name == "Acknowledge" and
                         one.body.message_id == operation.message_id and one.body.outcome != 0, seconds)

    def beat(self, what, match, seconds=4):
        return self.wait(what, lambda one: one.name == "Heartbeat" and match(one.body.impedance), seconds)

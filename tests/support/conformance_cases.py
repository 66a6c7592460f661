"""The cases of tests/conformance. REAL: with the tiers of the product; SCRIPTED: with a lead that says what they say
(tests/support/lead.py). The order matters: an agent lives through all of them."""
import json
import struct
import time

import meshwire
from lead import AGENT, BEAT_US, LEAD, need
from meshwire import Signer, boot_us

READY, CONFLICT, FAILED, REFUSED = 1, 2, 3, 7
EXPIRED, CAPABILITY, HANDLER, UNKNOWN_ACTION = 1, 3, 17, 18
AT, BY = 2, 1
ACTIVE, FROZEN = 1, 6


# ---- the real tiers ----

def joins(bed):
    bed.start()

    def active():
        done = bed.console("status", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["agents_active"] == 1
    bed.until("the mesh counts it as active", active, 15)


def answers(bed):
    done = bed.console("run", "append", "through the mesh", "--json")
    report = json.loads(done.stdout)
    need(done.returncode == 0 and report["states"]["ready"] == 1, done.stdout + done.stderr)
    need(bed.lines() == ["through the mesh"], bed.lines())


REAL = [("joins the real tiers", joins), ("answers through the real tiers", answers)]


# ---- a scripted lead ----

def registers(bed):
    lead = bed.lead
    lead.welcome = False
    bed.start()
    one = lead.wait("HELLO", lambda r: r.name == "Hello", 8)
    hello = one.body
    need(one.source == AGENT and one.to == LEAD, "a HELLO from its place to its lead")
    need(one.epoch == hello.incarnation > 0, f"the header's epoch is the incarnation: {one.epoch}, {hello.incarnation}")
    need(hello.agent_id != 0 and 1 <= hello.agent_class <= 6, f"uid and class: {hello}")
    need(hello.capabilities, "it offers capabilities")
    pairs = [pair.split("=", 1) for pair in hello.facts.split(" ")] if hello.facts else []
    need(all(len(pair) == 2 and all(pair) for pair in pairs) and pairs == sorted(pairs)
         and len({pair[0] for pair in pairs}) == len(pairs) <= 16 and len(hello.facts) < 256,
         f"facts are name=value by name, each once: {hello.facts!r}")
    lead.forget()
    again = lead.wait("HELLO again, since no WELCOME came", lambda r: r.name == "Hello", 6).body
    need((again.agent_id, again.incarnation) == (hello.agent_id, hello.incarnation), "the same agent says it again")
    lead.forget()
    lead.welcome = True
    lead.say(lead.pb.Welcome(accepted=True, incarnation=hello.incarnation - 1, beat_us=BEAT_US))
    lead.say(lead.pb.Welcome(accepted=True, incarnation=hello.incarnation, beat_us=BEAT_US))
    beat = lead.wait("a first beat", lambda r: r.name == "Heartbeat").body
    need(beat.incarnation == hello.incarnation and beat.impedance.agent_id == hello.agent_id, "the beat is that agent's")
    bed.hello = hello


def clock(bed):
    """It learns a time that is ahead of its machine's, and says how far it may be off."""
    lead = bed.lead
    one = lead.wait("beats with a clock", lambda r: r.name == "Heartbeat" and r.body.impedance.clock_error_us < 100000 and
                    r.body.impedance.last_heartbeat > 0, 8)
    beat = one.body.impedance
    age = lead.mesh_us() - (boot_us() - one.received_us) - beat.last_heartbeat
    need(-beat.clock_error_us - 5000 <= age <= 200000 + beat.clock_error_us, f"mesh time is off by {age} us")


def signs(bed):
    lead = bed.lead
    need(not lead.refusals, f"frames of the agent that do not hold: {lead.refusals}")
    need(len(lead.known) == 1 and len(lead.seqs) >= 1, "one session, its chain was sent")


def operates(bed):
    lead = bed.lead
    lead.forget()
    op = lead.operation("echo", "a payload, \u00e4\u00f6\u00fc".encode())
    sent = lead.mesh_us()
    seq, _, frame = lead.operate(op)
    ack = lead.final(op).body
    stamp = struct.unpack_from("<q", frame, path_at(frame) - 600 - coordinate_bytes(frame) + 40)[0]
    need((ack.outcome, ack.trinary_state, ack.reason) == (READY, 1, 0), f"READY: {ack}")
    need(ack.answer == op.payload, f"the answer: {ack.answer}")
    need(ack.seq == seq and ack.echo_sent_us == stamp, "seq and sent_us of the OPERATE come back")
    need(sent - 100000 <= ack.received <= ack.actual_arrival_time <= lead.mesh_us() + 100000, "its times are mesh time")
    need(ack.release == 0, "no release without TIMING_AT")


def path_at(frame):
    """Where a frame's path begins; its chain ends there."""
    return 20 + struct.unpack_from("<I", frame, 16)[0]


def coordinate_bytes(frame):
    """The length of the last record of a frame."""
    body = struct.unpack_from("<I", frame, 68)[0]
    at, size = 120, 0
    while at < 120 + body:
        size = struct.unpack_from("<H", frame, at)[0]
        at += 2 + size
    return size


def quiet_answer(bed):
    lead = bed.lead
    op = lead.operation("echo", b"not asked for", require_answer=False)
    lead.operate(op)
    need(lead.final(op).body.answer == b"", "an answer only where require_answer is set")


def outcomes(bed):
    lead = bed.lead
    differs, fails = lead.operation("differ", b"mine"), lead.operation("fail")
    lead.operate(differs)
    lead.operate(fails)
    ack = lead.final(differs).body
    need((ack.outcome, ack.trinary_state, ack.conflict_detail.received_value) == (CONFLICT, -1, b"mine"), f"CONFLICT: {ack}")
    need(ack.conflict_detail.type != 0, "the conflict has a type")
    ack = lead.final(fails).body
    need((ack.outcome, ack.trinary_state, ack.reason) == (FAILED, 0, HANDLER), f"FAILED: {ack}")
    need(b"no such luck" in ack.answer, f"its text says why: {ack.answer}")


def refuses(bed):
    lead = bed.lead
    for what, op, outcome, reason in [
            ("an action that it has not", lead.operation("no-such-action"), FAILED, UNKNOWN_ACTION),
            ("a capability that it lacks", lead.operation("echo", requires_capabilities=["levitation"]), REFUSED, CAPABILITY)]:
        lead.operate(op)
        ack = lead.final(op).body
        need((ack.outcome, ack.reason, ack.trinary_state) == (outcome, reason, 0), f"{what}: {ack}")


def silence(bed, what, *operations):
    """Nothing came of them, and what is right still works."""
    lead = bed.lead
    before = len(bed.lines())
    proof = lead.operation("append", b"proof")
    time.sleep(0.3)
    lead.operate(proof)
    lead.final(proof)
    bed.until("what is right still works", lambda: "proof" in bed.lines()[before:], 2)
    for op in operations:
        need(not lead.acks(op), f"{what} was answered")
    need(bed.lines()[before:] == ["proof"], f"{what} was run: {bed.lines()[before:]}")


def wrong_signature(bed):
    lead = bed.lead
    flip = lambda data: data[:-1] + bytes([data[-1] ^ 1])  # noqa: E731
    inside = lambda data: data[:130] + bytes([data[130] ^ 1]) + data[131:]  # noqa: E731
    one, two = lead.operation("append", b"bad frame"), lead.operation("append", b"changed frame")
    lead.operate(one, damage=flip)
    lead.operate(two, damage=inside)
    silence(bed, "a frame with a wrong signature", one, two)


def wrong_seal(bed):
    lead = bed.lead
    one, two, three = (lead.operation("append", text) for text in (b"bad seal", b"wrong author", b"wrong hash"))
    lead.operate(one, spoil=lambda sealed: sealed[:601] + bytes([sealed[601] ^ 1]) + sealed[602:])
    lead.operate(two, author=lead.signer)
    three.payload = b"another payload"
    lead.operate(three)
    silence(bed, "an operation that no orchestrator has signed", one, two, three)


def wrong_speaker(bed):
    """The orchestrator's process may not speak for the lead, whatever stands in the record."""
    lead = bed.lead
    op = lead.operation("append", b"not your lead")
    sealed = lead.author.seal(op.SerializeToString(deterministic=True))
    words = lead.pb.Coordinate(message_id=op.message_id, deadline=lead.mesh_us() + 9000000, target_count=1, seq=[900])
    record = meshwire.record(words, LEAD, AGENT, lead.epoch)
    stranger = Signer(bed.keys, "orchestrator")
    with lead.lock:
        _, data = stranger.frame(lead.agent_at, [sealed, record])
        lead.nats.publish(f"mesh.p.{lead.agent_at[0]}.{lead.agent_at[1]}.cluster-1.0", data)
    old = lead.operation("append", b"an old epoch")
    lead.operate(old, epoch=lead.epoch - 1)
    silence(bed, "a frame of another source, or an old epoch", op, old)


def at_time(bed):
    lead = bed.lead
    lead.forget()
    target = lead.mesh_us() + 900000
    op = lead.operation("echo", b"held", timing=AT, target_arrival_time=target)
    lead.operate(op)
    lead.wait("PENDING at once: T is far", lambda r: r.name == "Acknowledge" and r.body.message_id == op.message_id and
              r.body.outcome == 0, 0.8)
    one = lead.final(op)
    ack, came = one.body, lead.mesh_us() - (boot_us() - one.received_us)
    need(ack.outcome == READY and ack.answer == b"held", f"READY: {ack}")
    need(came >= target - 20000, f"answered {target - came} us before T")
    need(target <= ack.release <= target + 400000, f"released {ack.release - target} us after T")
    need(ack.actual_arrival_time < target, "the work was done before T")


def by_time(bed):
    lead = bed.lead
    target = lead.mesh_us() + 2500000
    op = lead.operation("echo", b"early", timing=BY, target_arrival_time=target)
    lead.operate(op)
    ack = lead.final(op, 2).body
    need(ack.outcome == READY and ack.release == 0 and ack.actual_arrival_time < target - 1000000, f"at once: {ack}")


def ttl_past(bed):
    """Past by mesh time, not yet by the machine's clock."""
    lead = bed.lead
    before = bed.lines()
    op = lead.operation("append", b"too late", created_at=lead.mesh_us() - 2000000, ttl_ms=1000)
    lead.operate(op)
    ack = lead.final(op).body
    need((ack.outcome, ack.reason) == (REFUSED, EXPIRED), f"REFUSED, EXPIRED: {ack}")
    long_past = lead.operation("append", b"much too late", created_at=lead.mesh_us() - 60000000, ttl_ms=1000)
    lead.operate(long_past)
    time.sleep(0.4)
    need(all(r.body.outcome == REFUSED for r in lead.acks(long_past)), "what expired long ago is refused or dropped")
    need(bed.lines() == before, "an expired operation was run")


def duplicate(bed):
    """At least once from the lead, once at the agent."""
    lead = bed.lead
    lead.forget()
    before = len(bed.lines())
    op = lead.operation("append", b"once")
    seq, _, _ = lead.operate(op)
    first = lead.final(op).body
    for attempt in (1, 2):
        lead.forget()
        _, _, frame = lead.operate(op, seq=seq, attempt=attempt)
        again = lead.final(op).body
        stamp = struct.unpack_from("<q", frame, path_at(frame) - 600 - coordinate_bytes(frame) + 40)[0]
        need((again.outcome, again.actual_arrival_time) == (first.outcome, first.actual_arrival_time), "the same answer again")
        need(again.echo_sent_us == stamp, "with the sent_us of the one that it answers")
    other = lead.operation("append", b"a number that was taken")
    lead.operate(other, seq=seq)
    time.sleep(0.4)
    need(bed.lines()[before:] == ["once"], f"run more than once: {bed.lines()[before:]}")


def replay(bed):
    lead = bed.lead
    before = len(bed.lines())
    op = lead.operation("append", b"replayed")
    _, subject, frame = lead.operate(op)
    lead.final(op)
    lead.forget()
    for _ in range(3):
        lead.nats.publish(subject, frame)
    time.sleep(0.4)
    need(not lead.acks(op), "a frame that was played again was answered")
    need(bed.lines()[before:] == ["replayed"], f"a frame that was played again was run: {bed.lines()[before:]}")


def relayed(bed):
    """A message of another agent, through the lead; repeated, it is answered again and run once."""
    lead = bed.lead
    lead.forget()
    before = len(bed.lines())
    op = lead.operation("append", b"from another agent", source_agent_id=AGENT + 1, routing_strategy=1, require_ack=False)
    for attempt in (1, 2):
        lead.forget()
        lead.say(lead.pb.Relay(hops=1, message=op))
        ack = lead.wait(f"RELAY_ACK, time {attempt}", lambda r: r.name == "RelayAck" and r.body.message_id == op.message_id).body
        need((ack.outcome, ack.reached, ack.failed, ack.agent_id) == (READY, 1, 0, AGENT), f"READY: {ack}")
    unknown = lead.operation("no-such-action", source_agent_id=AGENT + 1, routing_strategy=1)
    lead.say(lead.pb.Relay(hops=1, message=unknown))
    ack = lead.wait("RELAY_ACK", lambda r: r.name == "RelayAck" and r.body.message_id == unknown.message_id).body
    need((ack.outcome, ack.reason, ack.failed) == (FAILED, UNKNOWN_ACTION, 1), f"FAILED: {ack}")
    need(bed.lines()[before:] == ["from another agent"], bed.lines()[before:])


def cancels(bed):
    lead = bed.lead
    lead.forget()
    before = len(bed.lines())
    running = lead.operation("late", b"cancelled")
    held = lead.operation("echo", b"held", timing=AT, target_arrival_time=lead.mesh_us() + 800000)
    lead.operate(running)
    lead.operate(held)
    time.sleep(0.3)
    for op in (running, held):
        lead.say(lead.pb.Cancel(message_id=op.message_id))
    time.sleep(1.2)
    for op in (running, held):
        need(not any(r.body.outcome != 0 for r in lead.acks(op)), f"{op.action}: answered after CANCEL: {lead.acks(op)[-1].body}")
    need(len(bed.lines()) == before, f"its handler went on: {bed.lines()[before:]}")


def freezes(bed):
    lead = bed.lead
    lead.forget()
    before = len(bed.lines())
    lead.beat("a beat in its turn, so that the next is far", lambda i: True)
    held = lead.operation("echo", b"held", timing=AT, target_arrival_time=lead.mesh_us() + 500000)
    lead.operate(held)
    time.sleep(0.1)
    lead.say(lead.pb.Freeze(target_id=LEAD, at=lead.mesh_us()))
    lead.beat("a beat at once that says FROZEN", lambda i: i.operational_state == FROZEN, 1.5)
    op = lead.operation("append", b"thawed")
    lead.operate(op)
    time.sleep(0.9)
    need(len(bed.lines()) == before, "a frozen agent ran a handler")
    for one in (op, held):
        need(not any(r.body.outcome == READY for r in lead.acks(one)), "a frozen agent did what waits")
    thawed = lead.mesh_us()
    lead.forget()
    lead.say(lead.pb.Thaw(target_id=LEAD, at=thawed))
    lead.beat("a beat that says ACTIVE", lambda i: i.operational_state == ACTIVE, 1.5)
    need(lead.final(op).body.outcome == READY, "what waited is done")
    ack = lead.final(held).body
    need(ack.outcome == READY and ack.release >= thawed - 20000, f"what was held is released after the thaw: {ack}")
    need(bed.lines()[before:] == ["thawed"], bed.lines()[before:])


def reconnects(bed):
    lead = bed.lead
    before = len(bed.lines())
    op = lead.operation("append", b"before the server went")
    seq, _, _ = lead.operate(op)
    lead.final(op)
    lead.close()
    bed.restart_nats()
    lead.connect()
    lead.forget()
    lead.beat("a beat over the new link", lambda i: True, 10)
    lead.operate(op, seq=seq, attempt=1)
    new = lead.operation("append", b"after it came back")
    lead.operate(new)
    need(lead.final(new).body.outcome == READY, "it works over the new link")
    need(lead.final(op).body.outcome == READY, "what was done before is answered again")
    need(bed.lines()[before:] == ["before the server went", "after it came back"], bed.lines()[before:])


def another_lead(bed):
    """A lead that took over does not know its agents: a higher epoch, empty windows, HELLO again."""
    lead = bed.lead
    lead.forget()
    lead.epoch += 1
    lead.numbers = [0, 0, 0, 0]
    lead.announce()
    lead.say(lead.pb.BeatReply(known=False, error_us=(1 << 63) - 1, mode=1))
    hello = lead.wait("HELLO to the new lead", lambda r: r.name == "Hello", 4).body
    need((hello.agent_id, hello.incarnation) == (bed.hello.agent_id, bed.hello.incarnation), "the same life of the same agent")
    lead.wait("it beats", lambda r: r.name == "Heartbeat")
    op = lead.operation("echo", b"new lead")
    need(lead.operate(op)[0] == 1 and lead.final(op).body.outcome == READY, "numbers start anew with a new lead")
    stale = lead.operation("append", b"stale")
    lead.operate(stale, epoch=lead.epoch - 1)
    silence(bed, "a message of the former lead", stale)


def says_goodbye(bed):
    lead = bed.lead
    lead.forget()
    code = bed.stop()
    need(code == 0, f"exit code {code} after SIGTERM")
    lead.wait("GOODBYE", lambda r: r.name == "Goodbye", 2)
    need(not lead.refusals, f"frames of the agent that do not hold: {lead.refusals}")


def rises(bed):
    """Its next life is later than the one before, and the same agent."""
    lead = bed.lead
    lead.forget()
    bed.start()
    hello = lead.wait("HELLO", lambda r: r.name == "Hello", 8).body
    need(hello.agent_id == bed.hello.agent_id, "the uid is the agent's for ever")
    need(hello.incarnation > bed.hello.incarnation, "the incarnation rises with every start")


def new_keys(bed):
    """Its keys are replaced while it runs: it goes on in a new session under the new certificate."""
    lead = bed.lead
    lead.beat("it beats", lambda i: True)
    before = set(lead.known)
    bed.keys_command("rotate", bed.keys, "agent-1")
    bed.until("a new session", lambda: set(lead.known) - before, 8)
    lead.forget()
    op = lead.operation("echo", b"new keys")
    lead.operate(op)
    need(lead.final(op).body.outcome == READY, "it works under the new keys")
    need(not lead.refusals, f"frames of the agent that do not hold: {lead.refusals}")


def revoked(bed):
    """The roots revoke its certificate: it stops."""
    lead = bed.lead
    bed.keys_command("revoke", bed.keys, "agent-1")
    lead.publish(None, [b"\xe4" + (bed.keys / "trust.bundle").read_bytes()])
    bed.until("it ends by itself", lambda: bed.agent.poll() is not None, 5)
    need(bed.agent.returncode != 0, f"exit code {bed.agent.returncode}")


SCRIPTED = [
    ("registration", registers), ("clock exchange", clock), ("its frames are signed", signs), ("an operation", operates),
    ("no answer unless asked", quiet_answer), ("conflict and failure", outcomes),
    ("unknown action, missing capability", refuses),
    ("a wrong signature is refused", wrong_signature), ("a wrong seal is refused", wrong_seal),
    ("a wrong speaker is refused", wrong_speaker), ("at T", at_time), ("by T", by_time), ("TTL past", ttl_past),
    ("a duplicate runs once", duplicate), ("a replay does nothing", replay), ("a message of another agent", relayed), ("cancel", cancels), ("freeze and thaw", freezes),
    ("NATS reconnect", reconnects), ("another lead", another_lead), ("goodbye", says_goodbye), ("the next life", rises),
    ("new keys", new_keys), ("revoked", revoked)]

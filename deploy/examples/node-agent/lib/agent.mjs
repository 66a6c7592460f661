// One agent: hello until the lead says welcome, then a beat for ever; all else answers somebody.
import os from 'node:os';
import { Endpoint } from './frame.mjs';
import { hash256, scopeHas, unitRead } from './keys.mjs';
import { localUs, MeshTime } from './meshtime.mjs';
import { Operations, operationInRange } from './operations.mjs';
import { enums, long, recordRead, recordWrite, TYPE, unitPack, unitUnpack } from './proto.mjs';
import { Trust } from './trust.mjs';
import { Work } from './work.mjs';

const STATE = enums('OperationalState');
const RECORD = { operation: 0xe0, announce: 0xe1, ask: 0xe2, bundle: 0xe4 };
const HELLO_MS = [1000, 2000, 4000, 5000],
    REFUSED_MS = 15000,
    NO_CLOCK_MS = 500,
    ASK_MS = 2000;

const jitter = (ms, share) => ms * (1 - share + 2 * share * Math.random());

// What --where asks of (docs/HANDLERS.md): by name; values without what a fact may not hold.
function facts() {
    const machine = {
        arch: os.machine?.() ?? os.arch(),
        cpus: os.cpus().length,
        kernel: os.release(),
        memory_mib: Math.floor(os.totalmem() / 1048576),
        node: os.hostname(),
        runtime: `node${process.versions.node}`,
    };
    const clean = (value) => String(value).replace(/[^!-~]|[,=!<>*?"\\]/g, '_').slice(0, 32);
    return Object.entries(machine)
        .map(([name, value]) => `${name}=${clean(value)}`)
        .join(' ');
}

export class Agent {
    // publish(subject, bytes): to the bus. log(event, fields). revoked(): our certificate is void; never return.
    constructor({
        identity,
        keysDir,
        place,
        agentClass,
        capabilities,
        handlers,
        simulation,
        publish,
        log,
        revoked,
    }) {
        Object.assign(this, { agentClass, capabilities, publish, log, revoked });
        this.place = { tier: 4, ...place };
        this.leadUnit = { tier: 3, sector: place.sector, cluster: place.cluster, agent: 0 };
        this.self = unitPack(this.place);
        this.lead = unitPack(this.leadUnit);
        this.endpoint = new Endpoint(identity, simulation);
        this.trust = new Trust(this.endpoint, keysDir);
        if (this.trust.ownRevoked()) this.revoked();
        this.operations = new Operations(this.endpoint);
        this.time = new MeshTime();
        this.incarnation = BigInt(Date.now()); // rises with every start
        const name = `${identity.mesh.toString(16)}/${this.self.toString(16)}`;
        this.uid = hash256(Buffer.from(name)).readBigUInt64LE(0) | 1n; // its own for ever
        this.context = hash256(Buffer.from(`${os.hostname()}/${name}`)).subarray(0, 16);
        this.leadAt = null; // the lead's endpoint, as it announced itself
        this.leadEpoch = 0n;
        this.refusedAt = new Map(); // reason -> second
        this.joined = false;
        this.up = false;
        this.hellos = 0;
        this.beatUs = 5e6;
        this.work = new Work({
            time: this.time,
            offers: capabilities,
            handlers,
            say: (priority, fields) => this.acknowledge(priority, fields),
            sayRelay: (fields) =>
                this.send(TYPE.RELAY_ACK, 1, { ...fields, agent_id: long(this.self) }),
        });
    }

    // ---- out ----

    // To the lead; lost when nobody has said where it is: it is asked for, and everything is said again.
    send(type, priority, fields) {
        if (!this.up || !this.leadAt) return false;
        const record = recordWrite(type, priority, this.self, this.lead, this.incarnation, fields);
        this.publish(...this.endpoint.seal(this.leadAt, [record]));
        return true;
    }

    acknowledge(priority, fields) {
        this.send(TYPE.ACK, priority, {
            ...fields,
            queue_depth: this.work.depth,
            clock_error_us: this.time.errorUs(),
        });
    }

    hello() {
        clearTimeout(this.helloTimer);
        if (this.joined) return;
        const sent = this.send(TYPE.HELLO, 3, {
            agent_id: long(this.uid),
            incarnation: long(this.incarnation),
            agent_class: this.agentClass,
            capabilities: this.capabilities,
            current_context_hash: this.context,
            facts: facts(),
        });
        if (!sent && this.up)
            this.publish(...this.endpoint.seal(null, [Buffer.from([RECORD.ask])]));
        const wait = sent ? HELLO_MS[Math.min(this.hellos++, HELLO_MS.length - 1)] : ASK_MS;
        this.helloTimer = setTimeout(() => this.hello(), Math.max(1000, jitter(wait, 0.3)));
    }

    beat() {
        clearTimeout(this.beatTimer);
        if (!this.joined) return;
        this.send(TYPE.HEARTBEAT, 3, {
            incarnation: long(this.incarnation),
            impedance: {
                agent_id: long(this.uid),
                current_latency_ms: this.latencyMs ?? 0,
                current_processing_ms: this.work.processingMs,
                current_queue_depth: this.work.depth,
                last_heartbeat: this.time.ready ? this.time.now() : 0,
                operational_state: this.work.frozen ? STATE.STATE_FROZEN : STATE.STATE_ACTIVE,
                current_context_hash: this.context,
                clock_error_us: this.time.errorUs(),
                done: this.work.done,
                failed: this.work.failed,
            },
        });
        const wait = this.time.ready
            ? this.beatUs / 1000
            : Math.min(this.beatUs / 1000, NO_CLOCK_MS * 2 ** Math.min(this.noClock++, 4));
        this.beatTimer = setTimeout(() => this.beat(), this.time.ready ? wait : jitter(wait, 0.2));
    }

    // ---- the link ----

    link(up) {
        this.up = up;
        clearTimeout(this.helloTimer);
        clearTimeout(this.beatTimer);
        if (up && this.joined) this.beatTimer = setTimeout(() => this.beat(), Math.random() * 1000);
        else if (up) this.hello();
    }

    goodbye() {
        this.send(TYPE.GOODBYE, 3, {});
        this.joined = false;
    }

    // ---- in ----

    frame(subject, bytes) {
        const receivedUs = localUs();
        const taken = this.endpoint.open(subject, bytes);
        if (taken.ask && this.askedAt !== taken.ask.token + Math.floor(receivedUs / 1e6)) {
            this.askedAt = taken.ask.token + Math.floor(receivedUs / 1e6); // once a second
            this.publish(...this.endpoint.seal(taken.ask, [], true));
        }
        if (taken.refusal) {
            this.refused(taken.refusal, subject);
            return;
        }
        for (const record of taken.records) {
            try {
                this.record(record, taken.peer, receivedUs);
            } catch (error) {
                this.refused(error.message, subject);
            }
        }
    }

    // A line for each reason, once a second: who floods us does not fill the log.
    refused(reason, subject) {
        const second = Math.floor(localUs() / 1e6);
        if (this.refusedAt.get(reason) === second) return;
        this.refusedAt.set(reason, second);
        this.log('refused', { reason, subject });
    }

    record(bytes, peer, receivedUs) {
        switch (bytes[0]) {
            case RECORD.operation: {
                const why = this.operations.take(bytes.subarray(1));
                if (why) this.refused(`operation:${why}`, peer.endpoint.token);
                return;
            }
            case RECORD.announce:
                this.announced(bytes, peer);
                return;
            case RECORD.bundle: {
                const why = this.trust.take(bytes.subarray(1));
                if (why && why !== 'known') this.refused(`bundle:${why}`, peer.endpoint.token);
                if (this.trust.ownRevoked()) this.revoked();
                return;
            }
            default:
                if (bytes[0] < 0xe0) this.message(recordRead(bytes), peer, receivedUs);
        }
    }

    announced(bytes, peer) {
        const count = bytes.length >= 16 ? bytes.readUInt16LE(2) : -1;
        if (bytes.length !== 16 + 16 * count) throw new Error('shape');
        const epoch = bytes.readBigUInt64LE(8),
            { sector, cluster } = this.leadUnit;
        for (let at = 16; at < bytes.length; at += 16) {
            const first = unitRead(bytes, at),
                last = unitRead(bytes, at + 8);
            if (
                first.tier === 3 &&
                last.tier === 3 &&
                first.sector === sector &&
                last.sector === sector &&
                first.cluster <= cluster &&
                cluster <= last.cluster &&
                this.endpoint.maySpeakFor(peer, this.leadUnit)
            )
                this.follow(peer, epoch);
        }
    }

    // The lead speaks from there, under this epoch. False: an earlier one.
    follow(peer, epoch) {
        if (epoch < this.leadEpoch) return false;
        const moved =
            !this.leadAt ||
            this.leadAt.token !== peer.endpoint.token ||
            this.leadAt.port !== peer.endpoint.port;
        this.leadAt = peer.endpoint;
        if (epoch > this.leadEpoch) {
            this.leadEpoch = epoch;
            this.work.newLead();
        }
        if (moved) this.log('lead', { process: peer.endpoint.token, epoch });
        if (moved && !this.joined) setTimeout(() => this.hello(), Math.random() * 100);
        return true;
    }

    // Whether a record means this agent; its index among the record's targets, or -1.
    indexOf(record) {
        if (record.mask === 0n) return record.to === this.self ? 0 : -1;
        const to = unitUnpack(record.to);
        if (to.tier !== 4 || to.sector !== this.place.sector || to.cluster !== this.place.cluster)
            return -1;
        const bit = this.place.agent - to.agent;
        if (bit < 0 || bit > 63 || !((record.mask >> BigInt(bit)) & 1n)) return -1;
        return (record.mask & ((1n << BigInt(bit)) - 1n)).toString(2).replaceAll('0', '').length;
    }

    message(record, peer, receivedUs) {
        const index = this.indexOf(record);
        if (index < 0 || record.from !== this.lead) throw new Error('route');
        if (!scopeHas(peer.scope, this.leadUnit)) throw new Error('scope');
        if (!this.follow(peer, record.epoch)) throw new Error('stale-epoch');
        const { body } = record;
        switch (record.type) {
            case TYPE.WELCOME:
                this.welcome(body);
                break;
            case TYPE.BEAT_REPLY:
                this.beatReply(record, body, receivedUs);
                break;
            case TYPE.OPERATE:
                this.operate(record, body, index, receivedUs);
                break;
            case TYPE.RELAY:
                this.relayed(record, body, receivedUs);
                break;
            case TYPE.CANCEL:
                this.work.cancel(body.message_id);
                break;
            case TYPE.FREEZE:
            case TYPE.THAW:
                this.work.freeze(record.type === TYPE.FREEZE);
                this.log(record.type === TYPE.FREEZE ? 'frozen' : 'thawed', {});
                this.beat();
                break;
            default:
                throw new Error('unexpected');
        }
    }

    welcome(body) {
        if (BigInt(body.incarnation) !== this.incarnation) return; // for an earlier life
        clearTimeout(this.helloTimer);
        if (!body.accepted) {
            this.joined = false;
            this.log('not-accepted', { reason: body.reason });
            this.helloTimer = setTimeout(() => this.hello(), jitter(REFUSED_MS, 0.3));
            return;
        }
        if (body.beat_us >= 100000) this.beatUs = body.beat_us;
        this.hellos = 0;
        if (this.joined) return;
        this.joined = true;
        this.noClock = 0;
        this.log('joined', { uid: this.uid });
        this.beat();
    }

    beatReply(record, body, receivedUs) {
        const t3 = Number(record.sentUs);
        if (body.t1_us !== 0) {
            const was = this.time.ready;
            if (
                this.time.exchange(
                    body.t1_us,
                    body.t2_us,
                    t3,
                    receivedUs,
                    body.mesh_offset_us,
                    body.error_us,
                )
            ) {
                this.latencyMs = Math.max(0, (receivedUs - body.t1_us - (t3 - body.t2_us)) / 1000);
                this.work.start();
            }
            if (!was && this.time.ready) this.beat(); // says so, and takes up the lead's period
        }
        if (!body.known) {
            this.joined = false;
            this.hellos = 0;
            clearTimeout(this.beatTimer);
            clearTimeout(this.helloTimer);
            this.helloTimer = setTimeout(() => this.hello(), Math.random() * 500);
        }
    }

    // A message of another agent. Nobody has sealed it: the hops' frames are signed.
    relayed(record, body, receivedUs) {
        const op = body.message;
        if (!op || !operationInRange(op) || op.action === '' || body.hops > 8)
            throw new Error('bad-range');
        if (op.payload_hash.length > 0 && !hash256(op.payload).equals(Buffer.from(op.payload_hash)))
            throw new Error('hash');
        this.work.operate(record, op, 0, receivedUs, true);
    }

    operate(record, body, index, receivedUs) {
        const op = this.operations.get(body.message_id);
        if (!op) throw new Error('no-operation'); // its bytes were refused, or its time is over
        if (body.seq.length > 0 && body.seq.length !== body.target_count)
            throw new Error('bad-range');
        this.work.operate(record, op, body.seq[index] ?? 0, receivedUs);
    }
}

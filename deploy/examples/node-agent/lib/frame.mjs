// Frames: many records, one signature, which frames may share (docs/SECURITY.md, Frames; layout in tiers/runner/frame.h), and which of them
// to believe. Nothing is stored or moved by a frame whose signatures do not hold.
import { createHash } from 'node:crypto';
import {
    CHAIN_BYTES,
    CERT_BYTES,
    certRead,
    chainVerdict,
    kidOf,
    sessionMake,
    sign,
    signatureHolds,
    tokenRead,
    tokenWrite,
    scopeHas,
    ROLE,
} from './keys.mjs';

const MAGIC = Buffer.from('mesh30k/frame/2\0', 'latin1');
const NODE = Buffer.from('mesh30k/node/2\0\0', 'latin1'),
    ROOT = Buffer.from('mesh30k/root/2\0\0', 'latin1');
const HEAD = 120,
    SIGNATURE = 64,
    DIGEST = 32,
    DEPTH_MAX = 5,
    BYTES_MAX = 61440,
    RECORD_MAX = 57344;
const BODY_MAX = BYTES_MAX - HEAD - SIGNATURE - CHAIN_BYTES - DEPTH_MAX * DIGEST;
const WITH_CHAIN = 1,
    WANT_CHAIN = 2;
const TTL_MS = 30000,
    TTL_MS_MAX = 86400000,
    SKEW_MS = 2000,
    WINDOW = 1024n,
    PEERS_MAX = 4096;
export const RECORD_HEAD = 48;

// Which numbers were seen: the newest 1,024 (RFC 6479).
export class Window {
    constructor() {
        this.top = 0n;
        this.bits = 0n; // bit i: top - i was seen
    }
    look(seq) {
        if (seq > this.top) return 'new';
        if (this.top - seq >= WINDOW) return 'old';
        return (this.bits >> (this.top - seq)) & 1n ? 'seen' : 'new';
    }
    take(seq) {
        if (seq > this.top) {
            const ahead = seq - this.top;
            this.bits = ahead >= WINDOW ? 0n : (this.bits << ahead) & ((1n << WINDOW) - 1n);
            this.top = seq;
        }
        this.bits |= 1n << (this.top - seq);
    }
}

// "mesh.p.<dst>.<port>.<src>.<port>" or "mesh.all.<src>.<port>"; null: neither.
export function subjectRead(subject) {
    const end = '([a-z0-9-]{1,16})\\.(0|[1-9][0-9]{0,4})';
    const all = new RegExp(`^mesh\\.all\\.${end}$`).exec(subject);
    const one = new RegExp(`^mesh\\.p\\.${end}\\.${end}$`).exec(subject);
    if (all) return { to: { token: '', port: 0 }, from: { token: all[1], port: Number(all[2]) } };
    return (
        one && {
            to: { token: one[1], port: Number(one[2]) },
            from: { token: one[3], port: Number(one[4]) },
        }
    );
}

const same = (a, b) => a.token === b.token && a.port === b.port;
const keyOf = (e) => `${e.token}.${e.port}`;

const digest = (...parts) => {
    const hash = createHash('blake2b512');
    for (const part of parts) hash.update(part);
    return hash.digest().subarray(0, DIGEST);
};

// What the signature is over: the root that a frame and its path lead to (frame_tree.h).
function rootOf(frame, leaf, path) {
    let at = digest(frame);
    for (let i = 0; i * DIGEST < path.length; i++) {
        const sibling = path.subarray(i * DIGEST, (i + 1) * DIGEST);
        at = (leaf >> i) & 1 ? digest(NODE, sibling, at) : digest(NODE, at, sibling);
    }
    return Buffer.concat([ROOT, at]);
}

function parse(bytes) {
    if (bytes.length < HEAD + SIGNATURE || bytes.length > BYTES_MAX) return 'size';
    if (!bytes.subarray(0, 14).equals(MAGIC.subarray(0, 14))) return 'magic';
    if (!bytes.subarray(0, 16).equals(MAGIC)) return 'version';
    const leafBytes = 20 + bytes.readUInt32LE(16);
    const leaf = bytes[108],
        depth = bytes[109];
    if (leafBytes < HEAD || leafBytes + depth * DIGEST + SIGNATURE !== bytes.length) return 'size';
    const f = {
        flags: bytes.readUInt16LE(20),
        count: bytes.readUInt16LE(22),
        mesh: bytes.readBigUInt64LE(24),
        from: { token: tokenRead(bytes.subarray(32, 48)), port: bytes.readUInt16LE(64) },
        to: { token: tokenRead(bytes.subarray(48, 64)), port: bytes.readUInt16LE(66) },
        bodyBytes: bytes.readUInt32LE(68),
        kid: bytes.readBigUInt64LE(72),
        session: bytes.readBigUInt64LE(80),
        seq: bytes.readBigUInt64LE(88),
        issued: bytes.readBigUInt64LE(96),
        ttl: bytes.readUInt32LE(104),
        known: bytes.readBigUInt64LE(112),
    };
    const chainBytes = f.flags & WITH_CHAIN ? CHAIN_BYTES : 0;
    if (
        (f.flags & ~3) !== 0 ||
        f.count > 16384 ||
        f.seq === 0n ||
        f.ttl === 0 ||
        f.ttl > TTL_MS_MAX ||
        f.issued > 2n ** 61n ||
        bytes.readUInt16LE(110) !== 0 ||
        depth > DEPTH_MAX ||
        leaf >> depth !== 0 ||
        !f.from.token ||
        f.to.token === null ||
        f.from.port >= 32768 ||
        f.to.port >= 32768 ||
        (f.to.token === '' && f.to.port !== 0) ||
        f.bodyBytes !== leafBytes - HEAD - chainBytes
    )
        return 'shape';
    f.issued = Number(f.issued);
    f.root = () => rootOf(bytes.subarray(0, leafBytes), leaf, bytes.subarray(leafBytes, -SIGNATURE));
    f.body = bytes.subarray(HEAD, HEAD + f.bodyBytes);
    f.chain = chainBytes
        ? bytes.subarray(HEAD + f.bodyBytes, HEAD + f.bodyBytes + CHAIN_BYTES)
        : null;
    return f;
}

function recordsOf(frame) {
    const records = [];
    let at = 0;
    while (at + 2 <= frame.body.length) {
        const bytes = frame.body.readUInt16LE(at);
        if (bytes === 0 || bytes > RECORD_MAX || at + 2 + bytes > frame.body.length) return null;
        records.push(frame.body.subarray(at + 2, at + 2 + bytes));
        at += 2 + bytes;
    }
    return at === frame.body.length && records.length === frame.count ? records : null;
}

// One process at the bus: its session, its peers, what it has refused.
export class Endpoint {
    constructor(identity, simulation) {
        this.identity = identity;
        this.simulation = simulation;
        this.self = { token: identity.name, port: 0 };
        this.startMs = Date.now();
        this.peers = new Map(); // who was accepted: key, session, window, scope
        this.contacts = new Map(); // which key of ours they know
        this.revoked = new Map(); // token -> epoch up to which its certificates are void
        this.refused = new Map(); // reason -> count
        this.renew();
    }

    renew() {
        this.session = sessionMake(this.identity, Date.now(), this.session?.epoch ?? 0n);
    }

    // New keys while it runs: peers take the later certificate and refuse the earlier.
    replaceIdentity(identity) {
        this.identity = { ...identity, issuers: this.identity.issuers };
        this.renew();
    }

    refuse(reason) {
        this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
        return { refusal: reason };
    }

    // One frame to an endpoint, or to all (null), of one or more records. Returns [subject, bytes].
    seal(to, records, wantChain = false) {
        if (Date.now() / 1000 >= this.session.renewAtS) this.renew();
        const s = this.session;
        const withChain = to === null || this.contacts.get(keyOf(to)) !== s.kid;
        const body = Buffer.concat(
            records.flatMap((r) => {
                const length = Buffer.alloc(2);
                length.writeUInt16LE(r.length);
                return [length, r];
            }),
        );
        if (body.length > BODY_MAX)
            throw new Error(`a frame of ${body.length} bytes; ${BODY_MAX} is the most`);
        const head = Buffer.alloc(HEAD);
        MAGIC.copy(head);
        head.writeUInt32LE(HEAD - 20 + body.length + (withChain ? CHAIN_BYTES : 0), 16);
        head.writeUInt16LE((withChain ? WITH_CHAIN : 0) | (wantChain ? WANT_CHAIN : 0), 20);
        head.writeUInt16LE(records.length, 22);
        head.writeBigUInt64LE(this.identity.mesh, 24);
        tokenWrite(this.self.token).copy(head, 32);
        if (to) tokenWrite(to.token).copy(head, 48);
        head.writeUInt16LE(this.self.port, 64);
        head.writeUInt16LE(to ? to.port : 0, 66);
        head.writeUInt32LE(body.length, 68);
        head.writeBigUInt64LE(s.kid, 72);
        head.writeBigUInt64LE(s.number, 80);
        head.writeBigUInt64LE(++s.seq, 88);
        head.writeBigUInt64LE(BigInt(Date.now()), 96);
        head.writeUInt32LE(TTL_MS, 104);
        head.writeBigUInt64LE(to ? (this.peers.get(keyOf(to))?.kid ?? 0n) : 0n, 112);
        const input = Buffer.concat(withChain ? [head, body, s.chain] : [head, body]);
        const subject = to
            ? `mesh.p.${keyOf(to)}.${keyOf(this.self)}`
            : `mesh.all.${keyOf(this.self)}`;
        return [subject, Buffer.concat([input, sign(rootOf(input, 0, Buffer.alloc(0)), s.secret)])];
    }

    // {records, peer} of a frame that is to be believed, else {refusal}; with {ask}: send that peer a seal(.., true).
    open(subject, bytes) {
        const route = subjectRead(subject);
        const f = parse(bytes);
        if (typeof f === 'string') return this.refuse(f);
        if (f.mesh !== this.identity.mesh) return this.refuse('other-mesh');
        if (!route || !same(route.from, f.from)) return this.refuse('wrong-source');
        if (!same(route.to, f.to) || (f.to.token !== '' && !same(f.to, this.self)))
            return this.refuse('wrong-destination');
        const known = this.peers.get(keyOf(f.from));
        const fresh = !known || known.kid !== f.kid;
        if (fresh && !f.chain) return { ...this.refuse('unknown-key'), ask: f.from };
        const peer = fresh ? this.newPeer(f, known) : known;
        if (typeof peer === 'string') return this.refuse(peer);
        const reason = this.standing(f, peer);
        if (reason) return this.refuse(reason);
        if (!signatureHolds(bytes.subarray(-SIGNATURE), f.root(), peer.publicKey))
            return this.refuse('signature');
        peer.window.take(f.seq);
        if (fresh) this.remember(peer);
        if (f.to.token !== '')
            this.contacts.set(keyOf(f.from), f.flags & WANT_CHAIN ? 0n : f.known);
        const records = recordsOf(f);
        return records ? { records, peer } : this.refuse('records');
    }

    standing(f, peer) {
        const now = Date.now();
        if (f.session !== peer.session) return 'old-session';
        if (now / 1000 >= peer.notAfter) return 'certificate-expired';
        if (f.issued > now + SKEW_MS) return 'future';
        if (now >= f.issued + f.ttl) return 'expired';
        if (f.issued < this.startMs - SKEW_MS) return 'before-start';
        return { new: '', seen: 'replay', old: 'seq-old' }[peer.window.look(f.seq)];
    }

    newPeer(f, known) {
        const process = certRead(f.chain.subarray(0, CERT_BYTES)),
            session = certRead(f.chain.subarray(CERT_BYTES));
        if (
            chainVerdict(process, session, this.identity.issuers, Math.floor(Date.now() / 1000)) !==
                '' ||
            this.isRevoked(process)
        )
            return 'chain-invalid';
        if (!same(session, f.from)) return 'wrong-source';
        if (kidOf(session.publicKey) !== f.kid) return 'unknown-key';
        if (session.roles & ROLE.sim && !this.simulation) return 'role';
        if (
            known &&
            (process.epoch < known.processEpoch ||
                (process.epoch === known.processEpoch && session.epoch <= known.sessionEpoch))
        )
            return 'old-session';
        return {
            endpoint: f.from,
            kid: f.kid,
            publicKey: Buffer.from(session.publicKey),
            session: f.session,
            roles: session.roles,
            scope: session.scope,
            notAfter: session.notAfter,
            processEpoch: process.epoch,
            sessionEpoch: session.epoch,
            window: new Window(),
        };
    }

    // At the limit the peer that was accepted first is forgotten: it costs it one more chain.
    remember(peer) {
        const key = keyOf(peer.endpoint);
        this.peers.delete(key);
        if (this.peers.size >= PEERS_MAX) {
            const first = this.peers.keys().next().value;
            this.peers.delete(first);
            this.contacts.delete(first);
        }
        this.peers.set(key, peer);
    }

    isRevoked(process) {
        const epoch = this.revoked.get(process.token);
        return epoch !== undefined && process.epoch <= epoch;
    }

    maySpeakFor(peer, unit) {
        return scopeHas(peer.scope, unit);
    }
}

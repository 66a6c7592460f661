// Sealed operations: the author's chain and signature over the very bytes (tiers/runner/opcache.h). They travel in
// frames before the OPERATE that names them, and are kept by their id until their time has passed.
import {
    CERT_BYTES,
    CHAIN_BYTES,
    certRead,
    chainVerdict,
    hash256,
    signatureHolds,
    scopeHas,
    ROLE,
} from './keys.mjs';
import { bodyRead, unitUnpack } from './proto.mjs';

const DOMAIN = Buffer.from('mesh30k/oper/01\0', 'latin1');
const SIGNATURE = 64,
    HEAD = CHAIN_BYTES + SIGNATURE + 20;
const SKEW_US = 5e6,
    GRACE_US = 10e6,
    DAY_MS = 86400e3,
    TIME_MAX = 2 ** 53,
    PAYLOAD_MAX = 32768,
    ACTION_MAX = 31;
const COUNT_MAX = 1024; // one more than these is refused, as `full`

// An orchestrator speaks to everyone, a sector to places that lie wholly within its scope.
function authorMay(session, op) {
    const source = unitUnpack(BigInt(op.source_agent_id));
    if (!scopeHas(session.scope, source)) return false;
    if (source.tier === 1) return (session.roles & ROLE.orchestrator) !== 0;
    if (source.tier !== 2 || !(session.roles & ROLE.sector) || op.target_agent_ids.length === 0)
        return false;
    for (let i = 0; i < op.target_agent_ids.length; i += 6) {
        const [first, last] = op.target_agent_ids.slice(i, i + 2);
        if (first < 1 || last > 1024) return false;
        for (let sector = first; sector <= last; sector++) {
            if (!scopeHas(session.scope, { tier: 2, sector, cluster: 0, agent: 0 })) return false;
        }
    }
    return true;
}

export function operationInRange(op) {
    return (
        op.message_id.length === 16 &&
        op.message_id.some((b) => b !== 0) &&
        op.payload.length <= PAYLOAD_MAX &&
        Buffer.byteLength(op.action) <= ACTION_MAX &&
        op.priority <= 3 &&
        op.target_agent_ids.length % 6 === 0 &&
        op.target_agent_ids.length <= 192 &&
        op.requires_capabilities.length <= 64 &&
        op.created_at >= 0 &&
        op.created_at <= TIME_MAX &&
        Math.abs(op.target_arrival_time) <= TIME_MAX &&
        op.ttl_ms >= 0 &&
        op.ttl_ms <= DAY_MS &&
        op.payload_weight >= 0 &&
        op.payload_weight <= 1e6
    );
}

export class Operations {
    constructor(endpoint) {
        this.endpoint = endpoint;
        this.byId = new Map();
    }

    // '' when the operation is here, else why it is refused.
    take(bytes) {
        const now = Date.now() * 1000;
        if (bytes.length <= HEAD) return 'shape';
        const input = bytes.subarray(CHAIN_BYTES + SIGNATURE);
        if (!input.subarray(0, 16).equals(DOMAIN) || input.readUInt32LE(16) !== bytes.length - HEAD)
            return 'shape';
        let op;
        try {
            op = bodyRead('MeshMessage', input.subarray(20));
        } catch {
            return 'decode';
        }
        if (!operationInRange(op)) return 'decode';
        const id = Buffer.from(op.message_id).toString('hex'),
            known = this.byId.get(id);
        if (known) return known.bytes.equals(input) ? '' : 'other'; // the same under a renewed session is the same
        const process = certRead(bytes.subarray(0, CERT_BYTES)),
            session = certRead(bytes.subarray(CERT_BYTES, CHAIN_BYTES));
        if (
            chainVerdict(
                process,
                session,
                this.endpoint.identity.issuers,
                Math.floor(now / 1e6),
            ) !== '' ||
            this.endpoint.isRevoked(process) ||
            (session.roles & ROLE.sim && !this.endpoint.simulation)
        )
            return 'bad-chain';
        if (
            !signatureHolds(
                bytes.subarray(CHAIN_BYTES, CHAIN_BYTES + SIGNATURE),
                input,
                session.publicKey,
            )
        )
            return 'bad-signature';
        if (!authorMay(session, op)) return 'wrong-author';
        if (!hash256(op.payload).equals(Buffer.from(op.payload_hash))) return 'hash';
        const until = op.created_at + op.ttl_ms * 1000;
        if (until < now - SKEW_US) return 'expired';
        if (op.created_at > now + SKEW_US) return 'future';
        this.expire(now);
        if (this.byId.size >= COUNT_MAX) return 'full';
        this.byId.set(id, { op, bytes: Buffer.from(input), until: until + GRACE_US });
        return '';
    }

    get(id) {
        return this.byId.get(Buffer.from(id).toString('hex'))?.op;
    }

    expire(now) {
        for (const [id, entry] of this.byId) {
            if (entry.until < now) this.byId.delete(id);
        }
    }
}

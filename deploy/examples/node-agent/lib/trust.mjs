// The trust bundle: the issuers of the mesh and what is revoked, signed by two of the three roots in root.pub
// (docs/SECURITY.md, Trust bundle; layout in tiers/runner/trust.h). It comes from a file or from any process. The
// operators' hardware tokens of a /2 bundle are signed with the rest and mean nothing to an agent.
import fs from 'node:fs';
import path from 'node:path';
import { kidOf, signatureHolds, tokenRead } from './keys.mjs';

const MAGIC = Buffer.from('mesh30k/bundle/', 'latin1');
const LIFE_S = 90 * 86400,
    SIGNED_FROM = 20,
    HEAD = 56,
    REVOKED = 24,
    HWTOKEN = 81,
    HWTOKENS_MAX = 64,
    SIGNATURE = 65;

// Where the signatures begin, or 0: it is no bundle.
function endOf(bytes, revokedEnd) {
    if (bytes[15] === 0x31) return revokedEnd;
    if (bytes[15] !== 0x32 || revokedEnd + 2 >= bytes.length) return 0;
    const tokens = bytes.readUInt16LE(revokedEnd);
    return tokens < 1 || tokens > HWTOKENS_MAX ? 0 : revokedEnd + 2 + HWTOKEN * tokens;
}

function read(bytes) {
    if (bytes.length < HEAD + 1 || !bytes.subarray(0, 15).equals(MAGIC)) return null;
    const issuers = bytes.readUInt16LE(52),
        revoked = bytes.readUInt16LE(54);
    const revokedEnd = HEAD + 32 * issuers + REVOKED * revoked,
        end = endOf(bytes, revokedEnd);
    if (
        end === 0 ||
        issuers < 1 ||
        issuers > 4 ||
        revoked > 1024 ||
        end >= bytes.length ||
        bytes.readUInt32LE(16) !== end - SIGNED_FROM ||
        bytes.length !== end + 1 + SIGNATURE * bytes[end] ||
        bytes[end] > 3
    )
        return null;
    const t = {
        mesh: bytes.readBigUInt64LE(20),
        version: bytes.readBigUInt64LE(28),
        notBefore: Number(bytes.readBigUInt64LE(36)),
        notAfter: Number(bytes.readBigUInt64LE(44)),
        issuers: new Map(),
        revoked: new Map(),
        end,
    };
    for (let i = 0; i < issuers; i++) {
        const key = Buffer.from(bytes.subarray(HEAD + 32 * i, HEAD + 32 * i + 32));
        t.issuers.set(kidOf(key), key);
    }
    let last = '';
    for (let at = HEAD + 32 * issuers; at < revokedEnd; at += REVOKED) {
        const token = tokenRead(bytes.subarray(at, at + 16));
        if (!token || token <= last) return null;
        t.revoked.set(token, bytes.readBigUInt64LE(at + 16));
        last = token;
    }
    return t.version > 0n && t.issuers.size === issuers ? t : null;
}

function rootsHold(bytes, end, roots) {
    let good = 0,
        last = -1;
    for (let i = 0; i < bytes[end]; i++) {
        const at = end + 1 + SIGNATURE * i,
            root = bytes[at];
        if (root > 2 || root <= last) return false;
        last = root;
        good += signatureHolds(
            bytes.subarray(at + 1, at + SIGNATURE),
            bytes.subarray(0, end),
            roots.subarray(32 * root, 32 * root + 32),
        )
            ? 1
            : 0;
    }
    return good >= 2;
}

export class Trust {
    constructor(endpoint, keysDir) {
        this.endpoint = endpoint;
        this.version = 0n;
        this.signed = null;
        const file = path.join(keysDir, 'trust.bundle');
        const why = fs.existsSync(file) ? this.take(fs.readFileSync(file)) : '';
        if (why !== '' && why !== 'known')
            throw new Error(
                `${file}: refused (${why}); the roots make a new one with: mesh keys bundle`,
            );
    }

    // '' when it is in force from now on, 'known', or why it is refused.
    take(bytes) {
        const { identity } = this.endpoint;
        const t = read(bytes),
            nowS = Math.floor(Date.now() / 1000);
        if (!t) return 'shape';
        if (t.mesh !== identity.mesh) return 'other-mesh';
        if (t.version < this.version) return 'rollback';
        if (this.signed && t.version === this.version)
            return bytes.subarray(0, t.end).equals(this.signed) ? 'known' : 'equivocation';
        if (t.notAfter - t.notBefore > LIFE_S) return 'too-long-lived';
        if (nowS < t.notBefore) return 'not-yet-valid';
        if (nowS >= t.notAfter) return 'expired';
        if (!identity.roots || !rootsHold(bytes, t.end, identity.roots)) return 'signatures';
        this.version = t.version;
        this.signed = Buffer.from(bytes.subarray(0, t.end));
        identity.issuers = t.issuers;
        this.endpoint.revoked = t.revoked;
        for (const [key, peer] of this.endpoint.peers) {
            if (this.endpoint.isRevoked({ token: peer.endpoint.token, epoch: peer.processEpoch }))
                this.endpoint.peers.delete(key);
        }
        return '';
    }

    // Whether this process's own certificate is void.
    ownRevoked() {
        return this.endpoint.isRevoked(this.endpoint.identity.cert);
    }
}

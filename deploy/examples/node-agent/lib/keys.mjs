// Key files and certificates (docs/SECURITY.md, Keys; layout in tiers/runner/keys.h).
//
// issuer -> process certificate (a file) -> session certificate (made here, in memory, 24 hours at most).
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

// Its CommonJS build: the other one looks for a file that the package does not bring.
const sodium = createRequire(import.meta.url)('libsodium-wrappers');
await sodium.ready;
export { sodium };

export const CERT_BYTES = 300;
export const CHAIN_BYTES = 2 * CERT_BYTES;
export const KIND_PROCESS = 1,
    KIND_SESSION = 2;
export const ROLE = { orchestrator: 1, sector: 2, cluster: 4, host: 8, console: 16, sim: 32 };
const ROLES_ALL = 0x3f;
const SCOPES_MAX = 8;
const AT = {
    kind: 5,
    roles: 6,
    flags: 8,
    port: 10,
    token: 12,
    scopes: 28,
    scope: 36,
    capabilities: 164,
    key: 172,
    issuer: 204,
    notBefore: 212,
    notAfter: 220,
    epoch: 228,
    signature: 236,
};
const MAGIC = Buffer.from('M3KC\x01', 'latin1');
const DOMAIN = Buffer.from('mesh30k/cert/01\0', 'latin1');
const PROCESS_LIFE_S = 30 * 86400,
    SESSION_LIFE_S = 86400,
    CONSOLE_LIFE_S = 8 * 3600,
    BACKDATE_S = 300;
const TIME_MAX = 2n ** 61n; // as in C: no sum of two times can overflow

export const hash256 = (bytes) => Buffer.from(sodium.crypto_generichash(32, bytes));
export const kidOf = (publicKey) => hash256(publicKey).readBigUInt64LE(0);
export const sign = (bytes, secret) => Buffer.from(sodium.crypto_sign_detached(bytes, secret));
export function signatureHolds(signature, bytes, publicKey) {
    try {
        return sodium.crypto_sign_verify_detached(signature, bytes, publicKey);
    } catch {
        return false; // no key at all
    }
}

function keyFile(file, what, bytes, secret) {
    const stat = fs.statSync(file);
    if (secret && (stat.mode & 0o077) !== 0)
        throw new Error(`${file}: others can read this secret; repair it with: chmod 600 ${file}`);
    const [first, hex, rest] = fs.readFileSync(file, 'latin1').split('\n');
    if (
        first !== `mesh30k ${what} 1` ||
        !/^[0-9a-f]*$/.test(hex) ||
        hex.length !== 2 * bytes ||
        rest !== ''
    )
        throw new Error(
            `${file}: expected the line 'mesh30k ${what} 1' and ${2 * bytes} hex digits`,
        );
    return Buffer.from(hex, 'hex');
}

export function tokenHolds(token) {
    return /^[a-z0-9-]{1,16}$/.test(token);
}

// A token in 16 bytes, padded with zeros; null when it is none.
export function tokenRead(bytes) {
    const end = bytes.indexOf(0);
    const token = bytes.toString('latin1', 0, end < 0 ? 16 : end);
    if (end >= 0 && bytes.subarray(end).some((b) => b !== 0)) return null;
    return token === '' || tokenHolds(token) ? token : null;
}

export function tokenWrite(token) {
    const bytes = Buffer.alloc(16);
    bytes.write(token, 'latin1');
    return bytes;
}

// A unit of a certificate or an announcement: {tier, sector, cluster, agent}.
export function unitRead(bytes, at) {
    return {
        tier: bytes[at],
        zero: bytes[at + 1],
        sector: bytes.readUInt16LE(at + 2),
        cluster: bytes.readUInt16LE(at + 4),
        agent: bytes.readUInt16LE(at + 6),
    };
}

// The order of units within a tier; hosts and consoles go by their number.
function rank(u) {
    return u.tier >= 5
        ? u.cluster * 65536 + u.sector
        : (u.sector * 65536 + u.cluster) * 65536 + u.agent;
}

export function scopeHas(scope, unit) {
    return scope.some(
        (r) =>
            r.first.tier === unit.tier && rank(r.first) <= rank(unit) && rank(unit) <= rank(r.last),
    );
}

// One encoding: whatever certWrite would not write is null.
export function certRead(bytes) {
    const c = {
        kind: bytes[AT.kind],
        roles: bytes.readUInt16LE(AT.roles),
        port: bytes.readUInt16LE(AT.port),
        token: tokenRead(bytes.subarray(AT.token, AT.token + 16)),
        scope: [],
        capabilities: bytes.readBigUInt64LE(AT.capabilities),
        publicKey: bytes.subarray(AT.key, AT.key + 32),
        issuer: bytes.readBigUInt64LE(AT.issuer),
        notBefore: bytes.readBigUInt64LE(AT.notBefore),
        notAfter: bytes.readBigUInt64LE(AT.notAfter),
        epoch: bytes.readBigUInt64LE(AT.epoch),
        bytes,
    };
    const scopes = bytes[AT.scopes];
    if (
        !bytes.subarray(0, 5).equals(MAGIC) ||
        (c.kind !== KIND_PROCESS && c.kind !== KIND_SESSION) ||
        c.roles === 0 ||
        (c.roles & ~ROLES_ALL) !== 0 ||
        bytes.readUInt16LE(AT.flags) !== 0 ||
        !c.token ||
        c.port >= 32768 ||
        (c.kind === KIND_PROCESS && c.port !== 0) ||
        scopes > SCOPES_MAX ||
        bytes.subarray(AT.scopes + 1, AT.scope).some((b) => b !== 0) ||
        c.notBefore > TIME_MAX ||
        c.notAfter > TIME_MAX ||
        c.notBefore >= c.notAfter
    )
        return null;
    for (let i = 0; i < SCOPES_MAX; i++) {
        const at = AT.scope + 16 * i;
        if (i >= scopes) {
            if (bytes.subarray(at, at + 16).some((b) => b !== 0)) return null;
            continue;
        }
        const first = unitRead(bytes, at),
            last = unitRead(bytes, at + 8);
        if (
            first.zero ||
            last.zero ||
            first.tier < 1 ||
            first.tier > 6 ||
            first.tier !== last.tier ||
            rank(first) > rank(last)
        )
            return null;
        c.scope.push({ first, last });
    }
    c.notBefore = Number(c.notBefore);
    c.notAfter = Number(c.notAfter);
    return c;
}

function signedPart(bytes) {
    const head = Buffer.alloc(20);
    DOMAIN.copy(head);
    head.writeUInt32LE(AT.signature, 16);
    return Buffer.concat([head, bytes.subarray(0, AT.signature)]);
}

const sessionLife = (roles) => (roles & ROLE.console ? CONSOLE_LIFE_S : SESSION_LIFE_S);

// What is wrong with a chain, '' when nothing; the order of tiers/runner/keys.c.
export function chainVerdict(process, session, issuers, nowS) {
    if (!process || !session) return 'shape';
    if (process.kind !== KIND_PROCESS || session.kind !== KIND_SESSION) return 'wrong-kind';
    const issuer = issuers.get(process.issuer);
    if (!issuer || session.issuer !== kidOf(process.publicKey)) return 'wrong-issuer';
    for (const [cert, life] of [
        [process, PROCESS_LIFE_S],
        [session, sessionLife(session.roles)],
    ]) {
        if (cert.notAfter - cert.notBefore > life) return 'too-long-lived';
        if (nowS < cert.notBefore) return 'not-yet-valid';
        if (nowS >= cert.notAfter) return 'expired';
    }
    if (session.notAfter > process.notAfter) return 'outlives-parent';
    if (session.token !== process.token) return 'token-changed';
    if ((session.roles & ~process.roles) !== 0) return 'role-widened';
    if ((session.capabilities & ~process.capabilities) !== 0n) return 'capability-widened';
    for (const r of session.scope) {
        if (
            !process.scope.some(
                (p) =>
                    p.first.tier === r.first.tier &&
                    rank(p.first) <= rank(r.first) &&
                    rank(r.last) <= rank(p.last),
            )
        )
            return 'scope-widened';
    }
    const holds = (cert, key) =>
        signatureHolds(cert.bytes.subarray(AT.signature), signedPart(cert.bytes), key);
    return holds(process, issuer) && holds(session, process.publicKey) ? '' : 'bad-signature';
}

// {mesh, issuers, roots, cert, certBytes, secret, tls} of the process `name`; throws what is wrong and where.
export function identityLoad(dir, name) {
    const file = (suffix) => path.join(dir, suffix);
    const issuer = keyFile(file('issuer.pub'), 'issuer-public', 32, false);
    const mesh = kidOf(issuer);
    const seed = keyFile(file(`${name}.key`), 'process-key', 32, true);
    const secret = Buffer.from(sodium.crypto_sign_seed_keypair(seed).privateKey);
    const certBytes = keyFile(file(`${name}.cert`), 'certificate', CERT_BYTES, false);
    const cert = certRead(certBytes);
    if (!cert || cert.kind !== KIND_PROCESS)
        throw new Error(`${file(`${name}.cert`)}: this is no process certificate`);
    if (cert.token !== name)
        throw new Error(`${file(`${name}.cert`)}: it is the certificate of ${cert.token}`);
    if (!cert.publicKey.equals(secret.subarray(32)))
        throw new Error(`${file(`${name}.cert`)}: it belongs to another key than ${name}.key`);
    if (
        cert.issuer !== mesh ||
        !signatureHolds(certBytes.subarray(AT.signature), signedPart(certBytes), issuer)
    )
        throw new Error(`${file(`${name}.cert`)}: the issuer in issuer.pub has not signed it`);
    const roots = fs.existsSync(file('root.pub'))
        ? keyFile(file('root.pub'), 'roots', 96, false)
        : null;
    return {
        name,
        mesh,
        issuers: new Map([[mesh, issuer]]),
        roots,
        cert,
        certBytes,
        secret,
        tls: {
            caFile: file('ca.crt'),
            certFile: file(`${name}.tls.crt`),
            keyFile: file(`${name}.tls.key`),
        },
    };
}

// A fresh session key and its certificate; epochAfter: of the session that it replaces, or 0n.
export function sessionMake(identity, nowMs, epochAfter) {
    const pair = sodium.crypto_sign_keypair();
    const nowS = Math.floor(nowMs / 1000);
    if (nowS >= identity.cert.notAfter)
        throw new Error(`the certificate of ${identity.name} has expired; issue it anew`);
    const bytes = Buffer.from(identity.certBytes);
    bytes[AT.kind] = KIND_SESSION;
    Buffer.from(pair.publicKey).copy(bytes, AT.key);
    bytes.writeBigUInt64LE(kidOf(identity.cert.publicKey), AT.issuer);
    const notBefore = nowS - BACKDATE_S;
    const notAfter = Math.min(notBefore + sessionLife(identity.cert.roles), identity.cert.notAfter);
    bytes.writeBigUInt64LE(BigInt(notBefore), AT.notBefore);
    bytes.writeBigUInt64LE(BigInt(notAfter), AT.notAfter);
    const epoch = BigInt(nowMs) > epochAfter ? BigInt(nowMs) : epochAfter + 1n;
    bytes.writeBigUInt64LE(epoch, AT.epoch);
    sign(signedPart(bytes), identity.secret).copy(bytes, AT.signature);
    return {
        secret: Buffer.from(pair.privateKey),
        kid: kidOf(pair.publicKey),
        chain: Buffer.concat([identity.certBytes, bytes]),
        epoch,
        renewAtS: nowS + Math.floor((notAfter - nowS) / 2),
        number: Buffer.from(sodium.randombytes_buf(8)).readBigUInt64LE(0),
        seq: 0n,
    };
}

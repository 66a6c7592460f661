// Records and bodies (docs/PROTOCOL.md). protobufjs knows the fields from proto/mesh.proto; what it would let pass and
// version 1 refuses (unknown fields, a singular field twice, another wire type, unknown enum values) is found by a scan.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { RECORD_HEAD } from './frame.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const file = process.env.MESH_PROTO ?? path.join(here, '../../../../proto/mesh.proto');
const root = new protobuf.Root().loadSync(file, { keepCase: true }).resolveAll();
export const Long = protobuf.util.Long;
export const enums = (name) => root.lookupEnum(`mesh.${name}`).values;

// Type number -> name and body of what an agent says or hears.
export const TYPE = {
    HELLO: 1,
    WELCOME: 2,
    GOODBYE: 3,
    HEARTBEAT: 4,
    BEAT_REPLY: 6,
    OPERATE: 7,
    ACK: 8,
    CANCEL: 10,
    FREEZE: 16,
    THAW: 17,
    RELAY: 18,
    RELAY_ACK: 19,
};
const BODY = {
    1: 'Hello',
    2: 'Welcome',
    3: 'Goodbye',
    4: 'Heartbeat',
    6: 'BeatReply',
    7: 'Coordinate',
    8: 'Acknowledge',
    10: 'Cancel',
    16: 'Freeze',
    17: 'Thaw',
    18: 'Relay',
    19: 'RelayAck',
};
const DEEP = 8,
    TEXT_MAX = 256,
    BYTES_MAX = 57344;
const WIRE = {
    double: 1,
    float: 5,
    int32: 0,
    uint32: 0,
    sint32: 0,
    fixed32: 5,
    sfixed32: 5,
    int64: 0,
    uint64: 0,
    sint64: 0,
    fixed64: 1,
    sfixed64: 1,
    bool: 0,
    string: 2,
    bytes: 2,
};
const utf8 = new TextDecoder('utf-8', { fatal: true });

function scanText(bytes) {
    if (bytes.length > TEXT_MAX || bytes.includes(0)) throw new Error('bad-text');
    utf8.decode(bytes);
}

function varint(reader) {
    const from = reader.pos;
    const value = reader.uint64();
    if (reader.pos - from > 1 && reader.buf[reader.pos - 1] === 0) throw new Error('bad-varint');
    return value;
}

function scanPacked(bytes, wire) {
    const reader = protobuf.Reader.create(bytes);
    if (bytes.length === 0) throw new Error('malformed');
    while (reader.pos < reader.len) {
        if (wire === 0) varint(reader);
        else reader.skipType(wire);
    }
}

function scan(type, bytes, depth) {
    if (depth > DEEP) throw new Error('too-deep');
    const reader = protobuf.Reader.create(bytes),
        seen = new Set();
    while (reader.pos < reader.len) {
        const tag = Number(varint(reader)),
            field = type.fieldsById[tag >>> 3];
        if (!field) throw new Error('unknown-field');
        const isEnum = field.resolvedType instanceof protobuf.Enum,
            isMessage = field.resolvedType instanceof protobuf.Type;
        const wire = isMessage ? 2 : isEnum ? 0 : WIRE[field.type];
        const packed = field.repeated && wire !== 2;
        if ((tag & 7) !== (packed ? 2 : wire)) throw new Error('malformed');
        if ((!field.repeated || packed) && seen.has(field.id)) throw new Error('duplicate');
        seen.add(field.id);
        if (isMessage) scan(field.resolvedType, reader.bytes(), depth + 1);
        else if (packed) scanPacked(reader.bytes(), wire);
        else if (isEnum) {
            if (field.resolvedType.valuesById[Number(varint(reader))] === undefined)
                throw new Error('bad-enum');
        } else if (field.type === 'string') scanText(reader.bytes());
        else if (wire === 0) varint(reader);
        else reader.skipType(wire);
    }
    if (reader.pos !== reader.len) throw new Error('truncated');
}

// Plain object with every field (longs as numbers, bytes as Buffer); throws the name of the refusal.
export function bodyRead(name, bytes) {
    if (bytes.length > BYTES_MAX) throw new Error('too-big');
    const type = root.lookupType(`mesh.${name}`);
    try {
        scan(type, bytes, 1);
    } catch (error) {
        if (error instanceof RangeError) throw new Error('truncated'); // a length beyond its message
        throw error instanceof TypeError ? new Error('bad-text') : error;
    }
    return type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true });
}

export function unitPack(u) {
    return (
        (BigInt(u.tier) << 48n) |
        (BigInt(u.sector) << 32n) |
        (BigInt(u.cluster) << 16n) |
        BigInt(u.agent ?? 0)
    );
}

export function unitUnpack(packed) {
    const bits = (shift) => Number((packed >> BigInt(shift)) & 0xffffn);
    return { tier: bits(48), sector: bits(32), cluster: bits(16), agent: bits(0) };
}

export const long = (bigint) => Long.fromString(bigint.toString(), bigint >= 2n ** 63n);

export function recordWrite(type, priority, from, to, epoch, fields) {
    const message = root.lookupType(`mesh.${BODY[type]}`);
    const body = message.encode(message.create(fields)).finish();
    const head = Buffer.alloc(RECORD_HEAD);
    head[0] = type;
    head[1] = priority;
    head.writeUInt32LE(body.length, 4);
    head.writeBigUInt64LE(from, 8);
    head.writeBigUInt64LE(to, 16);
    head.writeBigUInt64LE(epoch, 32);
    head.writeBigInt64LE(process.hrtime.bigint() / 1000n, 40);
    return Buffer.concat([head, body]);
}

// {type, priority, from, to, mask, epoch, sentUs, name, body}; body is null for a type that is none of an agent's.
export function recordRead(bytes) {
    if (bytes.length < RECORD_HEAD || bytes.readUInt32LE(4) !== bytes.length - RECORD_HEAD)
        throw new Error('truncated');
    const r = {
        type: bytes[0],
        priority: bytes[1],
        flags: bytes.readUInt16LE(2),
        from: bytes.readBigUInt64LE(8),
        to: bytes.readBigUInt64LE(16),
        mask: bytes.readBigUInt64LE(24),
        epoch: bytes.readBigUInt64LE(32),
        sentUs: bytes.readBigInt64LE(40),
    };
    if (r.type < 1 || r.type > 26) throw new Error('bad-type');
    if (r.priority > 3 || (r.flags & ~1) !== 0) throw new Error('bad-range');
    r.name = BODY[r.type] ?? '';
    r.body = r.name ? bodyRead(r.name, bytes.subarray(RECORD_HEAD)) : null;
    return r;
}

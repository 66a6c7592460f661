/* The domain string is the magic: a digest needs one contiguous input that starts with its domain
 * and length, so the wire format begins with them and signing and verifying run over the buffer in
 * place. Chain and path stand behind the body, so a builder needs not know at the start whether
 * they will be needed; their room is always kept free (760 of 61,440 bytes).
 *
 * frame_parse reads the fixed header only, by offsets, and every field is range-checked before
 * use; lengths must add up exactly, so there is no byte that the signature does not cover and none
 * that it covers twice. Bounds: 60 KiB, 16,384 records, ttl up to a day. */
#include "tiers/runner/frame.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/frame_tree.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>

enum {
    AT_SIGNED = 16,
    AT_FLAGS = 20,
    AT_RECORDS = 22,
    AT_MESH = 24,
    AT_SOURCE = 32,
    AT_DESTINATION = 48,
    AT_SOURCE_PORT = 64,
    AT_DESTINATION_PORT = 66,
    AT_BODY_BYTES = 68,
    AT_KID = 72,
    AT_SESSION = 80,
    AT_SEQ = 88,
    AT_ISSUED = 96,
    AT_TTL = 104,
    AT_LEAF = 108,
    AT_DEPTH = 109,
    AT_ZERO = 110,
    AT_KNOWN_KID = 112
};
#define SIGNED_FROM 20u
static const char magic[16] = "mesh30k/frame/2";
#define MAGIC_BYTES 14u /* then the version and a NUL */

const char *frame_verdict_name(enum frame_verdict v)
{
    static const char *const names[] = {
        [FRAME_OK] = "ok",
        [FRAME_SIZE] = "size",
        [FRAME_MAGIC] = "magic",
        [FRAME_VERSION] = "version",
        [FRAME_SHAPE] = "shape",
        [FRAME_MESH] = "other-mesh",
        [FRAME_SOURCE] = "wrong-source",
        [FRAME_RATE] = "rate",
        [FRAME_DESTINATION] = "wrong-destination",
        [FRAME_UNKNOWN_KEY] = "unknown-key",
        [FRAME_OLD_SESSION] = "old-session",
        [FRAME_CHAIN_INVALID] = "chain-invalid",
        [FRAME_ROLE] = "role",
        [FRAME_CERT_EXPIRED] = "certificate-expired",
        [FRAME_FUTURE] = "future",
        [FRAME_EXPIRED] = "expired",
        [FRAME_BEFORE_START] = "before-start",
        [FRAME_REPLAY] = "replay",
        [FRAME_SEQ_OLD] = "seq-old",
        [FRAME_PEERS_FULL] = "peers-full",
        [FRAME_SIGNATURE] = "signature",
        [FRAME_RECORDS] = "records",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == FRAME_VERDICT_COUNT, "a name for each");
    assert((unsigned)v < FRAME_VERDICT_COUNT);
    return names[v];
}

enum cert_verdict frame_signer_start(struct frame_signer *signer, const struct identity *identity,
                                     uint16_t port, const struct unit_range *scope,
                                     uint32_t scope_count, int64_t now_ms)
{
    assert(signer);
    assert(identity);
    struct session_key key;
    enum cert_verdict v =
        session_make(identity, port, scope, scope_count, now_ms, signer->key.epoch, &key);
    if (v != CERT_OK)
        return v;
    signer->self = identity->cert.subject;
    signer->self.port = port;
    signer->key = key;
    signer->seq = 0;
    randombytes_buf(&signer->session, sizeof(signer->session));
    sodium_memzero(&key, sizeof(key));
    return CERT_OK;
}

bool frame_signer_is_due(const struct frame_signer *signer, int64_t now_ms)
{
    assert(signer);
    assert(signer->key.epoch > 0);
    int64_t now_s = now_ms / 1000;
    bool early = now_s < signer->key.not_before_s && signer->key.renew_at_s != INT64_MAX;
    return early || now_s >= signer->key.renew_at_s;
}

void frame_begin(struct frame_builder *b, uint8_t *bytes)
{
    assert(b);
    assert(bytes);
    *b = (struct frame_builder){.bytes = bytes, .used = FRAME_HEADER_BYTES};
}

uint8_t *frame_reserve(struct frame_builder *b, size_t bytes_max)
{
    assert(b && b->used >= FRAME_HEADER_BYTES);
    assert(bytes_max > 0 && bytes_max <= MESSAGE_BYTES_MAX);
    if (b->used - FRAME_HEADER_BYTES + FRAME_RECORD_BYTES + bytes_max > FRAME_BODY_MAX ||
        b->record_count == FRAME_RECORDS_MAX)
        return NULL;
    return b->bytes + b->used + FRAME_RECORD_BYTES;
}

void frame_commit(struct frame_builder *b, size_t bytes)
{
    assert(b && bytes > 0 && bytes <= MESSAGE_BYTES_MAX);
    assert(b->used - FRAME_HEADER_BYTES + FRAME_RECORD_BYTES + bytes <= FRAME_BODY_MAX);
    assert(b->record_count < FRAME_RECORDS_MAX);
    put_u16(b->bytes + b->used, (uint16_t)bytes);
    b->used += FRAME_RECORD_BYTES + bytes;
    b->record_count++;
}

void frame_resize(struct frame_builder *b, size_t at, size_t bytes)
{
    assert(b && bytes > 0 && bytes <= MESSAGE_BYTES_MAX);
    assert(at >= FRAME_HEADER_BYTES && at + FRAME_RECORD_BYTES + get_u16(b->bytes + at) == b->used);
    assert(at - FRAME_HEADER_BYTES + FRAME_RECORD_BYTES + bytes <= FRAME_BODY_MAX);
    put_u16(b->bytes + at, (uint16_t)bytes);
    b->used = at + FRAME_RECORD_BYTES + bytes;
}

size_t frame_finish(struct frame_builder *b, struct frame_signer *signer,
                    const struct identity *identity, const struct frame_address *to)
{
    assert(b && signer && identity && to);
    assert(to->ttl_ms > 0 && to->ttl_ms <= FRAME_TTL_MS_MAX && to->issued_ms >= 0);
    uint8_t *at = b->bytes;
    size_t body_bytes = b->used - FRAME_HEADER_BYTES;
    unsigned flags = (to->with_chain ? FRAME_CHAIN : 0u) | (to->want_chain ? FRAME_WANT_CHAIN : 0u);
    if (to->with_chain) {
        memcpy(at + b->used, identity->cert_bytes, CERT_BYTES);
        memcpy(at + b->used + CERT_BYTES, signer->key.cert_bytes, CERT_BYTES);
        b->used += CHAIN_BYTES;
    }
    memcpy(at, magic, sizeof(magic));
    put_u32(at + AT_SIGNED, (uint32_t)(b->used - SIGNED_FROM));
    put_u16(at + AT_FLAGS, (uint16_t)flags);
    put_u16(at + AT_RECORDS, b->record_count);
    put_u64(at + AT_MESH, identity->mesh);
    memcpy(at + AT_SOURCE, signer->self.token, TOKEN_MAX);
    memcpy(at + AT_DESTINATION, to->destination.token, TOKEN_MAX);
    put_u16(at + AT_SOURCE_PORT, signer->self.port);
    put_u16(at + AT_DESTINATION_PORT, to->destination.port);
    put_u32(at + AT_BODY_BYTES, (uint32_t)body_bytes);
    put_u64(at + AT_KID, signer->key.key.kid);
    put_u64(at + AT_SESSION, signer->session);
    put_u64(at + AT_SEQ, ++signer->seq);
    put_u64(at + AT_ISSUED, (uint64_t)to->issued_ms);
    put_u32(at + AT_TTL, to->ttl_ms);
    put_u16(at + AT_ZERO, 0);
    frame_place(at, 0, 0);
    put_u64(at + AT_KNOWN_KID, to->known_kid);
    size_t length = b->used + SIGNATURE_BYTES;
    assert(length + FRAME_PATH_MAX <= FRAME_BYTES_MAX);
    return length;
}

size_t frame_leaf_bytes(const uint8_t *bytes)
{
    size_t leaf_bytes = SIGNED_FROM + get_u32(bytes + AT_SIGNED);
    assert(leaf_bytes >= FRAME_HEADER_BYTES && leaf_bytes <= FRAME_BYTES_MAX - SIGNATURE_BYTES);
    return leaf_bytes;
}

void frame_place(uint8_t *bytes, unsigned leaf, unsigned depth)
{
    assert(depth <= FRAME_DEPTH_MAX && leaf >> depth == 0);
    bytes[AT_LEAF] = (uint8_t)leaf;
    bytes[AT_DEPTH] = (uint8_t)depth;
}

size_t frame_seal(struct frame_builder *b, struct frame_signer *signer,
                  const struct identity *identity, const struct frame_address *to)
{
    struct frame_unsigned alone = {b->bytes, frame_finish(b, signer, identity, to)};
    frame_tree_sign(&alone, 1, signer->key.key.secret);
    return alone.length;
}

static bool token_read(const uint8_t *at, struct endpoint *ret, uint16_t port, bool may_be_empty)
{
    char token[TOKEN_MAX + 1] = {0};
    memcpy(token, at, TOKEN_MAX);
    size_t bytes = strlen(token);
    for (size_t i = bytes; i < TOKEN_MAX; i++) {
        if (at[i] != 0)
            return false;
    }
    if (bytes == 0) {
        *ret = (struct endpoint){0};
        return may_be_empty && port == 0;
    }
    return endpoint_make(token, bytes, port, ret);
}

static bool route_read(const uint8_t *bytes, struct route *ret)
{
    uint16_t source = get_u16(bytes + AT_SOURCE_PORT);
    uint16_t destination = get_u16(bytes + AT_DESTINATION_PORT);
    return token_read(bytes + AT_SOURCE, &ret->source, source, false) &&
           token_read(bytes + AT_DESTINATION, &ret->destination, destination, true);
}

static bool ranges_hold(const struct frame_view *v, uint64_t issued)
{
    return (v->flags & ~(FRAME_CHAIN | FRAME_WANT_CHAIN)) == 0 &&
           v->record_count <= FRAME_RECORDS_MAX && v->seq > 0 && v->ttl_ms > 0 &&
           v->ttl_ms <= FRAME_TTL_MS_MAX && issued <= INT64_MAX / 4 &&
           v->depth <= FRAME_DEPTH_MAX && v->leaf >> v->depth == 0;
}

enum frame_verdict frame_parse(const uint8_t *bytes, size_t length, struct frame_view *ret)
{
    assert(bytes || length == 0);
    assert(ret);
    if (length < FRAME_BYTES_MIN || length > FRAME_BYTES_MAX)
        return FRAME_SIZE;
    if (memcmp(bytes, magic, MAGIC_BYTES) != 0)
        return FRAME_MAGIC;
    if (memcmp(bytes, magic, sizeof(magic)) != 0)
        return FRAME_VERSION;
    size_t leaf_bytes = (size_t)SIGNED_FROM + get_u32(bytes + AT_SIGNED);
    size_t path_bytes = (size_t)FRAME_DIGEST_BYTES * bytes[AT_DEPTH];
    if (leaf_bytes + path_bytes + SIGNATURE_BYTES != length || leaf_bytes < FRAME_HEADER_BYTES)
        return FRAME_SIZE;
    uint64_t issued = get_u64(bytes + AT_ISSUED);
    struct frame_view v = {.flags = get_u16(bytes + AT_FLAGS),
                           .record_count = get_u16(bytes + AT_RECORDS),
                           .mesh = get_u64(bytes + AT_MESH),
                           .kid = get_u64(bytes + AT_KID),
                           .session = get_u64(bytes + AT_SESSION),
                           .seq = get_u64(bytes + AT_SEQ),
                           .known_kid = get_u64(bytes + AT_KNOWN_KID),
                           .ttl_ms = get_u32(bytes + AT_TTL),
                           .body = bytes + FRAME_HEADER_BYTES,
                           .body_bytes = get_u32(bytes + AT_BODY_BYTES),
                           .leaf_bytes = leaf_bytes,
                           .leaf = bytes[AT_LEAF],
                           .depth = bytes[AT_DEPTH]};
    if (!ranges_hold(&v, issued) || get_u16(bytes + AT_ZERO) != 0 || !route_read(bytes, &v.route))
        return FRAME_SHAPE;
    v.issued_ms = (int64_t)issued;
    size_t chain_bytes = v.flags & FRAME_CHAIN ? CHAIN_BYTES : 0;
    if (leaf_bytes < FRAME_HEADER_BYTES + chain_bytes ||
        v.body_bytes != leaf_bytes - FRAME_HEADER_BYTES - chain_bytes)
        return FRAME_SHAPE;
    if (chain_bytes > 0)
        v.chain = v.body + v.body_bytes;
    *ret = v;
    return FRAME_OK;
}

bool frame_next(const struct frame_view *view, size_t *cursor, const uint8_t **ret_record,
                size_t *ret_bytes)
{
    assert(view && cursor);
    assert(ret_record && ret_bytes);
    size_t left = view->body_bytes - *cursor;
    if (*cursor >= view->body_bytes || left < FRAME_RECORD_BYTES)
        return false;
    size_t bytes = get_u16(view->body + *cursor);
    if (bytes == 0 || bytes > MESSAGE_BYTES_MAX || bytes > left - FRAME_RECORD_BYTES)
        return false;
    *ret_record = view->body + *cursor + FRAME_RECORD_BYTES;
    *ret_bytes = bytes;
    *cursor += FRAME_RECORD_BYTES + bytes;
    return true;
}

bool frame_records_hold(const struct frame_view *view)
{
    assert(view);
    assert(view->body || view->body_bytes == 0);
    size_t cursor = 0, bytes;
    const uint8_t *record;
    uint32_t count = 0;
    while (frame_next(view, &cursor, &record, &bytes))
        count++;
    return cursor == view->body_bytes && count == view->record_count;
}

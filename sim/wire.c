/* See wire.h. One issuer; certificates are made when they are first needed. */
#include "sim/wire.h"
#include "proto/codec.h"
#include "tiers/runner/frame_tree.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/peers.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S        86400ll
#define FRAME_TTL_MS 30000u /* EGRESS_FRAME_TTL_MS */
#define SEQ_AHEAD    1000000ull

struct speaker {
    struct identity identity;
    struct frame_signer signer;
    bool made;
    uint8_t shared[FRAME_DIGEST_BYTES + SIGNATURE_BYTES]; /* path and signature of its last frame */
};

struct wire {
    const struct topology *topology;
    struct codec codec;
    struct key_pair issuer;
    uint32_t nodes, agents;
    struct speaker *speakers;   /* by agent */
    struct identity *receivers; /* by node */
    struct grants *grants;      /* by node: who may speak for which spare place there */
    struct peers **peers;       /* by node; NULL: it has heard nothing */
    struct arena arena;
    uint8_t *arena_bytes, *record, *second;
};

static void *room(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL) {
        fputs("wire: out of memory\n", stderr);
        abort();
    }
    return p;
}

static void *wire_open(const struct topology *t, uint32_t nodes, int64_t now_ms)
{
    struct wire *w = room(sizeof(*w));
    (void)now_ms;
    if (keys_start() < 0) {
        fputs("wire: no random numbers\n", stderr);
        abort();
    }
    w->topology = t;
    w->codec.topology = t;
    w->nodes = nodes;
    w->agents = topology_places(t);
    key_pair_make(&w->issuer);
    w->speakers = room(w->agents * sizeof(*w->speakers));
    w->receivers = room(nodes * sizeof(*w->receivers));
    w->grants = room(nodes * sizeof(*w->grants));
    w->peers = room(nodes * sizeof(*w->peers));
    w->arena_bytes = aligned_alloc(ARENA_ALIGN, CODEC_ARENA_BYTES);
    w->record = room(MESSAGE_BYTES_MAX + RECORD_HEADER_BYTES);
    w->second = room(WIRE_FRAME_MAX);
    assert(w->arena_bytes != NULL);
    arena_init(&w->arena, w->arena_bytes, CODEC_ARENA_BYTES);
    return w;
}

static void wire_forget(void *wire, uint32_t node)
{
    struct wire *w = wire;
    peers_free(w->peers[node]);
    w->peers[node] = NULL;
    grants_done(&w->grants[node]);
}

static void wire_grant(void *wire, uint32_t node, const struct grant *grant)
{
    struct wire *w = wire;
    bool room = w->grants[node].homes.slots != NULL || grants_init(&w->grants[node], w->topology);
    assert(room && grants_set(&w->grants[node], grant));
    (void)room;
}

static void wire_close(void *wire)
{
    struct wire *w = wire;
    for (uint32_t i = 0; i < w->nodes; i++) {
        wire_forget(w, i);
    }
    free(w->speakers);
    free(w->receivers);
    free(w->grants);
    free(w->peers);
    free(w->arena_bytes);
    free(w->record);
    free(w->second);
    free(w);
}

static void certify(struct wire *w, const char *token, uint16_t role, struct unit u,
                    uint64_t capabilities, int64_t now_ms, struct identity *ret)
{
    bool named;
    memcpy(ret->issuer_public, w->issuer.public_key, PUBLIC_BYTES);
    ret->mesh = w->issuer.kid;
    key_pair_make(&ret->key);
    ret->cert = (struct cert){.kind = CERT_PROCESS,
                              .roles = role,
                              .scope_count = 1,
                              .capabilities = capabilities,
                              .issuer_kid = w->issuer.kid,
                              .not_before_s = now_ms / 1000 - DAY_S,
                              .not_after_s = now_ms / 1000 + 20 * DAY_S,
                              .epoch = 1};
    ret->cert.scope[0] = (struct unit_range){u, u};
    named = endpoint_make(token, strlen(token), 0, &ret->cert.subject);
    assert(named);
    (void)named;
    memcpy(ret->cert.public_key, ret->key.public_key, PUBLIC_BYTES);
    cert_seal(&ret->cert, w->issuer.secret, ret->cert_bytes);
}

static struct speaker *speaker_of(struct wire *w, uint32_t agent, int64_t now_ms)
{
    struct speaker *s = &w->speakers[agent];
    char token[TOKEN_MAX + 1];
    if (!s->made) {
        uint64_t may = topology_class_capabilities(w->topology, topology_class(w->topology, agent));
        snprintf(token, sizeof(token), "a%u", agent);
        certify(w, token, ROLE_HOST, topology_agent(w->topology, agent), may, now_ms, &s->identity);
    }
    if (!s->made || frame_signer_is_due(&s->signer, now_ms)) { /* as in egress.c */
        s->made = frame_signer_start(&s->signer, &s->identity, 0, NULL, 0, now_ms) == CERT_OK;
        assert(s->made);
    }
    return s;
}

static void receiver_token(uint32_t node, char ret[TOKEN_MAX + 1])
{
    snprintf(ret, TOKEN_MAX + 1, "n%u", node);
}

/* The neighbour's name and session, which anybody has seen, and a number that is not yet due. */
static void steal(struct wire *w, uint32_t neighbour, int64_t now_ms, struct frame_signer *ret)
{
    const struct speaker *n = speaker_of(w, neighbour, now_ms);
    *ret = n->signer;
    ret->seq += SEQ_AHEAD;
    memset(ret->key.key.secret, 1, SECRET_BYTES);
}

/* The record as a frame, not signed yet; 0: it does not fit. */
static size_t frame_of(const struct wire *w, uint8_t *bytes, size_t record_bytes,
                       struct frame_signer *signer, const struct identity *identity,
                       const struct frame_address *to)
{
    struct frame_builder b;
    frame_begin(&b, bytes);
    uint8_t *at = frame_reserve(&b, record_bytes);
    if (at == NULL) {
        return 0;
    }
    memcpy(at, w->record, record_bytes);
    frame_commit(&b, record_bytes);
    return frame_finish(&b, signer, identity, to);
}

static size_t sign_shared(struct wire *w, struct speaker *s, uint8_t *frame, size_t length,
                          size_t record_bytes, const struct frame_address *to)
{
    size_t second = frame_of(w, w->second, record_bytes, &s->signer, &s->identity, to);
    struct frame_unsigned pair[2] = {{frame, length}, {w->second, second}};
    frame_tree_sign(pair, 2, s->signer.key.key.secret);
    memcpy(s->shared, frame + pair[0].length - sizeof(s->shared), sizeof(s->shared));
    return pair[0].length;
}

static uint32_t wire_seal(void *wire, uint32_t agent, uint32_t to, const struct msg *msg,
                          int64_t now_ms, enum wire_forgery forgery, uint32_t neighbour,
                          uint8_t ret[WIRE_FRAME_MAX])
{
    struct wire *w = wire;
    struct speaker *s = speaker_of(w, agent, now_ms);
    struct frame_signer stolen, *signer = &s->signer;
    const struct identity *identity = &s->identity;
    struct record_header header;
    char token[TOKEN_MAX + 1];
    size_t body = 0;
    if (forgery == WIRE_STOLEN) {
        steal(w, neighbour, now_ms, &stolen);
        signer = &stolen;
        identity = &w->speakers[neighbour].identity;
    }
    if (!codec_encode(&w->codec, msg, w->record + RECORD_HEADER_BYTES, MESSAGE_BYTES_MAX, &body)) {
        return 0;
    }
    codec_record_of(msg, body, &header);
    codec_record_encode(&header, w->record);
    struct frame_address address = {
        .with_chain = true, .issued_ms = now_ms, .ttl_ms = FRAME_TTL_MS};
    receiver_token(to, token);
    (void)endpoint_make(token, strlen(token), 0, &address.destination);
    size_t length = frame_of(w, ret, RECORD_HEADER_BYTES + body, signer, identity, &address);
    if (length == 0) {
        return 0;
    }
    if (forgery == WIRE_HONEST) {
        return (uint32_t)sign_shared(w, s, ret, length, RECORD_HEADER_BYTES + body, &address);
    }
    if (forgery == WIRE_GRAFTED) {
        frame_place(ret, 0, 1);
        memcpy(ret + length - SIGNATURE_BYTES, s->shared, sizeof(s->shared));
        return (uint32_t)(length + FRAME_DIGEST_BYTES);
    }
    struct frame_unsigned alone = {ret, length};
    frame_tree_sign(&alone, 1, signer->key.key.secret);
    if (forgery == WIRE_ALTERED) {
        ret[FRAME_HEADER_BYTES + FRAME_RECORD_BYTES + RECORD_HEADER_BYTES - 1] ^= 1u;
    }
    return (uint32_t)alone.length;
}

static struct peers *peers_of(struct wire *w, uint32_t node, uint32_t place, int64_t now_ms)
{
    char token[TOKEN_MAX + 1];
    if (w->peers[node] != NULL) {
        return w->peers[node];
    }
    if (w->receivers[node].cert.scope_count == 0) {
        receiver_token(place, token);
        certify(w, token, ROLE_CLUSTER, unit_cluster(1, 1), 0, now_ms, &w->receivers[node]);
    }
    /* Without TLS nobody is held to what comes under his name (rate.h). */
    struct peers_config config = {
        .identity = &w->receivers[node], .port_count = 1, .start_ms = now_ms};
    w->peers[node] = peers_new(&config);
    assert(w->peers[node] != NULL);
    return w->peers[node];
}

static enum wire_verdict of_frame(enum frame_verdict v)
{
    switch ((int)v) {
    case FRAME_SIGNATURE:
    case FRAME_CHAIN_INVALID:
        return WIRE_SIGNATURE;
    case FRAME_REPLAY:
    case FRAME_SEQ_OLD:
        return WIRE_REPLAY;
    case FRAME_EXPIRED:
        return WIRE_EXPIRED;
    case FRAME_FUTURE:
        return WIRE_FUTURE;
    default:
        return WIRE_OTHER;
    }
}

static enum wire_verdict wire_take(void *wire, uint32_t node, uint32_t place, const uint8_t *bytes,
                                   uint32_t length, int64_t now_ms, struct msg *ret)
{
    struct wire *w = wire;
    struct peers *peers = peers_of(w, node, place, now_ms);
    struct frame_view view;
    const struct peer *peer;
    enum codec_verdict codec;
    size_t cursor = 0, record_bytes;
    const uint8_t *record;
    if (frame_parse(bytes, length, &view) != FRAME_OK) {
        return WIRE_OTHER;
    }
    struct route subject = view.route; /* whoever may reach the bus may write any subject */
    enum frame_verdict v = frame_open(peers, bytes, length, &subject, now_ms, &view, &peer);
    if (v != FRAME_OK) {
        return of_frame(v);
    }
    if (!frame_next(&view, &cursor, &record, &record_bytes)) {
        return WIRE_OTHER;
    }
    memset(ret, 0, sizeof(*ret));
    arena_reset(&w->arena);
    enum ingress_refusal r = ingress_record(
        &w->codec, peer, w->grants[node].homes.slots != NULL ? &w->grants[node] : NULL, record,
        record_bytes, &w->arena, ret, &codec);
    return r == INGRESS_OK           ? WIRE_TAKEN
           : r == INGRESS_SCOPE      ? WIRE_SCOPE
           : r == INGRESS_GRANT      ? WIRE_SCOPE
           : r == INGRESS_CAPABILITY ? WIRE_CAPABILITY
                                     : WIRE_OTHER;
}

const struct world_wire wire_real = {.open = wire_open,
                                     .close = wire_close,
                                     .seal = wire_seal,
                                     .take = wire_take,
                                     .forget = wire_forget,
                                     .grant = wire_grant};

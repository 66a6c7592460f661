/* A chained hash table whose rows are one allocation each: head, decoded copy and sealed bytes, or,
 * of one that is held only, its packed form. No references are counted: whoever needs an operation
 * asks for it by id again, and an entry outlives its TTL by a grace that covers work in hand.
 * Author chains that were verified are remembered (a few: there are one orchestrator and some
 * sectors), so a stream of operations costs one signature each. Bounds: bytes_max for all entries;
 * at it, new ones are refused and old ones stay. */
#include "tiers/runner/opcache.h"

#include "core/num.h"
#include "core/pack.h"
#include "tiers/runner/bytes.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS      16384u
#define CHAINS_MAX 16u

static const uint8_t domain[16] = "mesh30k/oper/01";

struct verified_chain {
    uint8_t chain[CHAIN_BYTES];
    struct cert session;
    int64_t not_after_s; /* of both certificates; 0: empty */
};

struct row {
    struct row *next;
    struct id128 id;
    int64_t until_us;
    size_t bytes;                /* of this allocation */
    struct opcache_entry *entry; /* sealed; NULL: held */
    struct packed *packed;       /* held: the operation */
};

/* Where held ones are laid out, in turn. */
struct place {
    struct packer packer;
    struct opcache_entry entry;
};

struct opcache {
    struct opcache_conf conf;
    struct opcache_stats stats;
    struct row *slots[SLOTS];
    struct verified_chain chains[CHAINS_MAX];
    uint32_t chain_next;
    const struct opcache_entry *last; /* accepted: the next frames carry the same */
    struct place places[OPCACHE_LAID_OUT];
    uint32_t place_next;
    void *place_memory;
    uint8_t scratch[SEALED_BYTES_MAX];
};

const char *opcache_verdict_name(enum opcache_verdict v)
{
    static const char *const names[OPCACHE_VERDICT_COUNT] = {
        "ok",   "known",   "shape",  "bad-chain",   "bad-signature", "wrong-author", "decode",
        "hash", "expired", "future", "other-bytes", "full",          "no-payload"};
    assert(v < OPCACHE_VERDICT_COUNT);
    return names[v];
}

struct opcache *opcache_new(const struct opcache_conf *conf)
{
    assert(conf != NULL && conf->codec != NULL);
    assert(conf->identity != NULL);
    struct opcache *c = calloc(1, sizeof(*c));
    size_t memory = pack_memory(sizeof(struct operation));
    uint8_t *places = aligned_alloc(PACK_LINE, memory * OPCACHE_LAID_OUT);
    if (c == NULL || places == NULL) {
        free(c);
        free(places);
        return NULL;
    }
    c->place_memory = places;
    for (uint32_t i = 0; i < OPCACHE_LAID_OUT; i++) {
        pack_init(&c->places[i].packer, places + i * memory, sizeof(struct operation),
                  pack_loops_here());
    }
    c->conf = *conf;
    if (c->conf.bytes_max == 0) {
        c->conf.bytes_max = OPCACHE_BYTES_MAX;
    }
    return c;
}

void opcache_free(struct opcache *c)
{
    if (c == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        while (c->slots[i] != NULL) {
            struct row *row = c->slots[i];
            c->slots[i] = row->next;
            free(row);
        }
    }
    free(c->place_memory);
    free(c);
}

static const struct row *row_find(const struct opcache *c, struct id128 id)
{
    const struct row *row = c->slots[num_id128_low(id) % SLOTS];
    while (row != NULL && !num_id128_equal(row->id, id)) {
        row = row->next;
    }
    return row;
}

static struct place *place_take(struct opcache *c)
{
    return &c->places[c->place_next++ % OPCACHE_LAID_OUT];
}

static const struct opcache_entry *find(struct opcache *c, struct id128 id)
{
    const struct row *row = row_find(c, id);
    if (row == NULL || row->entry != NULL) {
        return row != NULL ? row->entry : NULL;
    }
    struct place *place = place_take(c);
    const void *operation = pack_lay_out(&place->packer, row->packed);
    memcpy(&place->entry.operation, operation, sizeof(place->entry.operation));
    place->entry.id = row->id;
    place->entry.until_us = row->until_us;
    return &place->entry;
}

const struct opcache_entry *opcache_get(struct opcache *c, struct id128 id)
{
    assert(c != NULL);
    return find(c, id);
}

const struct opcache_stats *opcache_stats(const struct opcache *c)
{
    assert(c != NULL);
    return &c->stats;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 15u) & ~(size_t)15u;
}

/* A row with `bytes` behind it, in its place in the table. NULL: no room. */
static struct row *row_add(struct opcache *c, const struct operation *operation, int64_t grace_us,
                           size_t bytes)
{
    bytes += rounded(sizeof(struct row));
    if (c->stats.bytes + bytes > c->conf.bytes_max) {
        return NULL;
    }
    struct row *row = aligned_alloc(16, rounded(bytes));
    if (row == NULL) {
        return NULL;
    }
    struct row **slot = &c->slots[num_id128_low(operation->id) % SLOTS];
    *row = (struct row){.next = *slot,
                        .id = operation->id,
                        .until_us = operation->created_mesh_us + operation->ttl_us + grace_us,
                        .bytes = bytes};
    *slot = row;
    c->stats.bytes += bytes;
    c->stats.entries++;
    return row;
}

static enum opcache_verdict keep_sealed(struct opcache *c, const struct operation *operation,
                                        const uint8_t *sealed, size_t sealed_bytes)
{
    uint32_t extra = operation_extra_bytes(operation);
    size_t head = rounded(sizeof(struct opcache_entry));
    struct row *row = row_add(c, operation, OPCACHE_GRACE_US, head + extra + sealed_bytes);
    if (row == NULL) {
        return OPCACHE_FULL;
    }
    uint8_t *memory = (uint8_t *)row + rounded(sizeof(*row));
    struct opcache_entry *e = (struct opcache_entry *)(void *)memory;
    *e = (struct opcache_entry){.id = row->id,
                                .until_us = row->until_us,
                                .sealed = memory + head + extra,
                                .sealed_bytes = (uint32_t)sealed_bytes};
    (void)operation_copy(operation, &e->operation, memory + head, extra);
    memset(&e->operation.payload_of, 0, sizeof(e->operation.payload_of));
    memcpy(memory + head + extra, sealed, sealed_bytes);
    row->entry = e;
    return OPCACHE_OK;
}

/* Its variable part lies behind the row, and the packed form behind that; so it is packed twice:
 * pointers are known only when the row is there, and may take a word more then. */
static enum opcache_verdict keep_held(struct opcache *c, const struct operation *operation)
{
    struct place *place = place_take(c);
    struct operation *op = pack_lay_out(&place->packer, NULL);
    uint32_t extra = operation_extra_bytes(operation);
    *op = *operation;
    memset(&op->payload_of, 0, sizeof(op->payload_of));
    size_t room = pack_gather(&place->packer) + 2 * sizeof(uint32_t);
    /* Nobody passes on what is only held: it is repeated until its TTL is over, and no longer. */
    struct row *row = row_add(c, operation, OPCACHE_HELD_US, rounded(extra) + room);
    if (row == NULL) {
        return OPCACHE_FULL;
    }
    uint8_t *memory = (uint8_t *)row + rounded(sizeof(*row));
    (void)operation_copy(operation, op, memory, extra);
    memset(&op->payload_of, 0, sizeof(op->payload_of));
    row->packed = (struct packed *)(void *)(memory + rounded(extra));
    size_t bytes = pack_gather(&place->packer);
    assert(bytes <= room);
    pack_write(&place->packer, row->packed, room);
    return OPCACHE_OK;
}

static void hash_payload(const struct operation *operation, uint8_t ret[32])
{
    static const uint8_t nothing[1] = {0};
    const uint8_t *payload = operation->payload_bytes > 0 ? operation->payload : nothing;
    (void)crypto_generichash(ret, 32, payload, operation->payload_bytes, NULL, 0);
}

enum opcache_verdict opcache_seal(struct opcache *c, const struct operation *operation,
                                  const struct session_key *key, int64_t unix_us)
{
    assert(c != NULL && operation != NULL);
    assert(key != NULL && !num_id128_zero(operation->id));
    if (row_find(c, operation->id) != NULL) {
        return OPCACHE_KNOWN;
    }
    struct operation op = *operation;
    if (!num_id128_zero(op.payload_of)) {
        const struct opcache_entry *from = find(c, op.payload_of);
        if (from == NULL) {
            return OPCACHE_NO_PAYLOAD;
        }
        op.payload = from->operation.payload;
        op.payload_bytes = from->operation.payload_bytes;
    }
    if (op.created_mesh_us + op.ttl_us < unix_us - OPCACHE_SKEW_US) {
        return OPCACHE_EXPIRED;
    }
    hash_payload(&op, op.payload_hash);
    uint8_t *signed_part = c->scratch + CHAIN_BYTES + SIGNATURE_BYTES;
    size_t bytes = 0;
    if (!operation_encode(c->conf.codec, &op, c->scratch + SEALED_HEAD_BYTES, OPERATION_BYTES_MAX,
                          &bytes)) {
        return OPCACHE_DECODE;
    }
    memcpy(c->scratch, c->conf.identity->cert_bytes, CERT_BYTES);
    memcpy(c->scratch + CERT_BYTES, key->cert_bytes, CERT_BYTES);
    memcpy(signed_part, domain, sizeof(domain));
    put_u32(signed_part + 16, (uint32_t)bytes);
    (void)crypto_sign_detached(c->scratch + CHAIN_BYTES, NULL, signed_part, 20 + bytes,
                               key->key.secret);
    enum opcache_verdict v = keep_sealed(c, &op, c->scratch, SEALED_HEAD_BYTES + bytes);
    c->stats.sealed += v == OPCACHE_OK ? 1 : 0;
    return v;
}

/* The author's session certificate, or NULL: it does not hold. */
static const struct cert *chain_find(struct opcache *c, const uint8_t *chain, int64_t now_s)
{
    const struct trust *trust = c->conf.trust;
    struct cert process, session;
    if (cert_decode(chain, &process) != CERT_OK ||
        (trust != NULL && trust_is_revoked(trust, &process))) {
        return NULL;
    }
    const uint8_t *issuer =
        trust != NULL ? trust_issuer(trust, process.issuer_kid) : c->conf.identity->issuer_public;
    if (issuer == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < CHAINS_MAX; i++) {
        struct verified_chain *v = &c->chains[i];
        if (v->not_after_s > now_s && memcmp(v->chain, chain, CHAIN_BYTES) == 0) {
            return &v->session;
        }
    }
    c->stats.verified += 2;
    if (chain_verify(chain, issuer, now_s, &process, &session) != CERT_OK) {
        return NULL;
    }
    struct verified_chain *v = &c->chains[c->chain_next++ % CHAINS_MAX];
    memcpy(v->chain, chain, CHAIN_BYTES);
    v->session = session;
    v->not_after_s =
        process.not_after_s < session.not_after_s ? process.not_after_s : session.not_after_s;
    return &v->session;
}

/* An orchestrator speaks to everyone, a sector to places that lie wholly within its scope. */
static bool author_may(const struct cert *cert, const struct operation *op)
{
    if (!scope_has(cert->scope, cert->scope_count, op->source)) {
        return false;
    }
    if (op->source.tier == TIER_ORCHESTRATOR) {
        return (cert->roles & ROLE_ORCHESTRATOR) != 0;
    }
    const struct place_set *places = &op->selector.places;
    if (op->source.tier != TIER_SECTOR || !(cert->roles & ROLE_SECTOR) || places->count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < places->count; i++) {
        for (uint32_t s = places->patterns[i].sector.first; s <= places->patterns[i].sector.last;
             s++) {
            if (s == 0 || s > SECTORS_MAX ||
                !scope_has(cert->scope, cert->scope_count, unit_sector(s))) {
                return false;
            }
        }
    }
    return true;
}

static enum opcache_verdict accept_new(struct opcache *c, const struct operation *op,
                                       const struct cert *author, const uint8_t *bytes,
                                       size_t length, int64_t unix_us)
{
    uint8_t hash[32];
    if (!author_may(author, op)) {
        return OPCACHE_AUTHOR;
    }
    hash_payload(op, hash);
    if (memcmp(hash, op->payload_hash, sizeof(hash)) != 0) {
        return OPCACHE_HASH;
    }
    if (op->created_mesh_us + op->ttl_us < unix_us - OPCACHE_SKEW_US) {
        return OPCACHE_EXPIRED;
    }
    if (op->created_mesh_us > unix_us + OPCACHE_SKEW_US) {
        return OPCACHE_FUTURE;
    }
    if (row_find(c, op->id) != NULL) {
        return OPCACHE_OTHER;
    }
    return keep_sealed(c, op, bytes, length);
}

static enum opcache_verdict accept(struct opcache *c, const uint8_t *bytes, size_t length,
                                   int64_t unix_us, struct arena *arena)
{
    if (length <= SEALED_HEAD_BYTES || length > SEALED_BYTES_MAX) {
        return OPCACHE_SHAPE;
    }
    const uint8_t *signed_part = bytes + CHAIN_BYTES + SIGNATURE_BYTES;
    size_t body = length - SEALED_HEAD_BYTES;
    if (memcmp(signed_part, domain, sizeof(domain)) != 0 || get_u32(signed_part + 16) != body) {
        return OPCACHE_SHAPE;
    }
    /* Known bytes are found by their id, so the id is read before the signature is checked: the
     * decoder is made for hostile bytes, and its frame was signed by a member of the mesh. */
    if (c->last != NULL && c->last->sealed_bytes == length &&
        memcmp(c->last->sealed, bytes, length) == 0) {
        return OPCACHE_KNOWN;
    }
    struct operation op;
    arena_reset(arena);
    if (operation_decode(c->conf.codec, signed_part + 20, body, arena, &op) != CODEC_OK ||
        num_id128_zero(op.id)) {
        return OPCACHE_DECODE;
    }
    const struct opcache_entry *known = find(c, op.id);
    if (known != NULL && known->sealed_bytes == length &&
        memcmp(known->sealed, bytes, length) == 0) {
        c->last = known;
        return OPCACHE_KNOWN;
    }
    if (known != NULL && known->sealed_bytes >= SEALED_HEAD_BYTES &&
        known->sealed_bytes == length &&
        memcmp(known->sealed + SEALED_HEAD_BYTES, bytes + SEALED_HEAD_BYTES, body) == 0) {
        return OPCACHE_KNOWN; /* the same operation under a renewed session */
    }
    const struct cert *author = chain_find(c, bytes, unix_us / US_PER_S);
    if (author == NULL) {
        return OPCACHE_CHAIN;
    }
    c->stats.verified++;
    if (crypto_sign_verify_detached(bytes + CHAIN_BYTES, signed_part, 20 + body,
                                    author->public_key) != 0) {
        return OPCACHE_SIGNATURE;
    }
    return accept_new(c, &op, author, bytes, length, unix_us);
}

enum opcache_verdict opcache_accept(struct opcache *c, const uint8_t *bytes, size_t length,
                                    int64_t unix_us, struct arena *arena)
{
    assert(c != NULL && bytes != NULL);
    assert(arena != NULL);
    enum opcache_verdict v = accept(c, bytes, length, unix_us, arena);
    c->stats.verdicts[v]++;
    return v;
}

enum opcache_verdict opcache_hold(struct opcache *c, const struct operation *operation,
                                  int64_t unix_us)
{
    assert(c != NULL);
    assert(operation != NULL);
    const struct opcache_entry *known = find(c, operation->id);
    if (known != NULL) {
        const struct operation *k = &known->operation;
        bool same = k->payload_bytes == operation->payload_bytes &&
                    strcmp(k->action, operation->action) == 0 &&
                    (k->payload_bytes == 0 ||
                     memcmp(k->payload, operation->payload, k->payload_bytes) == 0);
        return same ? OPCACHE_KNOWN : OPCACHE_OTHER;
    }
    if (num_id128_zero(operation->id)) {
        return OPCACHE_DECODE;
    }
    if (operation->created_mesh_us + operation->ttl_us < unix_us - OPCACHE_SKEW_US) {
        return OPCACHE_EXPIRED;
    }
    enum opcache_verdict v = keep_held(c, operation);
    c->stats.held += v == OPCACHE_OK ? 1 : 0;
    return v;
}

void opcache_expire(struct opcache *c, int64_t unix_us)
{
    assert(c != NULL);
    c->last = NULL;
    for (uint32_t i = 0; i < SLOTS && c->stats.entries > 0; i++) {
        struct row **at = &c->slots[i];
        while (*at != NULL) {
            struct row *row = *at;
            if (row->until_us >= unix_us) {
                at = &row->next;
                continue;
            }
            *at = row->next;
            assert(c->stats.bytes >= row->bytes && c->stats.entries > 0);
            c->stats.bytes -= row->bytes;
            c->stats.entries--;
            free(row);
        }
    }
}

/* Identities, victims and shots. Victims have the product's own ingress; only what lies behind it,
 * the nodes, is a counter: a message that arrives there was accepted. */
#include "tests/attacks/attacks.h"

#include "proto/codec.h"
#include "tests/support/identities.h"
#include "tests/support/sign_alone.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void on_message(void *ctx, const struct msg *msg)
{
    struct victim *v = ctx;
    if (msg->type == MSG_COMMAND) {
        v->proof = msg->u.command->proof;
        v->proof_why = msg->u.command->proof_why;
    }
    v->messages++;
}

static void digest(const uint8_t *bytes, uint32_t count, uint8_t ret[ORDER_HASH])
{
    (void)crypto_generichash(ret, ORDER_HASH, bytes, count, NULL, 0);
}

/* As a sector's process does: process_alarm.c. */
static enum ingress_refusal on_order(void *ctx, const struct msg *msg)
{
    struct victim *v = ctx;
    v->last = order_take(&v->orders, digest, msg->epoch, msg->u.order);
    bool refused = v->last == ORDER_FORK || v->last == ORDER_OLD;
    v->messages += refused ? 0 : 1;
    return v->last == ORDER_FORK ? INGRESS_ORDER_FORK : refused ? INGRESS_ORDER_OLD : INGRESS_OK;
}

static void on_ask(void *ctx)
{
    (void)ctx;
}

static bool on_publish(void *ctx, const struct route *route, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    (void)route;
    (void)bytes;
    (void)length;
    return true;
}

static bool victim_open(struct world *w, struct victim *v, enum who who)
{
    const struct identity *id = &w->senders[who].identity;
    v->who = who;
    struct peers_config peers = {
        .identity = id, .trust = &w->trust, .port_count = 1, .start_ms = w->now_ms - 60000};
    struct opcache_conf ops = {.trust = &w->trust, .codec = &w->codec, .identity = id};
    v->peers = peers_new(&peers);
    v->opcache = opcache_new(&ops);
    if (!v->peers || !v->opcache || !directory_init(&v->directory, &w->topology))
        return false;
    struct egress_conf out = {.identity = id,
                              .peers = v->peers,
                              .directory = &v->directory,
                              .codec = &w->codec,
                              .publish = on_publish,
                              .ctx = v};
    v->egress = egress_new(&out);
    struct ingress_conf in = {.token = id->cert.subject.token,
                              .peers = v->peers,
                              .directory = &v->directory,
                              .codec = &w->codec,
                              .opcache = v->opcache,
                              .egress = v->egress,
                              .operators = {.trust = &w->trust, .mesh = w->issuer.kid},
                              .on_msg = on_message,
                              .on_order = who == SECTOR ? on_order : NULL,
                              .on_ask = on_ask,
                              .ctx = v};
    v->ingress = v->egress ? ingress_new(&in) : NULL;
    return v->ingress != NULL;
}

static void victim_close(struct victim *v)
{
    ingress_free(v->ingress);
    egress_free(v->egress);
    opcache_free(v->opcache);
    peers_free(v->peers);
    directory_done(&v->directory);
    memset(v, 0, sizeof(*v));
}

static void make_senders(struct world *w)
{
    const struct {
        enum who who;
        const char *name;
        uint16_t roles;
        struct unit_range scope[2];
        uint8_t count;
    } all[] = {
        {ORCHESTRATOR,
         "orchestrator",
         ROLE_ORCHESTRATOR,
         {{unit_orchestrator(), unit_orchestrator()}},
         1},
        {SECTOR, "sector-1", ROLE_SECTOR, {{unit_sector(1), unit_sector(1)}}, 1},
        {LEAD, "cluster-1", ROLE_CLUSTER, {{unit_cluster(1, 1), unit_cluster(1, 2)}}, 1},
        {LEAD_TWO, "cluster-2", ROLE_CLUSTER, {{unit_cluster(1, 3), unit_cluster(1, 4)}}, 1},
        {HOST,
         "host-1",
         ROLE_HOST,
         {{unit_agent(1, 1, 1), unit_agent(1, 1, 3)},
          {unit_numbered(TIER_HOST, 1), unit_numbered(TIER_HOST, 1)}},
         2},
        {HOST_TWO,
         "host-2",
         ROLE_HOST,
         {{unit_agent(1, 1, 4), unit_agent(1, 1, 6)},
          {unit_numbered(TIER_HOST, 4), unit_numbered(TIER_HOST, 4)}},
         2},
        {CONSOLE,
         "operator",
         ROLE_CONSOLE,
         {{unit_numbered(TIER_CONSOLE, 1), unit_numbered(TIER_CONSOLE, 9)}},
         1},
        {SIM, "sim-1", ROLE_SIM, {{unit_agent(1, 2, 1), unit_agent(1, 2, 6)}}, 1},
        {REVOKED, "host-9", ROLE_HOST, {{unit_agent(1, 2, 1), unit_agent(1, 2, 3)}}, 1},
        {FOREIGN, "host-1", ROLE_HOST, {{unit_agent(1, 1, 1), unit_agent(1, 1, 3)}}, 1},
        {STANDBY,
         "orchestrator-2",
         ROLE_ORCHESTRATOR,
         {{unit_orchestrator(), unit_orchestrator()}},
         1},
        {SECTOR_TWO, "sector-2", ROLE_SECTOR, {{unit_sector(2), unit_sector(2)}}, 1},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct sender *s = &w->senders[all[i].who];
        const struct key_pair *issuer = all[i].who == FOREIGN ? &w->other_issuer : &w->issuer;
        identity_make(issuer, all[i].name, all[i].roles, all[i].scope, all[i].count, &s->identity);
        s->identity.cert.capabilities = all[i].who == CONSOLE ? CONSOLE_VIEW : 0x3;
        cert_seal(&s->identity.cert, issuer->secret, s->identity.cert_bytes);
        (void)frame_signer_start(&s->signer, &s->identity, 0, NULL, 0, w->now_ms);
    }
}

bool world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->now_ms = clock_unix_us() / 1000;
    topology_default(48, &w->topology);
    w->topology.sectors = 2;
    w->topology.clusters_per_sector = 4;
    w->topology.agents_per_cluster = 6;
    w->codec.topology = &w->topology;
    key_pair_make(&w->issuer);
    key_pair_make(&w->other_issuer);
    for (unsigned i = 0; i < ROOTS_MAX; i++) {
        key_pair_make(&w->roots[i]);
        memcpy(w->pinned.public_keys[i], w->roots[i].public_key, PUBLIC_BYTES);
    }
    w->trust = (struct trust){.mesh = w->issuer.kid,
                              .version = 7,
                              .not_before_s = w->now_ms / 1000 - 60,
                              .not_after_s = w->now_ms / 1000 + 86400};
    trust_issuer_add(&w->trust, w->issuer.public_key);
    make_senders(w);
    (void)trust_revoke(&w->trust, "host-9", w->senders[REVOKED].identity.cert.epoch);
    void *room = aligned_alloc(ARENA_ALIGN, CODEC_ARENA_BYTES);
    if (!room)
        return false;
    arena_init(&w->arena, room, CODEC_ARENA_BYTES);
    return victim_open(w, &w->lead, LEAD) && victim_open(w, &w->orchestrator, ORCHESTRATOR) &&
           victim_open(w, &w->sector, SECTOR);
}

void world_reset(struct world *w)
{
    victim_close(&w->lead);
    victim_close(&w->orchestrator);
    victim_close(&w->sector);
    for (unsigned i = 0; i < WHO_COUNT; i++)
        (void)frame_signer_start(&w->senders[i].signer, &w->senders[i].identity, 0, NULL, 0,
                                 w->now_ms);
    bool open = victim_open(w, &w->lead, LEAD) && victim_open(w, &w->orchestrator, ORCHESTRATOR) &&
                victim_open(w, &w->sector, SECTOR);
    assert(open);
    (void)open;
}

void world_close(struct world *w)
{
    victim_close(&w->lead);
    victim_close(&w->orchestrator);
    victim_close(&w->sector);
    free(w->arena.bytes);
}

/* ---- shots ---- */

void shot_begin(struct shot *s, struct world *w, enum who from, struct victim *at)
{
    s->world = w;
    s->from = from;
    s->at = at;
    s->length = 0;
    s->subject.source = w->senders[from].signer.self;
    s->subject.destination = w->senders[at->who].identity.cert.subject;
    s->address = (struct frame_address){.destination = s->subject.destination,
                                        .with_chain = true,
                                        .issued_ms = clock_unix_us() / 1000,
                                        .ttl_ms = 30000};
    frame_begin(&s->builder, s->bytes);
}

void shot_record(struct shot *s, const uint8_t *bytes, size_t length)
{
    uint8_t *at = frame_reserve(&s->builder, length);
    assert(at);
    memcpy(at, bytes, length);
    frame_commit(&s->builder, length);
}

void shot_message(struct shot *s, struct record_header header, const uint8_t *body, size_t length)
{
    uint8_t *at = frame_reserve(&s->builder, RECORD_HEADER_BYTES + length);
    assert(at);
    header.body_bytes = (uint32_t)length;
    codec_record_encode(&header, at);
    if (length > 0)
        memcpy(at + RECORD_HEADER_BYTES, body, length);
    frame_commit(&s->builder, RECORD_HEADER_BYTES + length);
}

void shot_seal(struct shot *s)
{
    struct sender *from = &s->world->senders[s->from];
    s->length = frame_seal(&s->builder, &from->signer, &from->identity, &s->address);
}

void shot_sign(struct shot *s)
{
    if (s->length > SIGNATURE_BYTES && s->length <= FRAME_BYTES_MAX)
        sign_alone(s->bytes, s->length, s->world->senders[s->from].signer.key.key.secret);
}

/* Everything that can have been counted since a copy was taken. */
struct counts {
    struct peers_stats peers;
    struct ingress_stats ingress;
    struct opcache_stats opcache;
    uint64_t messages;
};

static void counts_of(const struct victim *v, struct counts *ret)
{
    ret->peers = *peers_stats(v->peers);
    ret->ingress = *ingress_stats(v->ingress);
    ret->opcache = *opcache_stats(v->opcache);
    ret->messages = v->messages;
}

static const char *record_refusal(struct world *w, const struct counts *a, const struct counts *b)
{
    const char *kind = NULL, *detail = "";
    for (unsigned i = 1; i < INGRESS_REFUSALS; i++) {
        if (b->ingress.refusals[i] > a->ingress.refusals[i])
            kind = ingress_refusal_name((enum ingress_refusal)i);
    }
    for (unsigned i = 1; i < CODEC_VERDICT_COUNT; i++) {
        if (b->ingress.codec[i] > a->ingress.codec[i])
            detail = codec_verdict_name((enum codec_verdict)i);
    }
    for (unsigned i = 1; i < OPCACHE_VERDICT_COUNT; i++) {
        if (i != OPCACHE_KNOWN && b->opcache.verdicts[i] > a->opcache.verdicts[i])
            detail = opcache_verdict_name((enum opcache_verdict)i);
    }
    if (!kind)
        return "ACCEPTED"; /* a frame without any record that was refused */
    (void)snprintf(w->why, sizeof(w->why), "%s%s%s", kind, detail[0] ? ":" : "", detail);
    return w->why;
}

const char *shot_fire(struct shot *s)
{
    static struct counts before, after;
    struct world *w = s->world;
    counts_of(s->at, &before);
    uint8_t *copy = malloc(s->length ? s->length : 1); /* exact, so that reading beyond is found */
    assert(copy);
    memcpy(copy, s->bytes, s->length);
    struct bus_frame frame = {.bytes = copy, .length = s->length, .route = s->subject};
    ingress_frame(s->at->ingress, &frame);
    free(copy);
    counts_of(s->at, &after);
    if (after.messages > before.messages)
        return "ACCEPTED";
    for (unsigned i = 1; i < FRAME_VERDICT_COUNT; i++) {
        if (after.peers.verdicts[i] == before.peers.verdicts[i])
            continue;
        for (unsigned c = 1; i == FRAME_CHAIN_INVALID && c < CERT_VERDICT_COUNT; c++) {
            if (after.peers.chains[c] == before.peers.chains[c])
                continue;
            (void)snprintf(w->why, sizeof(w->why), "chain-invalid:%s",
                           cert_verdict_name((enum cert_verdict)c));
            return w->why;
        }
        return frame_verdict_name((enum frame_verdict)i);
    }
    return record_refusal(w, &before, &after);
}

struct record_header beat_of(struct unit from, struct unit to)
{
    return (struct record_header){
        .type = MSG_HEARTBEAT, .priority = 3, .from = from, .to = to, .epoch = 1};
}

size_t beat_body(const struct world *w, uint8_t ret[512])
{
    size_t bytes = 0;
    struct msg msg = {.type = MSG_HEARTBEAT, .from = unit_agent(1, 1, 1), .to = unit_cluster(1, 1)};
    msg.u.heartbeat.uid = 77;
    msg.u.heartbeat.incarnation = 1;
    bool ok = codec_encode(&w->codec, &msg, ret, 512, &bytes);
    assert(ok);
    (void)ok;
    return bytes;
}

bool world_introduce(struct world *w, enum who from, struct victim *at)
{
    static struct shot s;
    uint8_t body[512];
    shot_begin(&s, w, from, at);
    if (from == HOST)
        shot_message(&s, beat_of(unit_agent(1, 1, 1), unit_cluster(1, 1)), body,
                     beat_body(w, body));
    shot_seal(&s);
    return strcmp(shot_fire(&s), "ACCEPTED") == 0;
}

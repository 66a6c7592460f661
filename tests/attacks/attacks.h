/* The hostile suite: one mesh in memory, senders with every kind of certificate, and the acceptance
 * of product processes (ingress.h) that they attack. A case hands over bytes and says by which name
 * they must be refused. */
#ifndef TESTS_ATTACKS_ATTACKS_H
#define TESTS_ATTACKS_ATTACKS_H

#include "core/order.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/trust.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum who {
    ORCHESTRATOR,
    SECTOR,     /* s01 */
    LEAD,       /* s01.c1 to c2: the victim of most cases */
    LEAD_TWO,   /* s01.c3 to c4 */
    HOST,       /* s01.c1.a1 to a3, h1 */
    HOST_TWO,   /* s01.c1.a4 to a6, h4 */
    CONSOLE,    /* a viewer's */
    SIM,        /* of a role that this mesh does not take */
    REVOKED,    /* a host with a certificate that the trust bundle names */
    FOREIGN,    /* a host of another mesh, with the name of HOST */
    STANDBY,    /* an orchestrator that does not serve */
    SECTOR_TWO, /* s02 */
    WHO_COUNT
};

struct sender {
    struct identity identity;
    struct frame_signer signer;
};

struct victim {
    enum who who;
    struct peers *peers;
    struct directory directory;
    struct opcache *opcache;
    struct egress *egress;
    struct ingress *ingress;
    uint64_t messages;
    enum key_proof proof; /* of the last command */
    const char *proof_why;
    struct order_follow orders; /* a sector's */
    enum order_verdict last;
};

struct world {
    int64_t now_ms;
    struct topology topology;
    struct codec codec;
    struct key_pair issuer, other_issuer, roots[ROOTS_MAX];
    struct trust_roots pinned;
    struct trust trust;
    struct sender senders[WHO_COUNT];
    struct victim lead, orchestrator, sector;
    struct arena arena;
    char why[128]; /* room for a verdict that is put together */
};

bool world_open(struct world *w);
void world_close(struct world *w);
/* Forgets peers, windows and rates: each case begins with victims that know nobody. */
void world_reset(struct world *w);

/* A frame under construction: records, then bytes as `from` would send them to `to`. */
struct shot {
    struct world *world;
    enum who from;
    struct victim *at;
    struct route subject; /* what the bus says */
    struct frame_builder builder;
    struct frame_address address;
    size_t length;
    uint8_t bytes[FRAME_BYTES_MAX + 64]; /* some cases are too long */
};
void shot_begin(struct shot *s, struct world *w, enum who from, struct victim *at);
void shot_record(struct shot *s, const uint8_t *bytes, size_t length);
/* A record with this header; body_bytes is filled in. */
void shot_message(struct shot *s, struct record_header header, const uint8_t *body, size_t length);
void shot_seal(struct shot *s);
/* Signs the bytes again, as they are now, with the sender's own session key. */
void shot_sign(struct shot *s);
/* What the victim does with it: "ACCEPTED", or the name of the refusal. */
const char *shot_fire(struct shot *s);
/* A good frame of the sender first, so that it is a known peer. False: it was not accepted. */
bool world_introduce(struct world *w, enum who from, struct victim *at);

/* A heartbeat of unit `from` to its lead, as a record header. */
struct record_header beat_of(struct unit from, struct unit to);
/* Body of a good heartbeat; returns its length. */
size_t beat_body(const struct world *w, uint8_t ret[512]);

struct attack {
    const char *id, *what;
    const char *(*run)(struct world *w);
    const char *refusal;
};
struct attack_list {
    const struct attack *list;
    size_t count;
};
struct attack_list attacks_frames(void), attacks_chains(void), attacks_records(void),
    attacks_trust(void), attacks_inputs(void), attacks_floods(void), attacks_tokens(void),
    attacks_orders(void);

struct mutation_result {
    uint64_t mutated, accepted, resigned;
    uint64_t frames[FRAME_VERDICT_COUNT], chains[CERT_VERDICT_COUNT];
    uint64_t records[INGRESS_REFUSALS];
};
void mutate(struct world *w, uint64_t count, uint64_t seed, struct mutation_result *ret);

/* Prints one JSON object: what refusing costs. False: a frame was not refused as it should be. */
bool flood(struct world *w);

#endif

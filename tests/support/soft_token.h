/* A hardware token of software, for tests: CTAP2 (make credential, get assertion, client PIN by
 * protocol 1, get info) behind libfido2's own calls, with EdDSA or ES256 and with faults on demand.
 * Linked in the place of tiers/console/hwtransport.c.
 *
 * In a test: soft_plug the tokens that shall be found. In the console of tests/e2e
 * (mesh-soft-console): $MESH_SOFT_TOKEN names files, joined by ':', that hold a token's state and
 * are made where they are missing; $MESH_SOFT_FAULT names one fault, $MESH_SOFT_EDDSA a token that
 * offers EdDSA. */
#ifndef TESTS_SUPPORT_SOFT_TOKEN_H
#define TESTS_SUPPORT_SOFT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOFT_PIN     "314159"
#define SOFT_KEYS    16u
#define SOFT_RETRIES 8

enum soft_fault {
    SOFT_GOOD,
    SOFT_NO_UV,           /* signs without having verified its user */
    SOFT_NO_UP,           /* or without a touch */
    SOFT_WRONG_RP,        /* for another relying party */
    SOFT_WRONG_CHALLENGE, /* another client data hash */
    SOFT_BAD_SIGNATURE,
    SOFT_COUNTER_BACK, /* its counter falls */
    SOFT_EXTENSIONS,   /* authenticator data with extensions that nobody asked for */
    SOFT_MALFORMED,    /* answers that are no CBOR */
    SOFT_NO_TOUCH,     /* says that nobody touched it */
    SOFT_SILENT,       /* says nothing */
    SOFT_FAULT_COUNT
};

struct soft_key {
    bool eddsa;
    uint8_t id[32], rp_hash[32];
    uint8_t secret[32], public_key[64];
};

/* All that a token keeps. */
struct soft_token {
    bool offers_eddsa, has_pin, has_finger, u2f_only;
    char pin[64];
    int retries;
    uint32_t counter;
    uint32_t key_count;
    struct soft_key keys[SOFT_KEYS];
    enum soft_fault fault;
    uint32_t touches, pins; /* how often it was asked */
};

void soft_token_init(struct soft_token *t, bool eddsa); /* with SOFT_PIN */
/* Up to 8; count 0: none is plugged in. Borrowed. */
void soft_plug(struct soft_token *const *tokens, unsigned count);

#endif

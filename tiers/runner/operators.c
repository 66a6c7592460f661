/* A session is one key of one console's endpoint (peer.kid): with another key nothing of it is
 * good. What was found once is not believed for longer than its time, nor longer than its token is
 * in the bundle: both are looked at for every command. */
#include "tiers/runner/operators.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES 16u

struct session {
    struct endpoint console; /* empty token: free */
    uint64_t kid;            /* of the session's key */
    uint64_t token;          /* kid of the hardware token's key */
    uint8_t digest[DIGEST_BYTES];
    enum hwtoken_verdict verdict;
    int64_t made_ms, until_ms;
};

struct counter {
    uint64_t token; /* 0: free */
    uint32_t value;
    int64_t made_ms;
};

struct operators {
    struct operators_conf conf;
    struct session sessions[OPERATOR_SESSIONS];
    struct counter counters[OPERATOR_TOKENS];
    int64_t second;
    uint32_t checks; /* in that second */
};

struct operators *operators_new(const struct operators_conf *conf)
{
    assert(conf && conf->trust);
    struct operators *o = calloc(1, sizeof(*o));
    if (o)
        o->conf = *conf;
    return o;
}

void operators_free(struct operators *o)
{
    free(o);
}

static const struct session *find(const struct operators *o, const struct peer *console)
{
    for (unsigned i = 0; i < OPERATOR_SESSIONS; i++) {
        const struct session *s = &o->sessions[i];
        if (s->kid == console->kid && endpoint_equal(&s->console, &console->endpoint))
            return s;
    }
    return NULL;
}

/* The console's own place, a free one, or that of the oldest session. */
static struct session *place(struct operators *o, const struct peer *console)
{
    struct session *oldest = &o->sessions[0];
    for (unsigned i = 0; i < OPERATOR_SESSIONS; i++) {
        struct session *s = &o->sessions[i];
        if (endpoint_equal(&s->console, &console->endpoint))
            return s;
        if (s->console.token[0] == '\0' ||
            (oldest->console.token[0] != '\0' && s->made_ms < oldest->made_ms))
            oldest = s;
    }
    return oldest;
}

static struct counter *counter_of(struct operators *o, uint64_t token)
{
    struct counter *oldest = &o->counters[0];
    for (unsigned i = 0; i < OPERATOR_TOKENS; i++) {
        struct counter *c = &o->counters[i];
        if (c->token == token)
            return c;
        if (c->token == 0 || (oldest->token != 0 && c->made_ms < oldest->made_ms))
            oldest = c;
    }
    *oldest = (struct counter){.token = token, .made_ms = INT64_MIN};
    return oldest;
}

/* Tokens without a counter say 0 for ever. The one that is known may be shown again. */
static enum hwtoken_verdict counted(struct operators *o, const struct hwtoken_proof *proof)
{
    struct counter *c = counter_of(o, proof->kid);
    bool known = proof->made_ms == c->made_ms && proof->counter == c->value;
    bool later = proof->made_ms >= c->made_ms;
    if (c->made_ms != INT64_MIN && !known && (c->value != 0 || proof->counter != 0) &&
        (later ? proof->counter <= c->value : proof->counter >= c->value))
        return HWTOKEN_COUNTER;
    if (later) {
        c->value = proof->counter;
        c->made_ms = proof->made_ms;
    }
    return HWTOKEN_OK;
}

static bool may_check(struct operators *o, int64_t now_ms)
{
    if (o->second != now_ms / 1000) {
        o->second = now_ms / 1000;
        o->checks = 0;
    }
    return o->checks++ < OPERATOR_CHECKS_PER_S;
}

enum hwtoken_verdict operators_shown(struct operators *o, const struct peer *console,
                                     const uint8_t *bytes, size_t length, int64_t now_ms)
{
    assert(o && console);
    struct hwtoken_proof proof = {0};
    uint8_t digest[DIGEST_BYTES];
    crypto_generichash(digest, sizeof(digest), bytes, length, NULL, 0);
    const struct session *known = find(o, console);
    if (known && memcmp(known->digest, digest, sizeof(digest)) == 0 &&
        known->verdict != HWTOKEN_NOT_YET_VALID && known->verdict != HWTOKEN_UNKNOWN)
        return known->verdict;
    if (!may_check(o, now_ms))
        return HWTOKEN_RATE; /* what was found before stands */
    enum hwtoken_verdict v = hwtoken_decode(bytes, length, &proof);
    if (v == HWTOKEN_OK) {
        struct hwtoken_session session = {.mesh = o->conf.mesh,
                                          .console = console->endpoint,
                                          .roles = console->roles,
                                          .capabilities = console->capabilities,
                                          .epoch = console->session_epoch};
        memcpy(session.public_key, console->public_key, PUBLIC_BYTES);
        v = hwtoken_verify(&proof, &session, o->conf.trust, now_ms);
    }
    if (v == HWTOKEN_OK)
        v = counted(o, &proof);
    struct session *s = place(o, console);
    *s = (struct session){.console = console->endpoint,
                          .kid = console->kid,
                          .token = proof.kid,
                          .verdict = v,
                          .made_ms = proof.made_ms,
                          .until_ms = proof.until_ms};
    memcpy(s->digest, digest, sizeof(digest));
    return v;
}

static enum hwtoken_verdict standing(const struct operators *o, const struct peer *console,
                                     const struct session *s, int64_t now_ms)
{
    if (!s)
        return HWTOKEN_MISSING;
    if (s->verdict != HWTOKEN_OK)
        return s->verdict;
    if (!trust_hwtoken_find(o->conf.trust, console->endpoint.token, s->token))
        return HWTOKEN_UNKNOWN;
    return now_ms >= s->until_ms ? HWTOKEN_EXPIRED : HWTOKEN_OK;
}

static bool policy_asks(enum operator_policy policy, uint64_t needs)
{
    return (policy >= OPERATOR_TOKEN_ADMIN && needs == CONSOLE_ADMIN) ||
           (policy == OPERATOR_TOKEN_OPERATE && needs == CONSOLE_OPERATE);
}

enum hwtoken_verdict operators_judge(const struct operators *o, const struct peer *console,
                                     uint64_t needs, int64_t now_ms, struct command *command)
{
    assert(o && console && command);
    const struct session *s = find(o, console);
    enum hwtoken_verdict v = standing(o, console, s, now_ms);
    bool enrolled = trust_hwtoken_find(o->conf.trust, console->endpoint.token, 0) != NULL;
    command->proof = PROOF_NONE;
    command->proof_why = NULL;
    command->proof_us = 0;
    if (v == HWTOKEN_OK) {
        command->proof = PROOF_TOKEN;
        command->proof_us = s->made_ms * 1000;
        return v;
    }
    if (!s && !enrolled && !policy_asks(o->conf.policy, needs))
        return HWTOKEN_OK; /* the key in its file is enough; who shows a token is held to it */
    if (!enrolled && v == HWTOKEN_MISSING)
        v = HWTOKEN_POLICY;
    command->proof = PROOF_REFUSED;
    command->proof_why = hwtoken_verdict_text(v);
    return v;
}

/* Operators' hardware tokens: what a console shows of one, before each of its commands. The key is
 * Ed25519, so that a token is a key pair here; tests/test_hwtoken.c has ES256 and libfido2. */
#include "tests/attacks/attacks.h"

#include "tiers/runner/hwtoken.h"
#include <sodium.h>
#include <string.h>

#define LIFE_MS (INT64_C(3600) * 1000)

static struct shot s;
static struct key_pair token_key;
static struct hwtoken_proof proof;
static uint8_t bytes[HWTOKEN_PROOF_BYTES + 1];

/* The console's name has this token in the trust bundle. */
static void enroll(struct world *w, const char *name)
{
    struct trust_hwtoken t = {.algorithm = HWTOKEN_EDDSA};
    key_pair_make(&token_key);
    (void)snprintf(t.operator_name, sizeof(t.operator_name), "%s", name);
    memcpy(t.key, token_key.public_key, PUBLIC_BYTES);
    (void)trust_hwtoken_add(&w->trust, &t);
    proof.kid = trust_hwtoken_kid(&t);
}

static struct hwtoken_session session_of(const struct world *w, enum who who)
{
    const struct sender *from = &w->senders[who];
    struct hwtoken_session session = {.mesh = w->issuer.kid,
                                      .console = from->signer.self,
                                      .roles = from->identity.cert.roles,
                                      .capabilities = from->identity.cert.capabilities,
                                      .epoch = from->signer.key.epoch};
    memcpy(session.public_key, from->signer.key.key.public_key, PUBLIC_BYTES);
    return session;
}

static void sign(const struct hwtoken_session *session, const char *relying_party, uint8_t flags)
{
    uint8_t input[HWTOKEN_AUTH_BYTES + HWTOKEN_HASH_BYTES];
    crypto_hash_sha256(proof.authenticator, (const uint8_t *)relying_party, strlen(relying_party));
    proof.authenticator[32] = flags;
    proof.authenticator[36] = 9;
    memcpy(input, proof.authenticator, HWTOKEN_AUTH_BYTES);
    hwtoken_challenge(session, proof.made_ms, proof.until_ms, input + HWTOKEN_AUTH_BYTES);
    crypto_sign_detached(proof.signature, NULL, input, sizeof(input), token_key.secret);
}

/* A good proof of the console's present session, to be spoilt. */
static void good_proof(struct world *w)
{
    char rp[HWTOKEN_RP_MAX];
    enroll(w, "operator");
    proof.made_ms = w->now_ms;
    proof.until_ms = w->now_ms + LIFE_MS;
    struct hwtoken_session session = session_of(w, CONSOLE);
    hwtoken_relying_party(w->issuer.kid, rp);
    sign(&session, rp, 5);
}

static const char *verdict_of(const struct victim *v)
{
    for (unsigned i = 0; v->proof == PROOF_REFUSED && i < HWTOKEN_VERDICT_COUNT; i++) {
        if (v->proof_why == hwtoken_verdict_text((enum hwtoken_verdict)i))
            return hwtoken_verdict_name((enum hwtoken_verdict)i);
    }
    return v->proof == PROOF_TOKEN ? "ACCEPTED" : "not asked for";
}

/* A frame with the bytes (none: length 0) and a viewer's status command. */
static const char *command_after(struct world *w, const uint8_t *record, size_t length)
{
    uint8_t body[512];
    size_t used = 0;
    const struct command look = {.kind = COMMAND_STATUS, .ref = 1};
    struct msg msg = {.type = MSG_COMMAND,
                      .from = unit_numbered(TIER_CONSOLE, 1),
                      .to = unit_orchestrator(),
                      .u.command = &look};
    (void)codec_encode(&w->codec, &msg, body, sizeof(body), &used);
    shot_begin(&s, w, CONSOLE, &w->orchestrator);
    if (length > 0)
        shot_record(&s, record, length);
    shot_message(
        &s,
        (struct record_header){
            .type = MSG_COMMAND, .priority = 1, .from = msg.from, .to = msg.to, .epoch = 1},
        body, used);
    shot_seal(&s);
    const char *got = shot_fire(&s);
    got = strcmp(got, "ACCEPTED") == 0 ? verdict_of(&w->orchestrator) : got;
    w->trust.hwtoken_count = 0;
    return got;
}

static const char *show(struct world *w)
{
    hwtoken_encode(&proof, bytes);
    return command_after(w, bytes, HWTOKEN_PROOF_BYTES);
}

#define SPOILT(name, edit)                                                                         \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        good_proof(w);                                                                             \
        edit;                                                                                      \
        return show(w);                                                                            \
    }
#define SIGNED(name, edit, relying_party, flags)                                                   \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        good_proof(w);                                                                             \
        struct hwtoken_session session = session_of(w, CONSOLE);                                   \
        char rp[HWTOKEN_RP_MAX];                                                                   \
        hwtoken_relying_party(w->issuer.kid, rp);                                                  \
        edit;                                                                                      \
        sign(&session, relying_party, flags);                                                      \
        return show(w);                                                                            \
    }
SPOILT(shown, (void)0)
SPOILT(bit_of_signature, proof.signature[20] ^= 1)
SPOILT(counter_changed, proof.authenticator[36] = 200)
SPOILT(other_key_named, proof.kid ^= 1)
SPOILT(no_key_named, proof.kid = 0)
SPOILT(longer_than_signed, proof.until_ms += 1000)
SIGNED(without_verification, (void)0, rp, 1)
SIGNED(without_touch, (void)0, rp, 4)
SIGNED(other_mesh, (void)0, "mesh30k:0000000000000000", 5)
SIGNED(other_session_key, session.public_key[0] ^= 1, rp, 5)
SIGNED(other_port, session.console.port = 4, rp, 5)
SIGNED(higher_role, session.capabilities = 7, rp, 5)
SIGNED(for_a_day, proof.until_ms = proof.made_ms + 24 * LIFE_MS, rp, 5)
SIGNED(over, proof.made_ms -= 2 * LIFE_MS; proof.until_ms -= 2 * LIFE_MS, rp, 5)
SIGNED(not_yet, proof.made_ms += 60000, rp, 5)

static const char *nothing_shown(struct world *w)
{
    good_proof(w);
    return command_after(w, bytes, 0);
}

static const char *another_operators(struct world *w)
{
    good_proof(w); /* and its name has a token of its own */
    w->trust.hwtoken_count = 0;
    enroll(w, "viewer");
    uint64_t theirs = proof.kid;
    struct hwtoken_session session = session_of(w, CONSOLE);
    char rp[HWTOKEN_RP_MAX];
    hwtoken_relying_party(w->issuer.kid, rp);
    sign(&session, rp, 5);
    struct key_pair kept = token_key;
    enroll(w, "operator");
    token_key = kept;
    proof.kid = theirs;
    return show(w);
}

static const char *removed(struct world *w)
{
    good_proof(w);
    hwtoken_encode(&proof, bytes);
    shot_begin(&s, w, CONSOLE, &w->orchestrator);
    shot_record(&s, bytes, HWTOKEN_PROOF_BYTES);
    shot_seal(&s);
    if (strcmp(shot_fire(&s), "ACCEPTED") != 0)
        return "not shown";
    w->trust.hwtoken_count = 0;
    enroll(w, "operator"); /* another one */
    return command_after(w, bytes, 0);
}

static const char *by_a_host(struct world *w)
{
    good_proof(w);
    hwtoken_encode(&proof, bytes);
    shot_begin(&s, w, HOST, &w->lead);
    shot_record(&s, bytes, HWTOKEN_PROOF_BYTES);
    shot_seal(&s);
    w->trust.hwtoken_count = 0;
    return shot_fire(&s);
}

static const char *counter_back(struct world *w)
{
    good_proof(w);
    struct hwtoken_session session = session_of(w, CONSOLE);
    char rp[HWTOKEN_RP_MAX];
    hwtoken_encode(&proof, bytes);
    shot_begin(&s, w, CONSOLE, &w->orchestrator);
    shot_record(&s, bytes, HWTOKEN_PROOF_BYTES);
    shot_seal(&s);
    if (strcmp(shot_fire(&s), "ACCEPTED") != 0)
        return "not shown";
    hwtoken_relying_party(w->issuer.kid, rp);
    proof.made_ms += 500;
    sign(&session, rp, 5); /* the same counter, later */
    return show(w);
}

static const char *wrong_length(struct world *w, size_t length)
{
    good_proof(w);
    hwtoken_encode(&proof, bytes);
    bytes[HWTOKEN_PROOF_BYTES] = 0;
    return command_after(w, bytes, length);
}

static const char *too_short(struct world *w)
{
    return wrong_length(w, HWTOKEN_PROOF_BYTES - 1);
}

static const char *too_long(struct world *w)
{
    return wrong_length(w, HWTOKEN_PROOF_BYTES + 1);
}

static const char *byte_set(struct world *w, size_t at, uint8_t value)
{
    good_proof(w);
    hwtoken_encode(&proof, bytes);
    bytes[at] = value;
    return command_after(w, bytes, HWTOKEN_PROOF_BYTES);
}

static const char *other_version(struct world *w)
{
    return byte_set(w, 1, 2);
}

static const char *padding_used(struct world *w)
{
    return byte_set(w, 70, 1);
}

static const char *extensions(struct world *w)
{
    return byte_set(w, 64, 0x85);
}

static const char *ends_before_it_begins(struct world *w)
{
    good_proof(w);
    proof.until_ms = proof.made_ms;
    return show(w);
}

static const struct attack list[] = {
    {"HW1", "an enrolled operator without its token", nothing_shown, "missing"},
    {"HW2", "a token that did not verify its user", without_verification, "no-user-verification"},
    {"HW3", "a token that nobody touched", without_touch, "no-user-presence"},
    {"HW4", "a token's word for another mesh", other_mesh, "other-mesh"},
    {"HW5", "a token's word for another session's key", other_session_key, "signature"},
    {"HW6", "a token's word for another console", other_port, "signature"},
    {"HW7", "a token's word for a higher role", higher_role, "signature"},
    {"HW8", "a session of a day", for_a_day, "too-long-lived"},
    {"HW9", "a session that is over", over, "expired"},
    {"HW10", "a session that begins in a minute", not_yet, "not-yet-valid"},
    {"HW11", "a session made longer than was signed", longer_than_signed, "signature"},
    {"HW12", "a bit of the token's signature", bit_of_signature, "signature"},
    {"HW13", "a counter other than was signed", counter_changed, "signature"},
    {"HW14", "a token that does not exist", other_key_named, "unknown-token"},
    {"HW15", "no token's name", no_key_named, "unknown-token"},
    {"HW16", "another operator's token", another_operators, "unknown-token"},
    {"HW17", "a token that was removed meanwhile", removed, "unknown-token"},
    {"HW18", "a token whose counter went back", counter_back, "counter"},
    {"HW19", "a token shown by a host", by_a_host, "capability"},
    {"HW20", "a proof that is cut off", too_short, "shape"},
    {"HW21", "a proof with a byte more", too_long, "shape"},
    {"HW22", "a proof of another version", other_version, "shape"},
    {"HW23", "a proof with its padding in use", padding_used, "shape"},
    {"HW24", "a proof with extensions", extensions, "shape"},
    {"HW25", "a session that ends before it begins", ends_before_it_begins, "shape"},
    {"HW0", "an operator with its token (the control)", shown, "ACCEPTED"},
};

struct attack_list attacks_tokens(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}

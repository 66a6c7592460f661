/* libFuzzer: what a console says of its operator's hardware token, and the signatures of tokens.
 * Whatever decodes encodes again to the same bytes; nothing opens a session, for the only token's
 * private key is not there; a process that was shown it refuses the next command. The first byte
 * chooses whether the token's name and the mesh are set right, so that inputs come further. */
#include "tiers/runner/operators.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1800000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trust trust;
static struct hwtoken_session session;

static void begin(void)
{
    struct key_pair pair;
    if (keys_start() < 0)
        abort();
    trust.mesh = session.mesh = 77;
    for (unsigned i = 0; i < 2; i++) {
        struct trust_hwtoken t = {.operator_name = "operator",
                                  .algorithm = i == 0 ? HWTOKEN_EDDSA : HWTOKEN_ES256};
        key_pair_make(&pair);
        memcpy(t.key, pair.public_key, PUBLIC_BYTES);
        (void)trust_hwtoken_add(&trust, &t);
    }
    (void)endpoint_make("operator", 8, 3, &session.console);
    session.roles = ROLE_CONSOLE;
    session.capabilities = 7;
}

static void complete(uint8_t how, struct hwtoken_proof *proof)
{
    char rp[HWTOKEN_RP_MAX];
    if (how & 1u)
        proof->kid = trust_hwtoken_kid(&trust.hwtokens[how >> 7]);
    if (how & 2u) {
        hwtoken_relying_party(session.mesh, rp);
        crypto_hash_sha256(proof->authenticator, (const uint8_t *)rp, strlen(rp));
        proof->authenticator[32] |= 5;
    }
    if (how & 4u) {
        proof->made_ms = NOW_MS - 1000;
        proof->until_ms = NOW_MS + 1000;
    }
}

static void shown(const uint8_t *bytes, size_t length)
{
    struct operators_conf conf = {.trust = &trust, .mesh = session.mesh};
    struct operators *o = operators_new(&conf);
    struct peer *p = calloc(1, sizeof(*p));
    struct command command = {.kind = COMMAND_STATUS};
    if (!o || !p)
        abort();
    p->endpoint = session.console;
    p->roles = session.roles;
    p->capabilities = session.capabilities;
    for (int i = 0; i < 2; i++) {
        if (operators_shown(o, p, bytes, length, NOW_MS) == HWTOKEN_OK ||
            operators_judge(o, p, CONSOLE_VIEW, NOW_MS, &command) == HWTOKEN_OK ||
            command.proof != PROOF_REFUSED)
            abort();
    }
    free(p);
    operators_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hwtoken_proof proof;
    uint8_t again[HWTOKEN_PROOF_BYTES], signature[SIGNATURE_BYTES];
    if (trust.mesh == 0)
        begin();
    if (size == 0)
        return 0;
    shown(data + 1, size - 1);
    (void)hwtoken_from_der(data + 1, size - 1, signature);
    if (hwtoken_decode(data + 1, size - 1, &proof) != HWTOKEN_OK)
        return 0;
    hwtoken_encode(&proof, again);
    if (memcmp(again, data + 1, sizeof(again)) != 0)
        abort();
    complete(data[0], &proof);
    if (hwtoken_verify(&proof, &session, &trust, NOW_MS) == HWTOKEN_OK)
        abort();
    hwtoken_encode(&proof, again);
    shown(again, sizeof(again));
    return 0;
}

/* Checked with libsodium (EdDSA) and libcrypto (ES256), both of which every process has already,
 * and not with libfido2, which would bring udev and HID into orchestrators and sectors; the tests
 * hold the two against each other. */
#include "tiers/runner/hwtoken.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/egress.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_BYTES 108u
#define AUTH_FLAGS      32u
#define AUTH_COUNTER    33u
#define FLAG_PRESENT    0x01u
#define FLAG_VERIFIED   0x04u
/* Attested credential data and extensions would follow: nobody asked for them. */
#define FLAGS_NEVER 0xc0u

enum { AT_KID = 8, AT_MADE = 16, AT_UNTIL = 24, AT_AUTH = 32, AT_ZERO = 69, AT_SIGNATURE = 72 };

_Static_assert(AT_SIGNATURE + SIGNATURE_BYTES == HWTOKEN_PROOF_BYTES, "layout of a proof");

static const char *const names[] = {"ok",
                                    "missing",
                                    "shape",
                                    "unknown-token",
                                    "not-yet-valid",
                                    "expired",
                                    "too-long-lived",
                                    "other-mesh",
                                    "no-user-presence",
                                    "no-user-verification",
                                    "signature",
                                    "counter",
                                    "rate",
                                    "policy"};
_Static_assert(sizeof(names) / sizeof(names[0]) == HWTOKEN_VERDICT_COUNT, "a name for each");

const char *hwtoken_verdict_name(enum hwtoken_verdict v)
{
    assert((unsigned)v < HWTOKEN_VERDICT_COUNT);
    return names[v];
}

const char *hwtoken_verdict_text(enum hwtoken_verdict v)
{
    switch (v) {
    case HWTOKEN_OK:
        return "hardware token: it holds";
    case HWTOKEN_MISSING:
        return "hardware token: this operator's sessions are opened with one; start the console "
               "where its keys folder has NAME.*.token, and the token is plugged in";
    case HWTOKEN_SHAPE:
        return "hardware token: what the console sent cannot be read; use a console of this "
               "version";
    case HWTOKEN_UNKNOWN:
        return "hardware token: it is none of this operator's in the trust bundle (mesh keys token "
               "list); it was removed, or is another's";
    case HWTOKEN_NOT_YET_VALID:
        return "hardware token: the session begins later than now; set the clock of the console's "
               "machine";
    case HWTOKEN_EXPIRED:
        return "hardware token: the session is over; start the console again and touch the token";
    case HWTOKEN_TOO_LONG_LIVED:
        return "hardware token: the session is longer than 8 hours";
    case HWTOKEN_RELYING_PARTY:
        return "hardware token: it has signed for another mesh; enroll it for this one";
    case HWTOKEN_PRESENCE:
        return "hardware token: nobody has touched it; start the console again and touch it";
    case HWTOKEN_VERIFICATION:
        return "hardware token: it has not verified its user; a session takes PIN or fingerprint";
    case HWTOKEN_SIGNATURE:
        return "hardware token: it has not signed this session; start the console again";
    case HWTOKEN_COUNTER:
        return "hardware token: its counter went back, so there may be a copy of it; remove it "
               "(mesh keys token remove) and enroll another";
    case HWTOKEN_RATE:
        return "hardware token: more are shown in a second than are checked; try again";
    case HWTOKEN_POLICY:
        return "hardware token: hardware_tokens in the mesh's configuration asks for one here, and "
               "none is enrolled (mesh keys token add)";
    case HWTOKEN_VERDICT_COUNT:
        break;
    }
    assert(false);
    return "";
}

void hwtoken_relying_party(uint64_t mesh, char ret[HWTOKEN_RP_MAX])
{
    (void)snprintf(ret, HWTOKEN_RP_MAX, "mesh30k:%016llx", (unsigned long long)mesh);
}

void hwtoken_challenge(const struct hwtoken_session *session, int64_t made_ms, int64_t until_ms,
                       uint8_t ret[HWTOKEN_HASH_BYTES])
{
    assert(session && ret);
    uint8_t s[STATEMENT_BYTES] = "mesh30k/session1";
    put_u64(s + 16, session->mesh);
    memcpy(s + 24, session->console.token, TOKEN_MAX);
    put_u16(s + 40, session->console.port);
    put_u16(s + 42, session->roles);
    put_u64(s + 44, session->capabilities);
    memcpy(s + 52, session->public_key, PUBLIC_BYTES);
    put_u64(s + 84, session->epoch);
    put_u64(s + 92, (uint64_t)made_ms);
    put_u64(s + 100, (uint64_t)until_ms);
    crypto_hash_sha256(ret, s, sizeof(s));
}

static uint32_t counter_of(const uint8_t *authenticator)
{
    const uint8_t *c = authenticator + AUTH_COUNTER;
    return (uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3];
}

void hwtoken_encode(const struct hwtoken_proof *proof, uint8_t ret[HWTOKEN_PROOF_BYTES])
{
    assert(proof && ret);
    memset(ret, 0, HWTOKEN_PROOF_BYTES);
    ret[0] = RECORD_OPERATOR;
    ret[1] = 1;
    put_u64(ret + AT_KID, proof->kid);
    put_u64(ret + AT_MADE, (uint64_t)proof->made_ms);
    put_u64(ret + AT_UNTIL, (uint64_t)proof->until_ms);
    memcpy(ret + AT_AUTH, proof->authenticator, HWTOKEN_AUTH_BYTES);
    memcpy(ret + AT_SIGNATURE, proof->signature, SIGNATURE_BYTES);
}

enum hwtoken_verdict hwtoken_decode(const uint8_t *bytes, size_t length, struct hwtoken_proof *ret)
{
    assert((bytes || length == 0) && ret);
    if (length != HWTOKEN_PROOF_BYTES || bytes[0] != RECORD_OPERATOR || bytes[1] != 1 ||
        sodium_is_zero(bytes + 2, 6) != 1 || sodium_is_zero(bytes + AT_ZERO, 3) != 1)
        return HWTOKEN_SHAPE;
    uint64_t made = get_u64(bytes + AT_MADE), until = get_u64(bytes + AT_UNTIL);
    /* Bounded so that no sum or difference of times can overflow anywhere. */
    if (made > INT64_MAX / 4 || until > INT64_MAX / 4 || made >= until ||
        (bytes[AT_AUTH + AUTH_FLAGS] & FLAGS_NEVER) != 0)
        return HWTOKEN_SHAPE;
    *ret = (struct hwtoken_proof){
        .kid = get_u64(bytes + AT_KID), .made_ms = (int64_t)made, .until_ms = (int64_t)until};
    memcpy(ret->authenticator, bytes + AT_AUTH, HWTOKEN_AUTH_BYTES);
    memcpy(ret->signature, bytes + AT_SIGNATURE, SIGNATURE_BYTES);
    ret->counter = counter_of(ret->authenticator);
    return HWTOKEN_OK;
}

/* ---- ES256 ---- */

bool hwtoken_from_der(const uint8_t *der, size_t length, uint8_t ret[SIGNATURE_BYTES])
{
    assert(der && ret);
    const unsigned char *at = der;
    if (length > 80)
        return false;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)length);
    bool ok = sig && at == der + length && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 32, 32) == 32;
    ECDSA_SIG_free(sig);
    return ok;
}

static int to_der(const uint8_t signature[SIGNATURE_BYTES], uint8_t ret[80])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL), *s = BN_bin2bn(signature + 32, 32, NULL);
    int length = -1;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        unsigned char *at = ret;
        r = s = NULL; /* the signature's now */
        length = i2d_ECDSA_SIG(sig, &at);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return length;
}

/* NULL: no point of the curve. */
static EVP_PKEY *p256_key(const uint8_t key[HWTOKEN_KEY_BYTES])
{
    uint8_t point[1 + HWTOKEN_KEY_BYTES] = {0x04};
    char group[] = "prime256v1";
    EVP_PKEY *pkey = NULL;
    memcpy(point + 1, key, HWTOKEN_KEY_BYTES);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static bool es256_holds(const uint8_t key[HWTOKEN_KEY_BYTES], const uint8_t *bytes, size_t length,
                        const uint8_t signature[SIGNATURE_BYTES])
{
    uint8_t der[80];
    int der_bytes = to_der(signature, der);
    EVP_PKEY *pkey = p256_key(key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = der_bytes > 0 && pkey && ctx &&
              EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, der, (size_t)der_bytes, bytes, length) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

bool hwtoken_signature_holds(const struct trust_hwtoken *key, const uint8_t *bytes, size_t length,
                             const uint8_t signature[SIGNATURE_BYTES])
{
    assert(key && bytes && signature);
    if (key->algorithm == HWTOKEN_EDDSA)
        return crypto_sign_verify_detached(signature, bytes, length, key->key) == 0;
    return key->algorithm == HWTOKEN_ES256 && es256_holds(key->key, bytes, length, signature);
}

/* ---- all of it ---- */

static enum hwtoken_verdict check(const struct hwtoken_proof *proof,
                                  const struct hwtoken_session *session, int64_t now_ms)
{
    char rp[HWTOKEN_RP_MAX];
    uint8_t hash[HWTOKEN_HASH_BYTES];
    uint8_t flags = proof->authenticator[AUTH_FLAGS];
    if (proof->until_ms - proof->made_ms > HWTOKEN_LIFE_MS)
        return HWTOKEN_TOO_LONG_LIVED;
    if (proof->made_ms > now_ms + HWTOKEN_SKEW_MS)
        return HWTOKEN_NOT_YET_VALID;
    if (now_ms >= proof->until_ms)
        return HWTOKEN_EXPIRED;
    hwtoken_relying_party(session->mesh, rp);
    crypto_hash_sha256(hash, (const uint8_t *)rp, strlen(rp));
    if (memcmp(hash, proof->authenticator, sizeof(hash)) != 0)
        return HWTOKEN_RELYING_PARTY;
    if ((flags & FLAG_PRESENT) == 0)
        return HWTOKEN_PRESENCE;
    return (flags & FLAG_VERIFIED) == 0 ? HWTOKEN_VERIFICATION : HWTOKEN_OK;
}

enum hwtoken_verdict hwtoken_verify(const struct hwtoken_proof *proof,
                                    const struct hwtoken_session *session,
                                    const struct trust *trust, int64_t now_ms)
{
    assert(proof && session);
    assert(trust);
    const struct trust_hwtoken *key =
        proof->kid == 0 ? NULL : trust_hwtoken_find(trust, session->console.token, proof->kid);
    if (!key)
        return HWTOKEN_UNKNOWN;
    enum hwtoken_verdict v = check(proof, session, now_ms);
    if (v != HWTOKEN_OK)
        return v;
    uint8_t input[HWTOKEN_AUTH_BYTES + HWTOKEN_HASH_BYTES];
    memcpy(input, proof->authenticator, HWTOKEN_AUTH_BYTES);
    hwtoken_challenge(session, proof->made_ms, proof->until_ms, input + HWTOKEN_AUTH_BYTES);
    return hwtoken_signature_holds(key, input, sizeof(input), proof->signature) ? HWTOKEN_OK
                                                                                : HWTOKEN_SIGNATURE;
}

/* Operators' hardware tokens, with a token of software behind libfido2 (soft_token.h): enrolling,
 * signing a session, everything that may be wrong with either, and what processes make of it. */
#include "tests/support/identities.h"
#include "tests/support/soft_token.h"
#include "tiers/console/hwdevice.h"
#include "tiers/runner/bytes.h"
#include "tiers/runner/operators.h"
#include <errno.h>
#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESH   0x1122334455667788ull
#define NOW_MS INT64_C(1800000000000)
#define HOUR   INT64_C(3600000)

/* Who sits in front of the token. */
static struct {
    const char *pin; /* NULL: there is no terminal */
    unsigned asked, told;
} person;

static struct soft_token token, other;
static struct hwcredential key;
static struct trust trust;
static struct hwtoken_session session;
static struct keys_error why;

static int give_pin(void *ctx, char ret[PASSPHRASE_MAX], struct keys_error *error)
{
    (void)ctx;
    person.asked++;
    if (!person.pin) {
        (void)snprintf(error->text, sizeof(error->text), "no terminal");
        return -ENOTTY;
    }
    (void)snprintf(ret, PASSPHRASE_MAX, "%s", person.pin);
    return 0;
}

static void hear(void *ctx, const char *line)
{
    (void)ctx;
    assert_non_null(strstr(line, "touch"));
    person.told++;
}

static const struct hwdevice_user user = {.pin = give_pin, .tell = hear};

static void plug(struct soft_token *one, struct soft_token *two)
{
    struct soft_token *list[2] = {one, two};
    soft_plug(list, one == NULL ? 0 : two == NULL ? 1 : 2);
}

static void enroll(struct soft_token *t, const char *name, struct hwcredential *ret)
{
    plug(t, NULL);
    assert_int_equal(hwdevice_enroll(&user, MESH, name, NULL, 0, ret, &why), 0);
    assert_true(trust_hwtoken_add(&trust, &ret->token));
}

static void begin(bool eddsa)
{
    memset(&trust, 0, sizeof(trust));
    memset(&person, 0, sizeof(person));
    person.pin = SOFT_PIN;
    trust.mesh = MESH;
    soft_token_init(&token, eddsa);
    soft_token_init(&other, eddsa);
    session = (struct hwtoken_session){
        .mesh = MESH, .roles = ROLE_CONSOLE, .capabilities = 7, .epoch = (uint64_t)NOW_MS};
    (void)endpoint_make("operator", 8, 77, &session.console);
    randombytes_buf(session.public_key, sizeof(session.public_key));
    enroll(&token, "operator", &key);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(keys_start(), 0);
    begin(false);
    return 0;
}

/* The token signs the session from NOW_MS on. */
static int sign_life(int64_t made_ms, int64_t life_ms, struct hwtoken_proof *ret)
{
    uint8_t challenge[HWTOKEN_HASH_BYTES];
    *ret = (struct hwtoken_proof){.made_ms = made_ms, .until_ms = made_ms + life_ms};
    hwtoken_challenge(&session, ret->made_ms, ret->until_ms, challenge);
    return hwdevice_sign(&user, MESH, &key, 1, challenge, ret, &why);
}

static int sign_now(struct hwtoken_proof *ret)
{
    return sign_life(NOW_MS, HWTOKEN_LIFE_MS, ret);
}

static enum hwtoken_verdict verdict(struct hwtoken_proof *proof, int64_t now_ms)
{
    uint8_t bytes[HWTOKEN_PROOF_BYTES];
    struct hwtoken_proof back;
    hwtoken_encode(proof, bytes);
    assert_int_equal(hwtoken_decode(bytes, sizeof(bytes), &back), HWTOKEN_OK);
    assert_memory_equal(back.signature, proof->signature, sizeof(back.signature));
    return hwtoken_verify(&back, &session, &trust, now_ms);
}

/* ---- a session is opened ---- */

/* libfido2 checks the same assertion by itself. */
static int by_libfido2(const struct hwtoken_proof *proof, const uint8_t *sig, size_t sig_bytes)
{
    uint8_t challenge[HWTOKEN_HASH_BYTES];
    char rp[HWTOKEN_RP_MAX];
    hwtoken_relying_party(MESH, rp);
    hwtoken_challenge(&session, proof->made_ms, proof->until_ms, challenge);
    fido_assert_t *a = fido_assert_new();
    assert_int_equal(fido_assert_set_rp(a, rp), FIDO_OK);
    assert_int_equal(fido_assert_set_clientdata_hash(a, challenge, sizeof(challenge)), FIDO_OK);
    assert_int_equal(fido_assert_set_count(a, 1), FIDO_OK);
    assert_int_equal(fido_assert_set_authdata_raw(a, 0, proof->authenticator, HWTOKEN_AUTH_BYTES),
                     FIDO_OK);
    assert_int_equal(fido_assert_set_sig(a, 0, sig, sig_bytes), FIDO_OK);
    assert_int_equal(fido_assert_set_up(a, FIDO_OPT_TRUE), FIDO_OK);
    assert_int_equal(fido_assert_set_uv(a, FIDO_OPT_TRUE), FIDO_OK);
    eddsa_pk_t *ed = eddsa_pk_new();
    es256_pk_t *es = es256_pk_new();
    int rc;
    if (key.token.algorithm == HWTOKEN_EDDSA) {
        assert_int_equal(eddsa_pk_from_ptr(ed, key.token.key, 32), FIDO_OK);
        rc = fido_assert_verify(a, 0, COSE_EDDSA, ed);
    } else {
        assert_int_equal(es256_pk_from_ptr(es, key.token.key, 64), FIDO_OK);
        rc = fido_assert_verify(a, 0, COSE_ES256, es);
    }
    eddsa_pk_free(&ed);
    es256_pk_free(&es);
    fido_assert_free(&a);
    return rc;
}

/* r, s as the least DER; both below 2^255 or with a zero before them. */
static size_t der_of(const uint8_t signature[64], uint8_t ret[80])
{
    size_t at = 2;
    for (int half = 0; half < 2; half++) {
        const uint8_t *v = signature + 32 * half;
        size_t skip = 0;
        while (skip < 31 && v[skip] == 0)
            skip++;
        size_t pad = v[skip] >> 7;
        ret[at++] = 2;
        ret[at++] = (uint8_t)(32 - skip + pad);
        if (pad)
            ret[at++] = 0;
        memcpy(ret + at, v + skip, 32 - skip);
        at += 32 - skip;
    }
    ret[0] = 0x30;
    ret[1] = (uint8_t)(at - 2);
    return at;
}

static void both_algorithms(void **state)
{
    (void)state;
    for (int eddsa = 0; eddsa < 2; eddsa++) {
        struct hwtoken_proof proof;
        uint8_t der[80];
        begin(eddsa == 1);
        assert_int_equal(key.token.algorithm, eddsa ? HWTOKEN_EDDSA : HWTOKEN_ES256);
        for (int round = 0; round < 40; round++) {
            assert_int_equal(sign_life(NOW_MS + round, HWTOKEN_LIFE_MS, &proof), 0);
            assert_int_equal(verdict(&proof, NOW_MS + 1000), HWTOKEN_OK);
            assert_int_equal(proof.kid, trust_hwtoken_kid(&key.token));
            size_t bytes = eddsa ? 64 : der_of(proof.signature, der);
            const uint8_t *sig = eddsa ? proof.signature : der;
            assert_int_equal(by_libfido2(&proof, sig, bytes), FIDO_OK);
            if (!eddsa) {
                uint8_t again[64];
                assert_true(hwtoken_from_der(der, bytes, again));
                assert_memory_equal(again, proof.signature, 64);
            }
        }
        assert_int_equal(person.asked, 41);
        assert_int_equal(token.touches, 41);
    }
}

/* Every field of the session is in what was signed. */
static void of_another_session(void **state)
{
    struct hwtoken_proof proof;
    (void)state;
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_OK);
    struct hwtoken_session good = session;
    session.public_key[7] ^= 1;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    session = good;
    session.console.port ^= 1;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    session = good;
    session.capabilities = 3;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    session = good;
    session.roles |= ROLE_HOST;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    session = good;
    session.epoch++;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    session = good;
    session.mesh ^= 1;
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_RELYING_PARTY);
    session = good;
    struct hwtoken_proof longer = proof;
    longer.made_ms += 1;
    assert_int_equal(verdict(&longer, NOW_MS), HWTOKEN_SIGNATURE);
    longer = proof;
    longer.until_ms -= 1;
    assert_int_equal(verdict(&longer, NOW_MS), HWTOKEN_SIGNATURE);
    (void)endpoint_make("viewer", 6, 77, &session.console);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_UNKNOWN);
}

static void times(void **state)
{
    struct hwtoken_proof proof;
    (void)state;
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(verdict(&proof, NOW_MS - 2000), HWTOKEN_OK);
    assert_int_equal(verdict(&proof, NOW_MS - 2001), HWTOKEN_NOT_YET_VALID);
    assert_int_equal(verdict(&proof, NOW_MS + 8 * HOUR - 1), HWTOKEN_OK);
    assert_int_equal(verdict(&proof, NOW_MS + 8 * HOUR), HWTOKEN_EXPIRED);
    assert_int_equal(sign_life(NOW_MS, HWTOKEN_LIFE_MS + 1, &proof), 0);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_TOO_LONG_LIVED);
}

static void faults_of_a_token(void **state)
{
    static const struct {
        enum soft_fault fault;
        enum hwtoken_verdict verdict;
    } signs[] = {{SOFT_NO_UV, HWTOKEN_VERIFICATION},
                 {SOFT_NO_UP, HWTOKEN_PRESENCE},
                 {SOFT_WRONG_RP, HWTOKEN_RELYING_PARTY},
                 {SOFT_WRONG_CHALLENGE, HWTOKEN_SIGNATURE}};
    static const struct {
        enum soft_fault fault;
        const char *line;
    } says[] = {{SOFT_EXTENSIONS, "malformed"},
                {SOFT_MALFORMED, "malformed"},
                {SOFT_NO_TOUCH, "nobody touched it"}};
    struct hwtoken_proof proof;
    (void)state;
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        token.fault = signs[i].fault;
        assert_int_equal(sign_now(&proof), 0);
        assert_int_equal(verdict(&proof, NOW_MS), signs[i].verdict);
    }
    for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
        token.fault = says[i].fault;
        assert_true(sign_now(&proof) < 0);
        assert_non_null(strstr(why.text, says[i].line));
    }
    token.fault = SOFT_SILENT;
    assert_true(sign_now(&proof) < 0);
    assert_non_null(strstr(why.text, "does not answer"));
}

static void forged_signatures(void **state)
{
    struct hwtoken_proof proof;
    (void)state;
    for (int eddsa = 0; eddsa < 2; eddsa++) {
        begin(eddsa == 1);
        assert_int_equal(sign_now(&proof), 0);
        for (size_t i = 0; i < SIGNATURE_BYTES; i++) {
            proof.signature[i] ^= 0x10;
            assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
            proof.signature[i] ^= 0x10;
        }
        proof.authenticator[36] ^= 1; /* the counter is signed, too */
        assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
        memset(proof.signature, 0, sizeof(proof.signature));
        assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
        memset(proof.signature, 0xff, sizeof(proof.signature));
        assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
    }
    memset(trust.hwtokens[0].key, 0x11, HWTOKEN_KEY_BYTES); /* no point of the curve */
    trust.hwtokens[0].algorithm = HWTOKEN_ES256;
    proof.kid = trust_hwtoken_kid(&trust.hwtokens[0]);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_SIGNATURE);
}

static void der_is_strict(void **state)
{
    uint8_t sig[64], der[80] = {0x30, 6, 2, 1, 1, 2, 1, 1};
    (void)state;
    assert_true(hwtoken_from_der(der, 8, sig));
    assert_false(hwtoken_from_der(der, 7, sig));
    assert_false(hwtoken_from_der(der, 9, sig));
    assert_false(hwtoken_from_der(der, 0, sig));
    der[2] = 3;
    assert_false(hwtoken_from_der(der, 8, sig));
    memset(der, 0x30, sizeof(der));
    assert_false(hwtoken_from_der(der, sizeof(der), sig));
}

/* ---- PIN, finger, terminal ---- */

static void pins(void **state)
{
    struct hwtoken_proof proof;
    (void)state;
    person.pin = "000000";
    assert_int_equal(sign_now(&proof), -EACCES);
    assert_non_null(strstr(why.text, "7 more tries"));
    token.retries = 1;
    assert_true(sign_now(&proof) < 0);
    assert_non_null(strstr(why.text, "blocked"));
    person.pin = SOFT_PIN; /* too late */
    assert_true(sign_now(&proof) < 0);
    assert_non_null(strstr(why.text, "blocked"));
    token.retries = SOFT_RETRIES;
    assert_int_equal(sign_now(&proof), 0);
    unsigned told = person.told;
    person.pin = NULL;
    assert_int_equal(sign_now(&proof), -ENOTTY);
    assert_non_null(strstr(why.text, "terminal"));
    assert_int_equal(person.told, told); /* nobody waits for a touch */
    token.has_pin = false;
    person.pin = SOFT_PIN;
    assert_true(sign_now(&proof) < 0);
    assert_non_null(strstr(why.text, "no PIN yet"));
    token.u2f_only = true;
    assert_true(sign_now(&proof) < 0);
}

static void a_finger_needs_no_terminal(void **state)
{
    struct hwtoken_proof proof;
    (void)state;
    person.pin = NULL;
    person.asked = 0;
    token.has_finger = true;
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_OK);
    assert_int_equal(person.asked, 0);
}

/* ---- which token ---- */

static void which_token(void **state)
{
    struct hwtoken_proof proof;
    struct hwcredential theirs;
    (void)state;
    enroll(&other, "viewer", &theirs);
    unsigned pins_before = other.pins;
    plug(NULL, NULL);
    assert_int_equal(sign_now(&proof), -ENODEV);
    assert_non_null(strstr(why.text, "none is plugged in"));
    plug(&other, NULL);
    assert_true(sign_now(&proof) < 0);
    assert_non_null(strstr(why.text, "none of this operator's"));
    assert_int_equal(other.pins, pins_before); /* it lost none of its tries */
    plug(&other, &token);
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(verdict(&proof, NOW_MS), HWTOKEN_OK);
}

static void enrolling(void **state)
{
    struct hwcredential made;
    (void)state;
    plug(&token, &other);
    assert_int_equal(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why), -EBUSY);
    plug(&token, NULL);
    assert_true(hwdevice_enroll(&user, MESH, "operator", &key, 1, &made, &why) < 0);
    assert_non_null(strstr(why.text, "already"));
    token.fault = SOFT_BAD_SIGNATURE;
    assert_true(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why) < 0);
    assert_non_null(strstr(why.text, "attestation"));
    token.fault = SOFT_NO_UV;
    assert_true(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why) < 0);
    token.fault = SOFT_GOOD;
    person.pin = NULL;
    assert_int_equal(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why), -ENOTTY);
    token.u2f_only = true;
    assert_true(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why) < 0);
    plug(NULL, NULL);
    assert_int_equal(hwdevice_enroll(&user, MESH, "operator", NULL, 0, &made, &why), -ENODEV);
}

static void credential_files(void **state)
{
    char dir[] = "/tmp/mesh-hwtoken-XXXXXX", path[4096];
    struct hwcredential back;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(hwcredential_find(dir, &key.token, &back, &why), -ENOENT);
    assert_int_equal(hwcredential_store(dir, &key, &why), 0);
    assert_int_equal(hwcredential_find(dir, &key.token, &back, &why), 0);
    assert_memory_equal(&back.token, &key.token, sizeof(back.token));
    assert_int_equal(back.id_bytes, key.id_bytes);
    assert_memory_equal(back.id, key.id, key.id_bytes);
    hwcredential_path(dir, &key.token, path, sizeof(path));
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)strlen("mesh30k hardware-token 1\n") + 2 * 16, SEEK_SET), 0);
    assert_int_equal(fwrite("07", 1, 2, file), 2); /* an algorithm that is none */
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hwcredential_find(dir, &key.token, &back, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "damaged"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(dir), 0);
}

/* ---- what a process makes of it ---- */

static struct peer *console_of(const struct hwtoken_session *s)
{
    struct peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->endpoint = s->console;
    p->roles = s->roles;
    p->capabilities = s->capabilities;
    p->session_epoch = s->epoch;
    p->kid = key_kid(s->public_key);
    memcpy(p->public_key, s->public_key, PUBLIC_BYTES);
    return p;
}

static struct operators *process_with(enum operator_policy policy)
{
    struct operators_conf conf = {.trust = &trust, .mesh = MESH, .policy = policy};
    struct operators *o = operators_new(&conf);
    assert_non_null(o);
    return o;
}

static enum hwtoken_verdict show(struct operators *o, const struct hwtoken_proof *proof,
                                 int64_t now_ms)
{
    uint8_t bytes[HWTOKEN_PROOF_BYTES];
    struct peer *p = console_of(&session);
    hwtoken_encode(proof, bytes);
    enum hwtoken_verdict v = operators_shown(o, p, bytes, sizeof(bytes), now_ms);
    free(p);
    return v;
}

static enum hwtoken_verdict judge(struct operators *o, uint64_t needs, int64_t now_ms,
                                  struct command *ret)
{
    struct peer *p = console_of(&session);
    memset(ret, 0xff, sizeof(*ret));
    enum hwtoken_verdict v = operators_judge(o, p, needs, now_ms, ret);
    free(p);
    assert_true(v == HWTOKEN_OK ? ret->proof != PROOF_REFUSED
                                : ret->proof == PROOF_REFUSED && strlen(ret->proof_why) < 200);
    return v;
}

static void a_process_asks(void **state)
{
    struct hwtoken_proof proof;
    struct command c;
    struct operators *o = process_with(OPERATOR_ANY_KEY);
    (void)state;
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS, &c), HWTOKEN_MISSING);
    assert_non_null(strstr(c.proof_why, "hardware token"));
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(show(o, &proof, NOW_MS + 10), HWTOKEN_OK);
    assert_int_equal(judge(o, CONSOLE_ADMIN, NOW_MS + 10, &c), HWTOKEN_OK);
    assert_int_equal(c.proof, PROOF_TOKEN);
    assert_int_equal(c.proof_us, NOW_MS * 1000);
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 8 * HOUR, &c), HWTOKEN_EXPIRED);
    session.public_key[0] ^= 1; /* another session of that console has shown nothing */
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 10, &c), HWTOKEN_MISSING);
    assert_int_equal(show(o, &proof, NOW_MS + 10), HWTOKEN_SIGNATURE);
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 10, &c), HWTOKEN_SIGNATURE);
    session.public_key[0] ^= 1;
    assert_int_equal(show(o, &proof, NOW_MS + 20), HWTOKEN_OK);
    /* The token is removed from the bundle: its sessions end. */
    assert_true(trust_hwtoken_remove(&trust, "operator", proof.kid));
    struct trust_hwtoken spare = key.token;
    spare.key[0] ^= 1;
    assert_true(trust_hwtoken_add(&trust, &spare));
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 20, &c), HWTOKEN_UNKNOWN);
    assert_int_equal(show(o, &proof, NOW_MS + 30), HWTOKEN_OK); /* as it was found .. */
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 30, &c), HWTOKEN_UNKNOWN); /* .. is no good */
    operators_free(o);
}

/* Its last token is removed: the session that it opened ends, and one without any is good. */
static void the_last_token_is_removed(void **state)
{
    struct hwtoken_proof proof;
    struct command c;
    struct operators *o = process_with(OPERATOR_ANY_KEY);
    (void)state;
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(show(o, &proof, NOW_MS), HWTOKEN_OK);
    assert_true(trust_hwtoken_remove(&trust, "operator", proof.kid));
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS, &c), HWTOKEN_UNKNOWN);
    session.public_key[0] ^= 1;
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS, &c), HWTOKEN_OK);
    assert_int_equal(c.proof, PROOF_NONE);
    operators_free(o);
}

/* Without a token in the bundle the key in its file is enough, unless the policy says otherwise. */
static void policies(void **state)
{
    static const struct {
        enum operator_policy policy;
        uint64_t needs;
        enum hwtoken_verdict verdict;
    } cases[] = {{OPERATOR_ANY_KEY, CONSOLE_ADMIN, HWTOKEN_OK},
                 {OPERATOR_TOKEN_ADMIN, CONSOLE_ADMIN, HWTOKEN_POLICY},
                 {OPERATOR_TOKEN_ADMIN, CONSOLE_OPERATE, HWTOKEN_OK},
                 {OPERATOR_TOKEN_OPERATE, CONSOLE_ADMIN, HWTOKEN_POLICY},
                 {OPERATOR_TOKEN_OPERATE, CONSOLE_OPERATE, HWTOKEN_POLICY},
                 {OPERATOR_TOKEN_OPERATE, CONSOLE_VIEW, HWTOKEN_OK}};
    struct command c;
    (void)state;
    trust.hwtoken_count = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct operators *o = process_with(cases[i].policy);
        assert_int_equal(judge(o, cases[i].needs, NOW_MS, &c), cases[i].verdict);
        assert_int_equal(c.proof, cases[i].verdict == HWTOKEN_OK ? PROOF_NONE : PROOF_REFUSED);
        operators_free(o);
    }
}

static void counters(void **state)
{
    struct hwtoken_proof first, second, third;
    struct operators *o = process_with(OPERATOR_ANY_KEY);
    struct command c;
    (void)state;
    token.counter = 100;
    assert_int_equal(sign_life(NOW_MS, HOUR, &first), 0);
    assert_int_equal(sign_life(NOW_MS + 1000, HOUR, &second), 0);
    token.counter = 90; /* a copy of the token, later */
    assert_int_equal(sign_life(NOW_MS + 2000, HOUR, &third), 0);
    /* Both sessions live, in whatever order they are shown, and again. */
    assert_int_equal(show(o, &second, NOW_MS + 3000), HWTOKEN_OK);
    assert_int_equal(show(o, &first, NOW_MS + 3000), HWTOKEN_OK);
    assert_int_equal(show(o, &second, NOW_MS + 3000), HWTOKEN_OK);
    assert_int_equal(show(o, &third, NOW_MS + 4000), HWTOKEN_COUNTER);
    assert_int_equal(judge(o, CONSOLE_VIEW, NOW_MS + 4000, &c), HWTOKEN_COUNTER);
    assert_non_null(strstr(c.proof_why, "copy"));
    operators_free(o);
    /* Tokens without a counter say zero. */
    o = process_with(OPERATOR_ANY_KEY);
    token.counter = UINT32_MAX - 1; /* it is asked twice */
    assert_int_equal(sign_life(NOW_MS, HOUR, &first), 0);
    token.counter = UINT32_MAX - 1; /* it is asked twice */
    assert_int_equal(sign_life(NOW_MS + 1, HOUR, &second), 0);
    assert_int_equal(second.authenticator[36], 0);
    assert_int_equal(show(o, &first, NOW_MS + 10), HWTOKEN_OK);
    assert_int_equal(show(o, &second, NOW_MS + 10), HWTOKEN_OK);
    operators_free(o);
}

static void floods_and_limits(void **state)
{
    struct hwtoken_proof proof;
    struct operators *o = process_with(OPERATOR_ANY_KEY);
    unsigned refused = 0;
    (void)state;
    assert_int_equal(sign_now(&proof), 0);
    assert_int_equal(show(o, &proof, NOW_MS), HWTOKEN_OK);
    for (unsigned i = 0; i < 200; i++) {
        struct hwtoken_proof bad = proof;
        bad.until_ms -= 1 + (int64_t)i;
        refused += show(o, &bad, NOW_MS) == HWTOKEN_RATE ? 1 : 0;
    }
    assert_int_equal(refused, 200 - (OPERATOR_CHECKS_PER_S - 1));
    /* A second later as ever; and of many consoles the latest are known. */
    for (uint16_t port = 1; port <= 2 * OPERATOR_SESSIONS; port++) {
        int64_t now_ms = NOW_MS + 1000ll * port;
        session.console.port = port;
        assert_int_equal(sign_life(now_ms, HOUR, &proof), 0);
        assert_int_equal(show(o, &proof, now_ms), HWTOKEN_OK);
        struct command c;
        assert_int_equal(judge(o, CONSOLE_VIEW, now_ms, &c), HWTOKEN_OK);
    }
    operators_free(o);
}

/* ---- bytes ---- */

static void records_have_one_encoding(void **state)
{
    uint8_t bytes[HWTOKEN_PROOF_BYTES + 1];
    struct hwtoken_proof proof, back;
    (void)state;
    assert_int_equal(sign_now(&proof), 0);
    hwtoken_encode(&proof, bytes);
    bytes[HWTOKEN_PROOF_BYTES] = 0;
    for (size_t n = 0; n <= sizeof(bytes); n++)
        assert_int_equal(hwtoken_decode(bytes, n, &back),
                         n == HWTOKEN_PROOF_BYTES ? HWTOKEN_OK : HWTOKEN_SHAPE);
    for (size_t bit = 0; bit < 8 * HWTOKEN_PROOF_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (hwtoken_decode(bytes, HWTOKEN_PROOF_BYTES, &back) == HWTOKEN_OK) {
            uint8_t again[HWTOKEN_PROOF_BYTES];
            hwtoken_encode(&back, again);
            assert_memory_equal(again, bytes, sizeof(again));
            assert_int_not_equal(hwtoken_verify(&back, &session, &trust, NOW_MS), HWTOKEN_OK);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void bundles_with_tokens(void **state)
{
    static uint8_t bytes[TRUST_BYTES_MAX], again[TRUST_BYTES_MAX];
    static struct trust back;
    static const uint8_t issuer[PUBLIC_BYTES] = {7};
    (void)state;
    trust_issuer_add(&trust, issuer);
    trust.version = 3;
    trust.not_before_s = 10;
    trust.not_after_s = 20;
    assert_false(trust_hwtoken_add(&trust, &key.token)); /* it is there */
    for (unsigned i = 1; i < TRUST_HWTOKENS_MAX; i++) {
        struct trust_hwtoken t = {.algorithm = i % 2 == 0 ? HWTOKEN_EDDSA : HWTOKEN_ES256};
        (void)snprintf(t.operator_name, sizeof(t.operator_name), "op-%u", i % 7);
        t.key[0] = (uint8_t)(i * 37u);
        t.key[1] = (uint8_t)i;
        assert_true(trust_hwtoken_add(&trust, &t));
    }
    struct trust_hwtoken more = key.token;
    more.key[0] ^= 1;
    assert_false(trust_hwtoken_add(&trust, &more)); /* full */
    assert_true(trust_revoke(&trust, "agent-1", 5));
    size_t length = trust_encode(&trust, bytes);
    assert_int_equal(bytes[15], '2');
    assert_int_equal(trust_decode(bytes, length, &back), TRUST_OK);
    assert_int_equal(back.hwtoken_count, TRUST_HWTOKENS_MAX);
    assert_int_equal(trust_encode(&back, again), length);
    assert_memory_equal(again, bytes, length);
    assert_non_null(trust_hwtoken_find(&back, "operator", trust_hwtoken_kid(&key.token)));
    assert_null(trust_hwtoken_find(&back, "op-1", trust_hwtoken_kid(&key.token)));
    assert_null(trust_hwtoken_find(&back, "nobody", 0));
    bytes[15] = '1'; /* its tokens would be signatures */
    assert_int_equal(trust_decode(bytes, length, &back), TRUST_SHAPE);
    bytes[15] = '2';
    size_t rows = TRUST_HEAD_BYTES + 32 + 24;
    uint8_t row[81];
    memcpy(row, bytes + rows + 2, 81); /* out of order */
    memcpy(bytes + rows + 2, bytes + rows + 2 + 81, 81);
    memcpy(bytes + rows + 2 + 81, row, 81);
    assert_int_equal(trust_decode(bytes, length, &back), TRUST_SHAPE);
    while (trust.hwtoken_count > 0)
        assert_true(trust_hwtoken_remove(&trust, trust.hwtokens[0].operator_name,
                                         trust_hwtoken_kid(&trust.hwtokens[0])));
    length = trust_encode(&trust, bytes);
    assert_int_equal(bytes[15], '1');
    assert_int_equal(trust_decode(bytes, length, &back), TRUST_OK);
    bytes[15] = '2'; /* says that there are some */
    assert_int_equal(trust_decode(bytes, length, &back), TRUST_SHAPE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {CASE(both_algorithms),
                                       CASE(of_another_session),
                                       CASE(times),
                                       CASE(faults_of_a_token),
                                       CASE(forged_signatures),
                                       CASE(der_is_strict),
                                       CASE(pins),
                                       CASE(a_finger_needs_no_terminal),
                                       CASE(which_token),
                                       CASE(enrolling),
                                       CASE(credential_files),
                                       CASE(a_process_asks),
                                       CASE(the_last_token_is_removed),
                                       CASE(policies),
                                       CASE(counters),
                                       CASE(floods_and_limits),
                                       CASE(records_have_one_encoding),
                                       CASE(bundles_with_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

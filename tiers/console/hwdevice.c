/* A token that lacks what is asked for is told from a wrong PIN and from nobody's touch: each has a
 * line of its own (say). Which of the operator's credentials is on a token is asked without a touch
 * and before the PIN, so a token that is somebody else's costs none of its tries. */
#include "tiers/console/hwdevice.h"

#include "tiers/console/hwtransport.h"
#include <assert.h>
#include <errno.h>
#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int pin_from_terminal(void *ctx, char ret[PASSPHRASE_MAX], struct keys_error *why)
{
    (void)ctx;
    return passphrase_ask("PIN of the hardware token", -1, false, ret, why);
}

static void tell_stderr(void *ctx, const char *line)
{
    (void)ctx;
    (void)fprintf(stderr, "%s\n", line);
}

const struct hwdevice_user hwdevice_terminal = {.pin = pin_from_terminal, .tell = tell_stderr};

static int fail(struct keys_error *why, int code, const char *text)
{
    (void)snprintf(why->text, sizeof(why->text), "hardware token: %s", text);
    return code;
}

/* The line for an error of libfido2 or of the token. */
static const char *line_of(int error)
{
    switch (error) {
    case FIDO_ERR_PIN_INVALID:
        return "the PIN is wrong";
    case FIDO_ERR_PIN_AUTH_BLOCKED:
        return "the PIN was wrong three times: pull the token out, plug it in again, then try once "
               "more";
    case FIDO_ERR_PIN_BLOCKED:
        return "its PIN is blocked, too many were wrong: reset it (fido2-token -R), which forgets "
               "its keys, and enroll it again";
    case FIDO_ERR_PIN_NOT_SET:
        return "it has no PIN yet: set one (fido2-token -S DEVICE), then try again";
    case FIDO_ERR_PIN_POLICY_VIOLATION:
        return "it wants another PIN: change it (fido2-token -C DEVICE)";
    case FIDO_ERR_UV_BLOCKED:
    case FIDO_ERR_UV_INVALID:
        return "it did not recognise the finger: try again";
    case FIDO_ERR_USER_ACTION_TIMEOUT:
    case FIDO_ERR_ACTION_TIMEOUT:
    case FIDO_ERR_TIMEOUT:
        return "nobody touched it in time: try again and touch it when it blinks";
    case FIDO_ERR_OPERATION_DENIED:
    case FIDO_ERR_KEEPALIVE_CANCEL:
        return "it was refused at the token: try again";
    case FIDO_ERR_RX:
    case FIDO_ERR_TX:
        return "it does not answer, or nobody touched it in time: plug it in again, try again and "
               "touch it when it blinks";
    case FIDO_ERR_RX_INVALID_CBOR:
    case FIDO_ERR_RX_NOT_CBOR:
    case FIDO_ERR_CBOR_UNEXPECTED_TYPE:
        return "what it answers is malformed: use another token";
    case FIDO_ERR_CREDENTIAL_EXCLUDED:
        return "it is enrolled for this operator already";
    case FIDO_ERR_UNSUPPORTED_ALGORITHM:
        return "it offers neither EdDSA nor ES256: use another token";
    case FIDO_ERR_NO_CREDENTIALS:
    case FIDO_ERR_INVALID_CREDENTIAL:
        return "it is none of this operator's: plug in the one that was enrolled";
    default:
        return NULL;
    }
}

static int say(struct keys_error *why, int error)
{
    char text[128];
    const char *line = line_of(error);
    if (!line) {
        (void)snprintf(text, sizeof(text), "it reports %s", fido_strerr(error));
        line = text;
    }
    int code = error == FIDO_ERR_PIN_INVALID ? -EACCES : -EIO;
    return fail(why, code, line);
}

/* ---- one device ---- */

static void device_close(fido_dev_t *dev)
{
    if (dev)
        (void)fido_dev_close(dev);
    fido_dev_free(&dev);
}

/* NULL: *ret_error. */
static fido_dev_t *device_open(const struct hwtransport *at, int *ret_error)
{
    fido_dev_t *dev = fido_dev_new();
    *ret_error = dev ? hwtransport_open(dev, at->path) : FIDO_ERR_INTERNAL;
    if (*ret_error == FIDO_OK)
        *ret_error = fido_dev_set_timeout(dev, HWDEVICE_TOUCH_S * 1000);
    if (*ret_error == FIDO_OK)
        return dev;
    fido_dev_free(&dev);
    return NULL;
}

/* How its user is verified: by itself (*ret_uv), or by a PIN, which is asked for here. */
static int verification(const struct hwdevice_user *user, const fido_dev_t *dev, bool *ret_uv,
                        char pin[PASSPHRASE_MAX], struct keys_error *why)
{
    pin[0] = '\0';
    *ret_uv = fido_dev_has_uv(dev);
    if (*ret_uv)
        return 0;
    if (!fido_dev_is_fido2(dev) || !fido_dev_supports_pin(dev))
        return fail(
            why, -ENOTSUP,
            "it cannot verify its user (no FIDO2, neither PIN nor fingerprint): use another");
    if (!fido_dev_has_pin(dev))
        return say(why, FIDO_ERR_PIN_NOT_SET);
    int rc = user->pin(user->ctx, pin, why);
    return rc == -ENOTTY ? fail(why, rc, "its PIN is asked for on a terminal, and there is none")
                         : rc;
}

/* Its tries are told where they run out. */
static int pin_wrong(fido_dev_t *dev, struct keys_error *why)
{
    char text[96];
    int left = 0;
    if (fido_dev_get_retry_count(dev, &left) != FIDO_OK)
        return say(why, FIDO_ERR_PIN_INVALID);
    if (left == 0)
        return say(why, FIDO_ERR_PIN_BLOCKED);
    (void)snprintf(text, sizeof(text), "the PIN is wrong; %d more tries before it blocks", left);
    return fail(why, -EACCES, text);
}

static int outcome(fido_dev_t *dev, int error, struct keys_error *why)
{
    return error == FIDO_OK                ? 0
           : error == FIDO_ERR_PIN_INVALID ? pin_wrong(dev, why)
                                           : say(why, error);
}

static int none_plugged_in(struct keys_error *why)
{
    return fail(why, -ENODEV,
                "none is plugged in (or this user may not open it: ls -l /dev/hidraw*)");
}

/* ---- a new credential ---- */

static bool offers_eddsa(fido_dev_t *dev)
{
    fido_cbor_info_t *info = fido_cbor_info_new();
    bool found = false;
    if (info && fido_dev_get_cbor_info(dev, info) == FIDO_OK) {
        for (size_t i = 0; i < fido_cbor_info_algorithm_count(info); i++)
            found = found || fido_cbor_info_algorithm_cose(info, i) == COSE_EDDSA;
    }
    fido_cbor_info_free(&info);
    return found;
}

static bool describe(fido_cred_t *cred, uint64_t mesh, const char *operator_name, bool eddsa)
{
    char rp[HWTOKEN_RP_MAX];
    uint8_t challenge[HWTOKEN_HASH_BYTES];
    hwtoken_relying_party(mesh, rp);
    randombytes_buf(challenge, sizeof(challenge));
    return fido_cred_set_type(cred, eddsa ? COSE_EDDSA : COSE_ES256) == FIDO_OK &&
           fido_cred_set_rp(cred, rp, "MESH-30K") == FIDO_OK &&
           fido_cred_set_user(cred, (const unsigned char *)operator_name, strlen(operator_name),
                              operator_name, NULL, NULL) == FIDO_OK &&
           fido_cred_set_clientdata_hash(cred, challenge, sizeof(challenge)) == FIDO_OK;
}

/* What the token says holds by its attestation, made by its maker's key or by the new key itself.
 */
static int take(fido_cred_t *cred, const char *operator_name, bool eddsa, struct hwcredential *ret,
                struct keys_error *why)
{
    size_t key_bytes = eddsa ? PUBLIC_BYTES : HWTOKEN_KEY_BYTES;
    int error = fido_cred_x5c_len(cred) > 0 ? fido_cred_verify(cred) : fido_cred_verify_self(cred);
    if (error != FIDO_OK || fido_cred_pubkey_len(cred) != key_bytes)
        return fail(why, -EBADMSG, "its attestation does not hold: use another token");
    if ((fido_cred_flags(cred) & 0x04u) == 0)
        return fail(why, -EBADMSG, "it did not verify its user: use another token");
    if (fido_cred_id_len(cred) == 0 || fido_cred_id_len(cred) > HWCREDENTIAL_ID_MAX)
        return fail(why, -EBADMSG, "its credential has more than 400 bytes: use another token");
    memset(ret, 0, sizeof(*ret));
    (void)snprintf(ret->token.operator_name, sizeof(ret->token.operator_name), "%s", operator_name);
    ret->token.algorithm = eddsa ? HWTOKEN_EDDSA : HWTOKEN_ES256;
    memcpy(ret->token.key, fido_cred_pubkey_ptr(cred), key_bytes);
    ret->id_bytes = (uint16_t)fido_cred_id_len(cred);
    memcpy(ret->id, fido_cred_id_ptr(cred), ret->id_bytes);
    return 0;
}

static int make(const struct hwdevice_user *user, fido_dev_t *dev, fido_cred_t *cred,
                struct keys_error *why)
{
    char pin[PASSPHRASE_MAX];
    bool uv;
    keys_lock(pin, sizeof(pin));
    int rc = verification(user, dev, &uv, pin, why);
    if (rc == 0) {
        (void)fido_cred_set_uv(cred, uv ? FIDO_OPT_TRUE : FIDO_OPT_OMIT);
        user->tell(user->ctx, "touch the hardware token now");
        rc = outcome(dev, fido_dev_make_cred(dev, cred, pin[0] != '\0' ? pin : NULL), why);
    }
    keys_unlock(pin, sizeof(pin));
    return rc;
}

int hwdevice_enroll(const struct hwdevice_user *user, uint64_t mesh, const char *operator_name,
                    const struct hwcredential *known, uint32_t known_count,
                    struct hwcredential *ret, struct keys_error *why)
{
    assert(user && operator_name && ret && why);
    struct hwtransport found[HWTRANSPORT_MAX];
    int error;
    fido_init(FIDO_DISABLE_U2F_FALLBACK);
    unsigned count = hwtransport_find(found);
    if (count == 0)
        return none_plugged_in(why);
    if (count > 1)
        return fail(why, -EBUSY, "more than one is plugged in: leave the one to be enrolled");
    fido_dev_t *dev = device_open(&found[0], &error);
    if (!dev)
        return say(why, error);
    fido_cred_t *cred = fido_cred_new();
    bool eddsa = offers_eddsa(dev);
    int rc =
        cred && describe(cred, mesh, operator_name, eddsa) ? 0 : fail(why, -ENOMEM, "no memory");
    for (uint32_t i = 0; i < known_count && rc == 0; i++) {
        if (fido_cred_exclude(cred, known[i].id, known[i].id_bytes) != FIDO_OK)
            rc = fail(why, -ENOMEM, "no memory");
    }
    if (rc == 0)
        rc = make(user, dev, cred, why);
    if (rc == 0)
        rc = take(cred, operator_name, eddsa, ret, why);
    fido_cred_free(&cred);
    device_close(dev);
    return rc;
}

/* ---- a session ---- */

static fido_assert_t *question(uint64_t mesh, const struct hwcredential *key,
                               const uint8_t challenge[HWTOKEN_HASH_BYTES])
{
    char rp[HWTOKEN_RP_MAX];
    hwtoken_relying_party(mesh, rp);
    fido_assert_t *assertion = fido_assert_new();
    if (assertion &&
        (fido_assert_set_rp(assertion, rp) != FIDO_OK ||
         fido_assert_set_clientdata_hash(assertion, challenge, HWTOKEN_HASH_BYTES) != FIDO_OK ||
         fido_assert_allow_cred(assertion, key->id, key->id_bytes) != FIDO_OK))
        fido_assert_free(&assertion);
    return assertion;
}

/* Whether the token has this credential, without a touch. FIDO_ERR_NO_CREDENTIALS: no; anything but
 * FIDO_OK: it does not say. */
static int has(fido_dev_t *dev, uint64_t mesh, const struct hwcredential *key)
{
    static const uint8_t nothing[HWTOKEN_HASH_BYTES];
    fido_assert_t *assertion = question(mesh, key, nothing);
    int error = FIDO_ERR_INTERNAL;
    if (assertion && fido_assert_set_up(assertion, FIDO_OPT_FALSE) == FIDO_OK)
        error = fido_dev_get_assert(dev, assertion, NULL);
    fido_assert_free(&assertion);
    return error == FIDO_ERR_INVALID_CREDENTIAL ? FIDO_ERR_NO_CREDENTIALS : error;
}

/* Authenticator data comes wrapped as a CBOR byte string. */
static int take_assertion(const fido_assert_t *assertion, const struct hwcredential *key,
                          struct hwtoken_proof *proof, struct keys_error *why)
{
    const uint8_t *auth = fido_assert_authdata_ptr(assertion, 0);
    size_t bytes = fido_assert_authdata_len(assertion, 0);
    const uint8_t *sig = fido_assert_sig_ptr(assertion, 0);
    size_t sig_bytes = fido_assert_sig_len(assertion, 0);
    if (fido_assert_count(assertion) != 1 || !auth || !sig || bytes != 2 + HWTOKEN_AUTH_BYTES ||
        auth[0] != 0x58 || auth[1] != HWTOKEN_AUTH_BYTES)
        return say(why, FIDO_ERR_RX_INVALID_CBOR);
    memcpy(proof->authenticator, auth + 2, HWTOKEN_AUTH_BYTES);
    proof->kid = trust_hwtoken_kid(&key->token);
    bool ok = key->token.algorithm == HWTOKEN_ES256
                  ? hwtoken_from_der(sig, sig_bytes, proof->signature)
                  : sig_bytes == SIGNATURE_BYTES;
    if (ok && key->token.algorithm == HWTOKEN_EDDSA)
        memcpy(proof->signature, sig, SIGNATURE_BYTES);
    return ok ? 0 : say(why, FIDO_ERR_RX_INVALID_CBOR);
}

static int sign(const struct hwdevice_user *user, fido_dev_t *dev, uint64_t mesh,
                const struct hwcredential *key, const uint8_t challenge[HWTOKEN_HASH_BYTES],
                struct hwtoken_proof *proof, struct keys_error *why)
{
    char pin[PASSPHRASE_MAX];
    bool uv;
    fido_assert_t *assertion = question(mesh, key, challenge);
    if (!assertion)
        return fail(why, -ENOMEM, "no memory");
    keys_lock(pin, sizeof(pin));
    int rc = verification(user, dev, &uv, pin, why);
    if (rc == 0) {
        (void)fido_assert_set_uv(assertion, uv ? FIDO_OPT_TRUE : FIDO_OPT_OMIT);
        user->tell(user->ctx, "touch the hardware token now");
        rc = outcome(dev, fido_dev_get_assert(dev, assertion, pin[0] != '\0' ? pin : NULL), why);
    }
    keys_unlock(pin, sizeof(pin));
    if (rc == 0)
        rc = take_assertion(assertion, key, proof, why);
    fido_assert_free(&assertion);
    return rc;
}

/* Tries all credentials on one token. -ENOENT: it has none of them. */
static int sign_on(const struct hwdevice_user *user, const struct hwtransport *at, uint64_t mesh,
                   const struct hwcredential *keys, uint32_t count,
                   const uint8_t challenge[HWTOKEN_HASH_BYTES], struct hwtoken_proof *proof,
                   struct keys_error *why)
{
    int error, rc = -ENOENT;
    fido_dev_t *dev = device_open(at, &error);
    if (!dev)
        return say(why, error);
    for (uint32_t i = 0; i < count && rc == -ENOENT; i++) {
        if (has(dev, mesh, &keys[i]) != FIDO_ERR_NO_CREDENTIALS)
            rc = sign(user, dev, mesh, &keys[i], challenge, proof, why);
    }
    device_close(dev);
    return rc;
}

int hwdevice_sign(const struct hwdevice_user *user, uint64_t mesh, const struct hwcredential *keys,
                  uint32_t count, const uint8_t challenge[HWTOKEN_HASH_BYTES],
                  struct hwtoken_proof *proof, struct keys_error *why)
{
    assert(user && keys && count > 0);
    assert(challenge && proof && why);
    struct hwtransport found[HWTRANSPORT_MAX];
    fido_init(FIDO_DISABLE_U2F_FALLBACK);
    unsigned tokens = hwtransport_find(found);
    if (tokens == 0)
        return none_plugged_in(why);
    for (unsigned i = 0; i < tokens; i++) {
        int rc = sign_on(user, &found[i], mesh, keys, count, challenge, proof, why);
        if (rc != -ENOENT)
            return rc;
    }
    return say(why, FIDO_ERR_NO_CREDENTIALS);
}
